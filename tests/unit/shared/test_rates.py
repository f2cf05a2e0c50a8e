"""Token buckets in a fixed amount of memory."""

from hypothesis import given
from hypothesis import strategies as st

from shared.rates import Buckets, Rate


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def buckets(clock: Clock, *, per_second: float = 10.0, burst: float = 5.0, places: int = 4096) -> Buckets:
    return Buckets(Rate(per_second, burst), places=places, clock=clock)


def test_a_burst_is_taken_at_once_and_then_one_for_each_interval() -> None:
    clock = Clock()
    rates = buckets(clock)
    assert [rates.take("a") for _ in range(5)] == [0.0] * 5
    wait = rates.take("a")
    assert 0 < wait <= 0.1 + 1e-6
    clock.now += wait
    assert rates.take("a") == 0.0
    assert rates.take("a") > 0


@given(st.lists(st.floats(0.0, 0.5), min_size=1, max_size=200))
def test_no_more_is_ever_taken_than_the_burst_and_the_rate_since(gaps: list[float]) -> None:
    clock = Clock()
    rates, began, taken = buckets(clock), clock.now, 0
    for gap in gaps:
        clock.now += gap
        taken += rates.take("a") == 0.0
        assert taken <= 5 + (clock.now - began) * 10 + 1e-3


def test_a_refused_try_costs_nothing() -> None:
    clock = Clock()
    rates = buckets(clock)
    for _ in range(5):
        rates.take("a")
    waits = [rates.take("a") for _ in range(100)]
    assert max(waits) - min(waits) < 1e-6


def test_one_key_does_not_slow_another_down() -> None:
    clock = Clock()
    rates = buckets(clock)
    for number in range(200):  # some of them share a place with "b"; hardly any shares both
        for _ in range(5):
            rates.take(f"busy {number}")
    free = sum(rates.take(f"quiet {number}") == 0.0 for number in range(200))
    assert free >= 190


def test_a_charge_is_owed_but_never_more_than_one_burst() -> None:
    clock = Clock()
    rates = buckets(clock)
    rates.charge("a", 1000)
    assert rates.wait("a") <= 0.5 + 0.1 + 1e-9
    clock.now += 0.61
    assert rates.take("a") == 0.0


def test_strangers_do_not_make_it_grow() -> None:
    clock = Clock()
    rates = buckets(clock, places=1024)
    before = rates._full_at.nbytes
    for number in range(20_000):
        rates.take(str(number))
    assert rates._full_at.nbytes == before
    assert len(rates._full_at) == 1024
