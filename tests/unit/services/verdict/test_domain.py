"""What a provider's result means, for every status; what a verification ends with."""

import itertools

import pytest

from services.verdict.domain import Liveness, Match, Result, SessionStatus, judge, outcome_of, outcome_without_check
from shared.events import Outcome
from shared.verification import State, Verification

LEAST = 80.0
PICTURE = b"picture"

SUCCEEDED = [
    # confidence, picture, meaning
    (None, None, Liveness.UNDECIDED),
    (None, PICTURE, Liveness.UNDECIDED),
    (0.0, None, Liveness.NOT_LIVE),
    (0.0, PICTURE, Liveness.NOT_LIVE),
    (79.999, None, Liveness.NOT_LIVE),
    (79.999, PICTURE, Liveness.NOT_LIVE),
    (80.0, None, Liveness.UNDECIDED),
    (80.0, b"", Liveness.UNDECIDED),
    (80.0, PICTURE, Liveness.LIVE),
    (100.0, None, Liveness.UNDECIDED),
    (100.0, PICTURE, Liveness.LIVE),
]
OTHERS = {
    SessionStatus.CREATED: (Liveness.RUNNING, Liveness.RUNNING),
    SessionStatus.IN_PROGRESS: (Liveness.RUNNING, Liveness.RUNNING),
    SessionStatus.FAILED: (Liveness.UNDECIDED, Liveness.UNDECIDED),
    SessionStatus.EXPIRED: (Liveness.UNDECIDED, Liveness.LOST),
    SessionStatus.GONE: (Liveness.UNDECIDED, Liveness.LOST),
}


@pytest.mark.parametrize("was_captured", [False, True])
@pytest.mark.parametrize(("confidence", "picture", "meaning"), SUCCEEDED)
def test_a_finished_analysis_is_judged_by_our_threshold_and_needs_a_picture(
    confidence: float | None, picture: bytes | None, meaning: Liveness, was_captured: bool
) -> None:
    result = Result(SessionStatus.SUCCEEDED, confidence, picture)
    assert judge(result, LEAST, was_captured=was_captured) is meaning


def test_every_other_status_is_judged_by_itself_and_by_what_the_page_said() -> None:
    assert {*OTHERS, SessionStatus.SUCCEEDED} == set(SessionStatus)
    for status, (silent, captured) in OTHERS.items():
        for confidence, picture in itertools.product((None, 0.0, 99.9), (None, PICTURE)):
            result = Result(status, confidence, picture)
            assert judge(result, LEAST, was_captured=False) is silent
            assert judge(result, LEAST, was_captured=True) is captured


def test_nothing_but_a_finished_analysis_over_the_threshold_with_a_picture_is_live() -> None:
    live = [
        (status, confidence, picture)
        for status, confidence, picture in itertools.product(SessionStatus, (None, 79.9, 80.0), (None, PICTURE))
        if judge(Result(status, confidence, picture), LEAST, was_captured=True) is Liveness.LIVE
    ]
    assert live == [(SessionStatus.SUCCEEDED, 80.0, PICTURE)]


def test_a_comparison_has_one_outcome_and_no_face_has_none() -> None:
    assert {match: outcome_of(match) for match in Match} == {
        Match.SAME: Outcome.SUCCESS,
        Match.OTHER: Outcome.FAILURE,
        Match.NO_FACE: None,
    }


@pytest.mark.parametrize(("trouble", "outcome"), [(True, Outcome.ERROR), (False, Outcome.FAILURE)])
def test_trouble_of_ours_is_never_a_denial(trouble: bool, outcome: Outcome) -> None:
    ended = Verification("v", State.OPENED, "l", 0, 0, trouble=trouble)
    assert outcome_without_check(ended) is outcome
