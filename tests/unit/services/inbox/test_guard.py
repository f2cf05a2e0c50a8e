"""Who may have work done at the door, and that forgers cannot use up somebody else's share."""

import pytest

from services.inbox.domain import Reason, RefusedError
from services.inbox.guard import Guard, Rates
from shared.rates import Rate
from tests.unit.shared.test_rates import Clock

FORGER, HONEST, SHOP = "203.0.113.9", "192.0.2.1", "shop.example"


def a_guard(clock: Clock, *, most_waiting_per_address: int = 64, most_waiting: int = 1000) -> Guard:
    return Guard(
        Rates(
            address=Rate(100, 200),
            sender=Rate(10, 20),
            unverified=Rate(1, 5),
            places=4096,
            most_waiting_per_address=most_waiting_per_address,
            most_waiting=most_waiting,
        ),
        clock,
    )


def forge(guard: Guard, times: int) -> None:
    for _ in range(times):
        guard.before_proof(FORGER, SHOP)
        guard.failed(FORGER, SHOP)


def prove(guard: Guard, address: str = HONEST) -> None:
    guard.before_proof(address, SHOP)
    guard.proven(address, SHOP)


def test_forged_messages_take_nothing_from_the_senders_own_bucket() -> None:
    guard = a_guard(Clock())
    forge(guard, 4)
    for _ in range(20):
        prove(guard)


def test_forgers_are_stopped_and_the_sender_still_passes_from_where_it_was_proven() -> None:
    guard = a_guard(Clock())
    prove(guard)
    with pytest.raises(RefusedError) as refused:
        forge(guard, 50)
    assert refused.value.reason is Reason.UNVERIFIED_RATE
    assert refused.value.retry_after_seconds
    prove(guard)
    with pytest.raises(RefusedError):
        prove(guard, "198.51.100.1")  # an address that has proven nothing shares the doubt


def test_the_doubt_in_a_name_passes() -> None:
    clock = Clock()
    guard = a_guard(clock)
    with pytest.raises(RefusedError):
        forge(guard, 50)
    clock.now += 10
    prove(guard, "198.51.100.1")


def test_a_failed_signature_costs_its_address_more_than_a_request() -> None:
    clock = Clock()
    guard = a_guard(clock)
    for number in range(40):
        guard.failed(FORGER, f"d{number}.example")
    assert guard.enter(FORGER) > 0
    assert guard.enter(HONEST) == 0


def test_a_proven_sender_that_is_too_fast_is_told_when_to_come_back() -> None:
    guard = a_guard(Clock())
    for _ in range(20):
        prove(guard)
    with pytest.raises(RefusedError) as refused:
        prove(guard)
    assert refused.value.reason is Reason.SENDER_RATE
    assert refused.value.retry_after_seconds == pytest.approx(0.1, abs=0.01)


def test_messages_that_wait_for_keys_are_bounded_for_an_address_and_for_all() -> None:
    guard = a_guard(Clock(), most_waiting_per_address=2, most_waiting=3)
    guard.wait(FORGER)
    guard.wait(FORGER)
    with pytest.raises(RefusedError) as one:
        guard.wait(FORGER)
    guard.wait(HONEST)
    with pytest.raises(RefusedError) as all_of_them:
        guard.wait("198.51.100.1")
    assert (one.value.reason, all_of_them.value.reason) == (Reason.UNVERIFIED_RATE, Reason.OVERLOADED)
    guard.decided(FORGER)
    guard.wait("198.51.100.1")
