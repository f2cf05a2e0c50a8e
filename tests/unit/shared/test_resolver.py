"""Answers of DNS: what is believed, and for how long and how often anything is asked."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from emulators.world import write_domain
from shared.envelope import key_name
from shared.generation import Generation
from shared.resolver import Answer, CachingResolver, KeyAnswer, ValidatingResolver
from tests.unit.emulators.processes import free_port, running
from tests.unit.services.inbox.messages import RECORD, ScriptedResolver, secure

ABSENT = KeyAnswer(Answer.ABSENT, keep_seconds=30.0)


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


async def test_an_answer_is_kept_for_its_time_to_live() -> None:
    resolver = ScriptedResolver({"long": secure(RECORD), "short": secure(RECORD, keep_seconds=0.05)})
    caching = CachingResolver(resolver)
    for _ in range(3):
        await caching.look_up("long")
        await caching.look_up("short")
    assert resolver.asked == ["long", "short"]
    await asyncio.sleep(0.06)  # the time to live itself
    await caching.look_up("long")
    await caching.look_up("short")
    assert resolver.asked == ["long", "short", "short"]


async def test_a_negative_answer_is_kept_too() -> None:
    resolver = ScriptedResolver({})
    caching = CachingResolver(resolver)
    assert await caching.look_up("nobody") == ABSENT
    assert await caching.look_up("nobody") == ABSENT
    assert resolver.asked == ["nobody"]


async def test_an_undecided_answer_is_not_kept() -> None:
    resolver = ScriptedResolver({"away": KeyAnswer(Answer.UNDECIDED, keep_seconds=60.0)})
    caching = CachingResolver(resolver)
    await caching.look_up("away")
    resolver.answers["away"] = secure(RECORD)
    assert (await caching.look_up("away")).answer is Answer.SECURE
    assert resolver.asked == ["away", "away"]


async def test_nothing_is_kept_longer_than_the_bound() -> None:
    resolver = ScriptedResolver({"day": secure(RECORD, keep_seconds=86400.0)})
    caching = CachingResolver(resolver, longest_seconds=0.0)
    await caching.look_up("day")
    await caching.look_up("day")
    assert resolver.asked == ["day", "day"]


async def test_the_name_that_was_learnt_first_makes_room() -> None:
    resolver = ScriptedResolver({})
    caching = CachingResolver(resolver, most_names=2)
    for name in ("a", "b", "c"):
        await caching.look_up(name)
    resolver.asked.clear()
    for name in ("b", "c", "a"):
        await caching.look_up(name)
    assert resolver.asked == ["a"]


async def test_many_at_once_ask_once() -> None:
    resolver = SlowResolver(secure(RECORD))
    caching = CachingResolver(resolver)
    asking = [asyncio.create_task(caching.look_up("name")) for _ in range(50)]
    await asyncio.sleep(0)
    resolver.go.set()
    assert {await task for task in asking} == {resolver.answer}
    assert resolver.asked == 1


async def test_one_who_gives_up_does_not_end_the_look_up_of_the_others() -> None:
    resolver = SlowResolver(secure(RECORD))
    caching = CachingResolver(resolver)
    first = asyncio.create_task(caching.look_up("name"))
    second = asyncio.create_task(caching.look_up("name"))
    await asyncio.sleep(0)
    first.cancel()
    resolver.go.set()
    assert await second == resolver.answer
    assert resolver.asked == 1


async def test_a_fresh_look_up_goes_past_the_cache_once_in_its_interval() -> None:
    resolver = ScriptedResolver({"name": secure(RECORD)})
    caching = CachingResolver(resolver, fresh_seconds=0.05)
    await caching.look_up("name")
    await caching.look_up("name", fresh=True)
    assert resolver.asked == ["name"]
    await asyncio.sleep(0.06)  # the interval itself
    for _ in range(3):
        await caching.look_up("name", fresh=True)
    assert resolver.asked == ["name", "name"]


# -- against a real resolver over UDP --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    long = RECORD + ";n=" + "x" * 600
    write_domain(folder, "signed.example", {"pw1": RECORD, "long": long})
    write_domain(folder, "unsigned.example", {"pw1": RECORD}, secure=False)
    (folder / "broken.example.json").write_text('{"secure": true, "keys": {}, "dns": {"servfail": true}}')
    (folder / "slow.example.json").write_text('{"secure": true, "keys": {}, "dns": {"delay_seconds": 5}}')
    return folder


@pytest.fixture(scope="module")
def dns_address(world: Path) -> Iterator[str]:
    with running("emulators.dns", "--world", str(world), "--port", "0") as (_, address):
        yield address


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("pw1._domainkey.signed.example", Answer.SECURE),
        ("pw1._domainkey.pw.signed.example", Answer.SECURE),
        ("pw2._domainkey.signed.example", Answer.ABSENT),
        ("pw1._domainkey.nowhere.example", Answer.ABSENT),
        ("pw1._domainkey.unsigned.example", Answer.INSECURE),
        ("pw1._domainkey.broken.example", Answer.UNDECIDED),
        ("pw1._domainkey.slow.example", Answer.UNDECIDED),
    ],
)
async def test_what_a_resolver_says_is_read(dns_address: str, name: str, expected: Answer) -> None:
    answer = await ValidatingResolver(dns_address, 0.3).look_up(name)
    assert answer.answer is expected
    assert answer.records == ((RECORD,) if expected is Answer.SECURE else ())


async def test_a_record_of_several_strings_is_joined_and_may_be_too_long_for_udp(dns_address: str) -> None:
    answer = await ValidatingResolver(dns_address, 2.0).look_up("long._domainkey.signed.example")
    assert answer.answer is Answer.SECURE
    assert answer.records[0].startswith(f"{RECORD};n=xxx")
    assert len(answer.records[0]) == len(RECORD) + 603


async def test_a_resolver_that_is_not_there_is_undecided() -> None:
    answer = await ValidatingResolver(f"127.0.0.1:{free_port()}", 0.3).look_up("pw1._domainkey.signed.example")
    assert answer.answer is Answer.UNDECIDED


async def test_a_name_too_long_for_dns_is_absent_for_trying_again_would_not_help(dns_address: str) -> None:
    sender = ".".join(["x" * 60] * 4) + ".example"
    name = key_name(Generation.POLLYWEB, "s" * 60, sender)
    assert (await ValidatingResolver(dns_address, 0.3).look_up(name)).answer is Answer.ABSENT
