"""When a receiver is left alone, how rarely it is asked, and how little its waiting messages cost."""

from shared.breakers import FAILURES_TO_OPEN, PROBE_PAUSES_SECONDS, RETURNS_PER_SECOND, Breakers
from shared.topics import DELAY_RUNGS_SECONDS

TO = "shop.example"
DAY_SECONDS = 86_400.0


def opened(now: float = 0.0) -> Breakers:
    breakers = Breakers(probe_patience_seconds=90)
    assert [breakers.failed(TO, now) for _ in range(FAILURES_TO_OPEN)] == [False] * (FAILURES_TO_OPEN - 1) + [True]
    return breakers


def test_single_failures_between_answers_never_open_a_breaker() -> None:
    breakers = Breakers(probe_patience_seconds=90)
    for now in range(100):
        for _ in range(FAILURES_TO_OPEN - 1):
            assert not breakers.failed(TO, now)
        assert not breakers.answered(TO)
        assert breakers.admit(TO, now)
    assert len(breakers) == 0


def test_an_open_breaker_admits_nobody_and_then_one_probe() -> None:
    breakers = opened()
    assert not any(breakers.admit(TO, now) for now in (0.0, 1.0, 4.9))
    assert [breakers.admit(TO, 5.0) for _ in range(5)] == [True, False, False, False, False]


def test_a_probe_that_is_answered_closes_it_for_all() -> None:
    breakers = opened()
    assert breakers.admit(TO, 5.0)
    assert breakers.answered(TO)
    assert all(breakers.admit(TO, 5.0) for _ in range(5))
    assert len(breakers) == 0


def test_a_probe_that_fails_makes_the_pause_longer() -> None:
    breakers, now = opened(), 0.0
    for pause in (*PROBE_PAUSES_SECONDS, PROBE_PAUSES_SECONDS[-1]):
        assert not breakers.admit(TO, now + pause - 0.1)
        now += pause
        assert breakers.admit(TO, now)
        assert not breakers.failed(TO, now)


def test_late_failures_of_what_was_under_way_when_it_opened_change_nothing() -> None:
    breakers = opened()
    for _ in range(20):
        breakers.failed(TO, 1.0)
    assert breakers.admit(TO, 5.0)


def test_a_probe_that_never_reports_is_taken_for_lost() -> None:
    breakers = opened()
    assert breakers.admit(TO, 5.0)
    assert not breakers.admit(TO, 94.9)
    assert breakers.admit(TO, 95.0)


def test_a_day_of_silence_costs_a_few_probes() -> None:
    breakers, probes, now = opened(), 0, 0.0
    while now < DAY_SECONDS:
        now += 1.0
        if breakers.admit(TO, now):
            probes += 1
            breakers.failed(TO, now)
    assert probes <= 16


def test_messages_that_wait_for_a_dead_receiver_are_touched_the_more_rarely_the_more_they_are() -> None:
    """Of a burst, the share that comes back within the first minute shrinks as the burst grows."""
    for burst in (1_000, 10_000, 100_000):
        breakers = opened()
        rests = [breakers.hold_seconds(TO, 0.001 * number / 1000) for number in range(burst)]
        assert set(rests) <= set(DELAY_RUNGS_SECONDS)
        back_within_a_minute = sum(rest <= 60 for rest in rests)
        assert back_within_a_minute <= RETURNS_PER_SECOND * 60 + 1


def test_one_message_is_moved_a_few_times_in_a_day() -> None:
    breakers, now, moves = opened(), 0.0, 0
    while now < DAY_SECONDS:
        if breakers.admit(TO, now):
            breakers.failed(TO, now)
        now += breakers.hold_seconds(TO, now)
        moves += 1
    assert moves <= 25


def test_a_million_receivers_in_trouble_take_bounded_memory() -> None:
    breakers = Breakers(probe_patience_seconds=90, most_states=1_000)
    for number in range(20_000):
        breakers.failed(f"d{number}.example", 0.0)
    assert len(breakers) == 1_000
