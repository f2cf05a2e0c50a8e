"""What is remembered of keys: for how long, of how many names, and how often anything is asked."""

import asyncio
from dataclasses import dataclass, field

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.inbox.key_cache import CacheBounds, KeyCache
from services.inbox.look_up_budget import LookUpBudget, Spent
from shared.resolver import Answer, KeyAnswer, Resolver
from tests.unit.services.inbox.messages import RECORD, ScriptedResolver, secure


@dataclass
class Clock:
    """Seconds that a test moves."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class SlowResolver:
    """Answers when it is let go."""

    answer: KeyAnswer
    go: asyncio.Event = field(default_factory=asyncio.Event)
    asked: int = 0

    async def look_up(self, _name: str) -> KeyAnswer:
        """See Resolver."""
        self.asked += 1
        await self.go.wait()
        return self.answer


@pytest.fixture
def clock() -> Clock:
    return Clock()


def cache(resolver: Resolver, clock: Clock, *, burst: float = 10.0, **bounds: float) -> KeyCache:
    chosen = CacheBounds(**bounds)  # type: ignore[arg-type] # most_names is whole
    return KeyCache(resolver, bounds=chosen, budget=LookUpBudget(burst=burst, clock=clock), clock=clock)


@pytest.mark.parametrize(("ttl", "kept"), [(60.0, 60.0), (0.0, 5.0), (86400.0, 3600.0)])
async def test_a_key_is_kept_for_its_time_to_live_within_the_bounds(clock: Clock, ttl: float, kept: float) -> None:
    resolver = ScriptedResolver({"a.x": secure(RECORD, keep_seconds=ttl)})
    keys = cache(resolver, clock)
    await keys.find("a.x", "x")
    clock.now += kept - 0.01
    await keys.find("a.x", "x")
    assert len(resolver.asked) == 1
    clock.now += 0.01
    await keys.find("a.x", "x")
    assert len(resolver.asked) == 2


async def test_an_absence_is_kept_no_longer_than_its_own_bound(clock: Clock) -> None:
    resolver = ScriptedResolver({"a.x": KeyAnswer(Answer.ABSENT, keep_seconds=86400.0)})
    keys = cache(resolver, clock)
    for _ in range(3):
        assert (await keys.find("a.x", "x")).answer is Answer.ABSENT
    clock.now += 60.0
    await keys.find("a.x", "x")
    assert len(resolver.asked) == 2


async def test_an_undecided_answer_is_not_kept(clock: Clock) -> None:
    resolver = ScriptedResolver({"a.x": KeyAnswer(Answer.UNDECIDED, keep_seconds=60.0)})
    keys = cache(resolver, clock)
    assert (await keys.find("a.x", "x")).answer is Answer.UNDECIDED
    resolver.answers["a.x"] = secure(RECORD)
    assert (await keys.find("a.x", "x")).answer is Answer.SECURE


async def test_made_up_names_push_out_no_name_that_has_verified(clock: Clock) -> None:
    resolver = ScriptedResolver({"pw1.x": secure(RECORD)})
    keys = cache(resolver, clock, most_names=3)
    await keys.find("pw1.x", "x")
    keys.prove("pw1.x")
    for number in range(50):
        await keys.find(f"made-up.{number}.y", f"{number}.y")
    resolver.asked.clear()
    await keys.find("pw1.x", "x")
    await keys.find("made-up.49.y", "49.y")
    assert resolver.asked == []
    await keys.find("made-up.0.y", "0.y")
    assert resolver.asked == ["made-up.0.y"]


async def test_many_at_once_ask_once_and_one_who_gives_up_ends_it_for_nobody(clock: Clock) -> None:
    resolver = SlowResolver(secure(RECORD))
    keys = cache(resolver, clock)
    asking = [asyncio.create_task(keys.find("a.x", "x")) for _ in range(50)]
    await asyncio.sleep(0)
    asking[0].cancel()
    resolver.go.set()
    answers = await asyncio.gather(*asking[1:])
    assert {answer.answer for answer in answers} == {Answer.SECURE}
    assert resolver.asked == 1


async def test_one_domain_s_made_up_names_cost_its_budget_and_nobody_else_s(clock: Clock) -> None:
    resolver = ScriptedResolver({})
    keys = cache(resolver, clock, burst=3)
    answers = [(await keys.find(f"{number}x.shop", "shop")).answer for number in range(5)]
    assert answers == [Answer.ABSENT] * 3 + [Answer.UNDECIDED] * 2
    assert (await keys.find("5x.shop", "shop")).spent == Spent(by_owner=True, wait_seconds=2.0)
    assert (await keys.find("a.other", "other")).answer is Answer.ABSENT
    clock.now += 2.0
    assert (await keys.find("6x.shop", "shop")).answer is Answer.ABSENT


async def test_a_name_that_has_verified_is_asked_for_again_when_its_time_is_over_whatever_the_budget(
    clock: Clock,
) -> None:
    resolver = ScriptedResolver({"pw1.x": secure(RECORD)})
    keys = cache(resolver, clock, burst=1)
    await keys.find("pw1.x", "x")
    keys.prove("pw1.x")
    clock.now += 61.0
    for number in range(5):
        await keys.find(f"{number}y.x", "x")
    assert (await keys.find("pw1.x", "x")).answer is Answer.SECURE


async def test_a_look_up_that_began_before_a_message_came_decides_nothing_about_it(clock: Clock) -> None:
    resolver = SlowResolver(secure(RECORD))
    keys = cache(resolver, clock)
    first = asyncio.create_task(keys.find("a.x", "x"))
    await asyncio.sleep(0)
    moment = keys.moment
    second = asyncio.create_task(keys.renew("a.x", "x", moment))
    resolver.go.set()
    await first
    assert (await second).look_up > moment
    assert resolver.asked == 2


def test_what_is_remembered_of_budgets_is_bounded_and_all_together_have_one(clock: Clock) -> None:
    budget = LookUpBudget(overall_per_second=100.0, most_owners=10, clock=clock)
    spent = [budget.take(f"{number}.example") for number in range(1000)]
    assert spent == [None] * 100 + [Spent(by_owner=False, wait_seconds=0.01)] * 900
    assert len(budget._owners) == 10


_NAMES = ("pw1._domainkey.x", "pw2._domainkey.x", "other._domainkey.x")


@given(st.lists(st.tuples(st.sampled_from(_NAMES), st.sampled_from(["find", "renew", "prove", "later"])), max_size=40))
@example(
    [(_NAMES[0], "find"), (_NAMES[0], "prove"), (_NAMES[2], "find"), *[(_NAMES[0], "later")] * 2, (_NAMES[0], "find")]
)
def test_a_look_up_is_said_to_be_denied_just_when_it_would_be(steps: list[tuple[str, str]]) -> None:
    async def run() -> None:
        clock = Clock()
        resolver = ScriptedResolver(dict.fromkeys(_NAMES[:2], secure(RECORD, keep_seconds=1.0)))
        keys = cache(resolver, clock, burst=2, least_seconds=0.0, again_seconds=3.0)
        for name, step in steps:
            past = step == "renew"
            denied = keys.denied(name, "x", past=past)
            if step == "prove":
                keys.prove(name)
            elif step == "later":
                clock.now += 0.7
            elif past or keys.known(name) is None:
                found = await (keys.renew(name, "x", keys.moment) if past else keys.find(name, "x"))
                assert (denied and denied.spent) == found.spent

    asyncio.run(run())
