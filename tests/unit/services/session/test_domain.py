"""What the person sees in every state, and when an attempt is over."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.session.domain import Screen, attempt_end, screen
from shared.verification import ENDED, State, Verification

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
BEFORE_THE_END, THE_END = int(NOW.timestamp()) + 1, int(NOW.timestamp())


def verification(
    state: State, attempt: int = 0, ended: int = 0, expires_at: int = BEFORE_THE_END, outcome: str = ""
) -> Verification:
    return Verification(
        verification_id="v", state=state, locator="l", expires_at=expires_at, created_at=0, attempt=attempt,
        ended_attempt=ended, outcome=outcome,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("state", "attempt", "ended", "expected"),
    [
        (State.REQUESTED, 0, 0, Screen.START),
        (State.PROMPTED, 0, 0, Screen.START),
        (State.OPENED, 0, 0, Screen.START),
        (State.OPENED, 1, 1, Screen.START),
        (State.OPENED, 2, 2, Screen.START),
        (State.OPENED, 3, 3, Screen.USED_UP),
        (State.OPENED, 4, 4, Screen.USED_UP),
        (State.SESSION_CREATED, 1, 0, Screen.CHECK),
        (State.SESSION_CREATED, 3, 2, Screen.CHECK),
        (State.CAPTURED, 1, 0, Screen.WAIT),
        (State.CAPTURED, 3, 2, Screen.WAIT),
        (State.ASKED, 1, 1, Screen.ANSWER),
        (State.ASKED, 3, 3, Screen.ANSWER),
        (State.ANSWERED, 3, 3, Screen.WAIT),
        (State.DECIDED, 1, 0, Screen.FINISHED),
        (State.ANNOUNCED, 3, 3, Screen.FINISHED),
    ],
)
def test_every_state_has_its_screen(state: State, attempt: int, ended: int, expected: Screen) -> None:
    assert screen(verification(state, attempt, ended), NOW, 3) is expected


@pytest.mark.parametrize("state", State)
def test_at_the_end_of_the_time_all_but_the_ended_is_expired(state: State) -> None:
    expected = Screen.FINISHED if state in ENDED else Screen.EXPIRED
    assert screen(verification(state, 1, 0, THE_END), NOW, 3) is expected


@pytest.mark.parametrize("outcome", ["success", "failure", "error"])
def test_the_end_looks_the_same_for_every_outcome(outcome: str) -> None:
    assert screen(verification(State.DECIDED, 1, 0, outcome=outcome), NOW, 3) is Screen.FINISHED


@given(st.floats(0.001, 170), st.integers(-10, 3600))
def test_an_attempt_ends_with_its_own_time_or_with_the_verification_whichever_is_first(
    seconds: float, left: int
) -> None:
    end = attempt_end(NOW, int(NOW.timestamp()) + left, seconds)
    assert end == min(NOW + timedelta(seconds=seconds), NOW + timedelta(seconds=left))


def test_a_try_that_succeeded_and_was_not_enough_uses_none_up() -> None:
    for passes, shown in ((0, Screen.USED_UP), (1, Screen.START)):
        passed = replace(verification(State.OPENED, 3, 3), passes=passes)
        assert screen(passed, NOW, 3) is shown
