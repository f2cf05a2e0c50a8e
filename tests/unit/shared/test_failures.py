"""How many failed checks block, and for how long: the arithmetic, and its table on the emulated AWS."""

import asyncio
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.failure_tallies import FailureTallies, not_blocked
from shared.failures import Bounds, Kind, Tally, after_failure, forget_at, kind_of
from shared.stores import ConditionFailedError, Put, Tables
from shared.tables import FAILURES

BOUNDS = Bounds(dict.fromkeys(Kind, 5))
NOW = 1_800_000_000
gaps = st.lists(st.integers(0, 400), min_size=1, max_size=60)


def tallied(times: list[int], bounds: Bounds = BOUNDS) -> Tally:
    tally = Tally()
    for number, at in enumerate(times):
        tally = after_failure(tally, at, str(number), 5, bounds)
    return tally


def times_of(steps: list[int]) -> list[int]:
    at, times = NOW, []
    for step in steps:
        at += step
        times.append(at)
    return times


def test_five_failures_within_three_minutes_block_for_half_an_hour() -> None:
    tally = tallied([NOW, NOW + 40, NOW + 80, NOW + 120, NOW + 179])
    assert tally == Tally((), 1, NOW + 179 + 1800)


def test_five_failures_over_more_than_three_minutes_block_nobody() -> None:
    assert tallied([NOW, NOW + 45, NOW + 90, NOW + 135, NOW + 180]).blocked_until == 0


def test_each_further_block_is_longer_until_a_day_without_one_has_passed() -> None:
    tally, at, lengths = Tally(), NOW, []
    for _ in range(4):
        for number in range(5):
            tally = after_failure(tally, at, f"{at}-{number}", 5, BOUNDS)
        lengths.append(tally.blocked_until - at)
        at = tally.blocked_until
    assert lengths == [1800, 3600, 86_400, 86_400]
    at = tally.blocked_until + 86_400
    for number in range(5):
        tally = after_failure(tally, at, f"{at}-{number}", 5, BOUNDS)
    assert tally.blocked_until - at == 1800


@given(gaps)
def test_a_block_begins_exactly_when_five_failures_outside_of_blocks_lie_within_the_window(steps: list[int]) -> None:
    """Against a model that keeps everything and looks at all of it."""
    tally, counted, blocked_until = Tally(), list[int](), 0
    for number, at in enumerate(times_of(steps)):
        before = tally
        tally = after_failure(tally, at, str(number), 5, BOUNDS)
        if at < blocked_until:
            assert tally == before
            continue
        counted.append(at)
        begins = len([one for one in counted if one > at - 180]) >= 5
        assert (tally.blocked_until > blocked_until) == begins
        if begins:
            counted, blocked_until = [], tally.blocked_until


@given(gaps)
def test_a_tally_stays_small_and_no_failure_makes_a_block_shorter(steps: list[int]) -> None:
    tally = Tally()
    for number, at in enumerate(times_of(steps)):
        after = after_failure(tally, at, str(number), 5, BOUNDS)
        assert len(after.failures) < 5
        assert after.blocked_until >= tally.blocked_until
        assert forget_at(after, BOUNDS) >= min(at, tally.blocked_until or at)
        tally = after


@given(gaps, st.integers(0, 59))
def test_a_check_that_is_judged_twice_is_counted_once(steps: list[int], which: int) -> None:
    times = times_of(steps)
    tally = Tally()
    for number, at in enumerate(times):
        tally = after_failure(tally, at, str(number), 5, BOUNDS)
        if number == which:
            assert after_failure(tally, at, str(number), 5, BOUNDS) == tally
    assert tally == tallied(times)


def test_whom_a_name_counts_for_is_in_it() -> None:
    assert kind_of("address:abc") is Kind.ADDRESS
    with pytest.raises(ValueError, match="nobody"):
        kind_of("nobody:abc")


async def blocked(tables: Tables, whom: str, now: int) -> bool:
    """Whether a check may not begin: the condition in a transaction with some other write."""
    other = Put(FAILURES.name, {"whom": f"test:{uuid.uuid4()}"})
    try:
        await tables.transact([other, *not_blocked([whom], now)])
    except ConditionFailedError as error:
        return list(error.reasons) == ["None", "ConditionalCheckFailed"]
    return False


async def test_failures_at_once_from_two_replicas_are_all_counted(tables: Tables) -> None:
    replicas = [FailureTallies(tables, BOUNDS) for _ in range(2)]
    whom = f"device:{uuid.uuid4().hex}"
    await asyncio.gather(*(replicas[number % 2].count([whom], str(number), NOW) for number in range(4)))
    assert not await blocked(tables, whom, NOW + 1)
    await replicas[0].count([whom], "the fifth", NOW + 100)
    assert await blocked(tables, whom, NOW + 101)
    assert await blocked(tables, whom, NOW + 100 + 1799)
    assert not await blocked(tables, whom, NOW + 100 + 1800)


async def test_who_has_no_bound_is_never_counted(tables: Tables) -> None:
    whom = f"address:{uuid.uuid4().hex}"
    tallies = FailureTallies(tables, Bounds({Kind.DEVICE: 5}))
    for number in range(9):
        await tallies.count([whom], str(number), NOW)
    assert await tables.get(FAILURES.name, {"whom": whom}) is None
