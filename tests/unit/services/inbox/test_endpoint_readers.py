"""Endpoints that hang, fail and refuse, on a real (embedded) broker: each costs itself alone, and nothing is lost."""

import asyncio
import statistics
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cli.embedded_topics import make_topics
from services.inbox.endpoint_map import EndpointMap, read_endpoint_map
from services.inbox.endpoint_readers import EndpointReaders
from shared.broker import Publisher
from shared.events import EndpointRequested
from shared.generation import Generation
from shared.topics import DEAD_THEIRS
from tests.support.readers import all_records, service_settings, until
from tests.unit.services.inbox.handlers import Handler, handling


def a_map(folder: Path, handlers: dict[str, Handler], more: str = "") -> EndpointMap:
    text = "version = 1\n"
    for name, handler in handlers.items():
        text += f'[endpoints.{name}]\nkind = "http"\nurl = "{handler.url}"\ntimeout_seconds = 1\n{more}\n'
    path = folder / f"{uuid.uuid4().hex}.toml"
    path.write_text(text + f'[[routes]]\nsubject = "*"\nto = ["{next(iter(handlers))}"]\n')
    return read_endpoint_map(path)


def request(endpoint: str, key: str, text: str) -> EndpointRequested:
    return EndpointRequested(
        endpoint=endpoint,
        order_key=key,
        message_id=str(uuid.uuid4()),
        subject="A@B",
        sender="a.example",
        generation=Generation.NLWEB,
        correlation=str(uuid.uuid4()),
        message=text,
        accepted_at=datetime.now(UTC),
    )


class Running:
    """Readers of a map, and a publisher for them."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        settings = service_settings(bootstrap)
        self.publisher = Publisher(settings, "//identity.example/inbox")
        self.discarded: list[str] = []
        self.readers = EndpointReaders(settings, self.publisher, self._discarded)

    async def _discarded(self, data: EndpointRequested, why: str) -> None:
        self.discarded.append(f"{data.message}: {why}")

    async def ask(self, endpoint: str, key: str, text: str) -> None:
        data = request(endpoint, key, text)
        await self.publisher.publish(data, data.message_id)

    async def dead(self, endpoint: str) -> list[str]:
        return [
            dict(record.headers)["facescan_dead_reason"].decode()
            for record in await all_records(self.bootstrap, DEAD_THEIRS)
            if dict(record.headers)["facescan_dead_group"].decode().endswith(f".{endpoint}")
        ]


@asynccontextmanager
async def delivering(bootstrap: str, endpoints: EndpointMap) -> AsyncIterator[Running]:
    await make_topics(bootstrap)
    running = Running(bootstrap)
    await running.publisher.start()
    running.readers.update(endpoints)
    try:
        yield running
    finally:
        await running.readers.stop()
        await running.publisher.stop()


def names() -> tuple[str, ...]:
    """Names that no other test has: each is a group of its own."""
    return tuple(f"e{uuid.uuid4().hex[:8]}" for _ in range(4))


async def test_one_that_hangs_and_one_that_fails_cost_only_themselves_and_settle_in_order_when_they_recover(
    kafka: str, tmp_path: Path
) -> None:
    hangs, fails, good, other = names()
    async with handling() as one, handling() as two, handling() as three, handling() as four:
        endpoints = a_map(tmp_path, {hangs: one, fails: two, good: three, other: four})
        async with delivering(kafka, endpoints) as running:
            for name in (hangs, fails, good, other):
                await running.ask(name, "warm", "warm")
            await until(lambda: all(handler.done for handler in (one, two, three, four)), 40)

            async def measure(round_: str) -> list[float]:
                times = []
                for number in range(40):
                    sent = time.perf_counter()
                    text = f"{round_} {number}"
                    await running.ask(good, f"k{number % 3}", text)
                    await until(lambda text=text: any(body == text for _, body in three.done), 20)  # type: ignore[misc]
                    times.append(time.perf_counter() - sent)
                return times

            before = await measure("before")
            one.hangs, two.status = True, 500
            for number in range(60):
                await running.ask(hangs, f"k{number % 5}", f"{number}")
                await running.ask(fails, f"k{number % 5}", f"{number}")
            meanwhile = await measure("meanwhile")
            assert len(one.done) == len(two.done) == 1
            # The measured p95 (ratio below 1.2 on a quiet machine) with room for a loaded one; a shared reader or pool
            # would show the time-out of a second.
            p95 = [statistics.quantiles(times, n=20)[-1] for times in (before, meanwhile)]
            print(f"p95 before {p95[0] * 1000:.1f} ms, meanwhile {p95[1] * 1000:.1f} ms")
            assert p95[1] < max(3 * p95[0], 0.3)
            one.hangs, two.status = False, 200
            await until(lambda: len(set(one.done)) == len(set(two.done)) == 61, 60)
        for handler in (one, two):
            for key in range(5):
                # At least once: repeats may be there, but no message before its predecessor was done.
                in_order = list(dict.fromkeys(int(body) for _, body in handler.done[1:] if int(body) % 5 == key))
                assert in_order == sorted(in_order)


async def test_what_an_endpoint_refuses_is_put_aside_at_once_and_its_key_goes_on(kafka: str, tmp_path: Path) -> None:
    name = names()[0]
    async with handling(status=400) as handler, delivering(kafka, a_map(tmp_path, {name: handler})) as running:
        await running.ask(name, "k", "bad")
        await until(lambda: running.discarded, 40)
        handler.status = 200
        await running.ask(name, "k", "good")
        await until(lambda: [body for _, body in handler.done] == ["good"])
        assert running.discarded == ["bad: refused: 400"]
        assert await running.dead(name) == [f"endpoint {name}: refused: 400"]


async def test_a_message_that_fails_while_others_succeed_is_put_aside_and_its_key_goes_on(
    kafka: str, tmp_path: Path
) -> None:
    name = names()[0]
    async with handling(refuses={"poison"}) as handler:
        endpoints = a_map(tmp_path, {name: handler}, "most_failures = 2")
        async with delivering(kafka, endpoints) as running:
            await running.ask(name, "k", "poison")
            await running.ask(name, "k", "after")
            await running.ask(name, "other", "other")
            await until(lambda: {body for _, body in handler.done} == {"other", "after"}, 40)
            assert running.discarded[0].startswith("poison: given up: failed 2 times while others succeeded")


async def test_a_new_map_starts_and_ends_readers_and_nothing_is_lost(kafka: str, tmp_path: Path) -> None:
    first, second = names()[:2]
    async with handling() as one, handling() as two:
        async with delivering(kafka, a_map(tmp_path, {first: one})) as running:
            await running.ask(second, "k", "early")
            await running.ask(first, "k", "a")
            await until(lambda: one.done, 40)
            running.readers.update(a_map(tmp_path, {second: two}))
            await until(lambda: two.done, 40)
            await running.ask(first, "k", "b")
            await asyncio.sleep(0.3)
            assert len(one.done) == 1
            running.readers.update(a_map(tmp_path, {first: one, second: two}))
            await until(lambda: [body for _, body in one.done] == ["a", "b"], 40)
        assert [body for _, body in two.done] == ["early"]


@pytest.mark.parametrize("text", ['topic = "acme.messages"'])
async def test_a_topic_of_somebody_else_s_gets_the_message_as_it_is(kafka: str, tmp_path: Path, text: str) -> None:
    name = names()[0]
    path = tmp_path / "map.toml"
    path.write_text(
        f'version = 1\n[endpoints.{name}]\nkind = "topic"\n{text}\n[[routes]]\nsubject="*"\nto=["{name}"]\n'
    )
    async with delivering(kafka, read_endpoint_map(path)) as running:
        await running.publisher._producer.partitions_for("acme.messages")  # type: ignore[union-attr] # makes it here
        await running.ask(name, "k", '{"exact":  "text"}')

        async def there() -> list[bytes]:
            return [record.value for record in await all_records(kafka, "acme.messages")]

        for _ in range(200):
            if found := await there():
                break
            await asyncio.sleep(0.1)
        assert found == [b'{"exact":  "text"}']
