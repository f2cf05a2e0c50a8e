"""Any wait is made of the delay topics there are."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.delays import NEAR_SECONDS, TARGET_HEADER, UNTIL_HEADER, rung_for, whole_rung, without_delay
from shared.topics import DELAY_RUNGS_SECONDS, TOPICS, delay_topic


@pytest.mark.parametrize(
    ("remaining", "rung"),
    [
        (-5, 1),
        (0, 1),
        (0.4, 1),
        (1, 1),
        (4.9, 1),
        (5, 5),
        (29, 5),
        (30, 30),
        (3600, 1800),
        (36000, 36000),
        (1e9, 36000),
    ],
)
def test_a_wait_goes_to_the_longest_rung_that_does_not_overshoot(remaining: float, rung: int) -> None:
    assert rung_for(remaining) == rung


@given(st.floats(min_value=1, max_value=1e7))
def test_no_rung_overshoots_a_wait_of_a_second_or_more(remaining: float) -> None:
    assert rung_for(remaining) in DELAY_RUNGS_SECONDS
    assert rung_for(remaining) <= remaining


@given(st.floats(min_value=NEAR_SECONDS, max_value=72 * 3600))
def test_a_wait_made_of_rungs_ends_less_than_a_second_late_and_after_few_rounds(remaining: float) -> None:
    rounds = 0
    while remaining > NEAR_SECONDS:
        remaining -= rung_for(remaining)
        rounds += 1
    assert remaining > -1
    assert rounds < 40


@given(st.floats(-10, 100_000))
def test_a_wait_of_one_rung_is_no_shorter_than_asked_for_and_the_shortest_of_those(least: float) -> None:
    rung = whole_rung(least)
    assert rung >= min(least, max(DELAY_RUNGS_SECONDS))
    assert not [other for other in DELAY_RUNGS_SECONDS if least <= other < rung]


def test_every_rung_has_a_topic() -> None:
    names = {spec.name for spec in TOPICS}
    assert {delay_topic(rung) for rung in DELAY_RUNGS_SECONDS} <= names


def test_a_record_that_comes_back_has_the_headers_that_it_left_with() -> None:
    headers = [("a", b"1"), (TARGET_HEADER, b"t"), ("b", None), (UNTIL_HEADER, b"1.0"), ("a", b"2")]
    assert without_delay(headers) == [("a", b"1"), ("b", None), ("a", b"2")]


def test_the_longest_rung_is_kept_by_its_topic_long_enough() -> None:
    longest = timedelta(seconds=max(DELAY_RUNGS_SECONDS))
    kept = next(spec for spec in TOPICS if spec.name == delay_topic(max(DELAY_RUNGS_SECONDS))).retention_seconds
    assert datetime.now(UTC) + timedelta(seconds=kept) > datetime.now(UTC) + 2 * longest
