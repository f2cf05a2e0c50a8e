"""What the playground remembers, and what an open page is told."""

import asyncio

from cli.playground import ledger as module
from cli.playground.ledger import MOST_FACTS, MOST_VERIFICATIONS, Ledger


async def _first(ledger: Ledger, number: int, count: int) -> list[int]:
    found = []
    async for fact in ledger.follow(number):
        found.append(fact.number)
        if len(found) == count:
            return found
    return found


async def test_a_page_that_comes_late_is_told_everything_in_order_and_then_what_comes() -> None:
    ledger = Ledger()
    for name in ("a", "b", "a"):
        ledger.add("event", name)
    reading = asyncio.create_task(_first(ledger, 0, 4))
    await asyncio.sleep(0)
    ledger.add("event", "b")
    assert await reading == [1, 2, 3, 4]


async def test_a_page_that_comes_again_is_told_only_what_it_has_not_had() -> None:
    ledger = Ledger()
    for _ in range(5):
        ledger.add("event", "a")
    assert await _first(ledger, 3, 2) == [4, 5]


def test_memory_is_bounded_by_verifications_and_by_facts_of_each() -> None:
    ledger = Ledger()
    for index in range(MOST_VERIFICATIONS + 3):
        ledger.add("event", f"v-{index}")
    for _ in range(MOST_FACTS + 7):
        ledger.add("event", "v-10")
    kept = ledger.since(0)
    assert len({fact.verification_id for fact in kept}) == MOST_VERIFICATIONS
    assert sum(fact.verification_id == "v-10" for fact in kept) == MOST_FACTS
    assert not any(fact.verification_id == "v-0" for fact in kept)


async def test_a_page_that_reads_too_slowly_is_sent_away_and_no_longer_costs_memory() -> None:
    ledger = Ledger()
    facts = ledger.follow(0)
    waiting = asyncio.ensure_future(anext(facts))
    await asyncio.sleep(0)
    assert [ledger.watched] == [True]
    for _ in range(module.MOST_WAITING + 10):
        ledger.add("event", "a")
    assert [ledger.watched] == [False]
    assert (await waiting).number == 1
    assert len([fact async for fact in facts]) < module.MOST_WAITING
