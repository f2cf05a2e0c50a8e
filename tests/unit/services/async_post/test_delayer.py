"""Records that wait in Kafka, against a real (embedded) broker: back in time, none lost, garbage put aside."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from services.async_post.delayer import GROUP, Delayer
from shared.broker import Publisher
from shared.dead_letters import PREFIX
from shared.delays import NEAR_SECONDS, TARGET_HEADER, UNTIL_HEADER, delay_record
from shared.service import Service
from shared.topics import DEAD_THEIRS, delay_topic
from tests.support.readers import Writer, all_records, new_topic, service_settings, until, until_async
from tests.support.targets import AnyTopic

# The shortest delay is what a record may be late by, and as much and a half for a machine that has other tests to run;
# the next delay is five times it.
LATE_SECONDS = 2.5


@dataclass
class Bench:
    """Delays records and looks at what came back."""

    bootstrap: str
    publisher: Publisher

    async def delay(self, target: str, after_seconds: Sequence[float]) -> dict[bytes, float]:
        """Delay one record for each; return when each is due."""
        due = {f"{number}".encode(): time.time() + after for number, after in enumerate(after_seconds)}
        await asyncio.gather(
            *(
                delay_record(
                    self.publisher,
                    target=target,
                    until_epoch_seconds=moment,
                    key=name,
                    value=b"value " + name,
                    headers=[("ce_id", name), ("null", None), ("bytes", b"\xff")],
                )
                for name, moment in due.items()
            )
        )
        return due

    async def back(self, target: str, count: int, seconds: float) -> list[Any]:
        """Return what is in the target when ``count`` different records are."""

        async def there() -> bool:
            return len({record.key for record in await all_records(self.bootstrap, target)}) >= count

        await until_async(there, seconds)
        return await all_records(self.bootstrap, target)


@asynccontextmanager
async def running(
    bootstrap: str, waits: Mapping[str, Callable[[Any], float | None]] = MappingProxyType({})
) -> AsyncIterator[Bench]:
    """Run the delayer as a service does."""
    # The embedded broker gives the partitions of a member that has gone away only after its session's time.
    quick = service_settings(bootstrap).model_copy(update={"kafka_session_timeout_seconds": 6.0})
    service = Service("test", quick)
    delayer = Delayer(service.publisher, AnyTopic(), waits)
    service.read(delayer, dict[str, Any], "a test")
    await service.app.start()
    try:
        await until(lambda: delayer.assigned, 30)
        yield Bench(bootstrap, service.publisher)
    finally:
        await service.app.stop()


async def test_records_of_mixed_times_come_back_in_time_as_they_were_and_garbage_stops_none(kafka: str) -> None:
    target, writer = new_topic(), Writer(kafka)
    mark = uuid.uuid4().bytes
    async with running(kafka) as bench:
        await writer.start()
        soon = str(time.time() + 1).encode()
        garbage: list[tuple[bytes | None, list[tuple[str, bytes | None]]]] = [
            (mark + b"no headers", []),
            (mark + b"no target", [(UNTIL_HEADER, soon)]),
            (mark + b"no time", [(TARGET_HEADER, target.encode())]),
            (mark + b"a time that is none", [(TARGET_HEADER, target.encode()), (UNTIL_HEADER, b"soon")]),
            (mark + b"a target that cannot be", [(TARGET_HEADER, b"no topic/\xff"), (UNTIL_HEADER, soon)]),
            (mark + b"nulls", [(TARGET_HEADER, None), (UNTIL_HEADER, None)]),
            (mark + b"\xff\x00", [("odd", b"\xff")]),
        ]
        for value, headers in garbage:
            for partition in range(4):
                await writer.write_raw(delay_topic(1), value, key=mark, headers=headers, partition=partition)
        waits = [0.05, 3.2, 0.3, 1.0, 2.1, 0.9, 1.5, 0.0, 2.5, -5.0, 1.05, 0.6] * 3
        due = await bench.delay(target, waits)
        records = await bench.back(target, len(due), 15)
        await writer.stop()
    assert sorted(record.key for record in records) == sorted(due)
    for record in records:
        assert record.value == b"value " + record.key
        assert list(record.headers) == [("ce_id", record.key), ("null", None), ("bytes", b"\xff")]
        late = record.timestamp / 1000 - due[record.key]
        assert late >= -NEAR_SECONDS - 0.005, "a record came back early"
        assert late <= LATE_SECONDS or waits[int(record.key)] < 0, "a record came back late"
    dead = [record for record in await all_records(kafka, DEAD_THEIRS) if record.key == mark]
    assert sorted(record.value for record in dead) == sorted(value or b"" for value, _ in garbage for _ in range(4))
    for record in dead:
        why = dict(record.headers)
        assert why[f"{PREFIX}group"] == GROUP.encode()
        assert why[f"{PREFIX}topic"] == b"facescan.delay.1s"
        given = next(given for value, given in garbage if value == record.value)
        assert list(record.headers)[: len(given)] == given


async def test_a_restart_in_the_middle_loses_none_and_brings_none_early(kafka: str) -> None:
    target = new_topic()
    async with running(kafka) as bench:
        due = await bench.delay(target, [0.2, 0.4, 0.6, 0.8, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0])
        await bench.back(target, 2, 10)
    assert len({record.key for record in await all_records(kafka, target)}) < len(due)
    async with running(kafka) as bench:
        records = await bench.back(target, len(due), 20)
    assert {record.key for record in records} == set(due)
    for record in records:
        assert record.timestamp / 1000 >= due[record.key] - NEAR_SECONDS - 0.005


async def test_what_cannot_be_handled_yet_goes_on_waiting_and_comes_back_once_as_it_was(kafka: str) -> None:
    target, other = new_topic(), new_topic()
    asked: list[bytes] = []

    def waits_until(record: Any) -> float | None:
        asked.append(record.key)
        return time.time() + 1.5 if asked.count(record.key) <= 2 else None

    async with running(kafka, {target: waits_until}) as bench:
        began = time.time()
        await bench.delay(target, [0.5, 0.5])
        await bench.delay(other, [0.5])
        records = await bench.back(target, 2, 20)
        (soon,) = await bench.back(other, 1, 10)
    assert soon.timestamp / 1000 < began + 0.5 + LATE_SECONDS
    assert sorted(record.key for record in records) == [b"0", b"1"]
    assert sorted(asked) == [b"0"] * 3 + [b"1"] * 3
    for record in records:
        assert record.value == b"value " + record.key
        assert list(record.headers) == [("ce_id", record.key), ("null", None), ("bytes", b"\xff")]
        assert record.timestamp / 1000 > began + 0.5 + 2 * 1.5 - NEAR_SECONDS
