"""What every reader and publisher of ours relies on, asked of the embedded broker and of a real Apache Kafka alike.

Where the two differ the suite does not skip: it tests either behaviour, and prints the table of differences.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Literal

import confluent_kafka
import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer, TopicPartition
from prometheus_client import REGISTRY

from cli.embedded_topics import make_topics
from services.async_post.delayer import Delayer
from shared.broker import Publisher
from shared.dead_letters import PREFIX
from shared.delays import TARGET_HEADER, UNTIL_HEADER
from shared.endings import BUG_DELAYS_SECONDS
from shared.errors import ConfigurationError, RetryLaterError, UnavailableError, UnprocessableError
from shared.events import CaptureCompleted
from shared.fetching import Fetching
from shared.received import ATTEMPT_HEADER, FAILURES_HEADER, GROUP_HEADER, Received
from shared.service import Service
from shared.topics import DEAD_OURS, DEAD_THEIRS, TOPICS, TopicSpec, create_topics, delay_topic
from tests.support.readers import (
    RunningReader,
    Writer,
    all_records,
    event,
    new_topic,
    partitions_of_topics,
    service_settings,
    until,
    until_async,
    verification_id,
)
from tests.support.targets import AnyTopic
from tests.unit.emulators.processes import running

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.unbroken]

Kind = Literal["embedded", "real"]
PARTITIONS: Final = 4
POOL_SIZE: Final = 16
# The real broker's own lower bound is 6 s.
SESSION_TIMEOUT_SECONDS: Final[dict[Kind, float]] = {"embedded": 4.0, "real": 10.0}

DIFFERENCES: Final[dict[str, dict[Kind, str]]] = {
    "a topic nobody created": {
        "embedded": "comes to be when it is first asked for",
        "real": "stays unknown; publishing fails after 20 s, a reader's start after 40 s",
    },
    "creating topics": {
        "embedded": "refused (no controller); cli.embedded_topics asks for their metadata instead",
        "real": "as declared",
    },
    "partitions of a topic": {"embedded": "always 4", "real": "as declared"},
    "first join of a group": {"embedded": "takes 3 s", "real": "at once"},
    "a member leaves, comes back, or another joins": {
        "embedded": "the group waits for nearly a session time-out (4 s here; less than 3 s never joins)",
        "real": "the group waits for its members' answers only",
    },
    "a second member joins a group": {
        "embedded": "the group may break (SyncGroup: invalid request); tested: one member after the other",
        "real": "partitions are shared, nothing is lost or handled twice",
    },
}


@pytest.fixture(scope="module", autouse=True)
def table_of_differences(request: pytest.FixtureRequest) -> Iterator[None]:
    """Print at the end where the brokers differ."""
    yield
    reporter = request.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None:
        reporter.ensure_newline()
        reporter.section("embedded broker | Apache Kafka", sep="-")
        for what, ways in DIFFERENCES.items():
            reporter.line(f"{what}: {ways['embedded']} | {ways['real']}")


@dataclass
class Broker:
    """One broker, a foreign publisher on it, and readers that have joined their groups already."""

    kind: Kind
    bootstrap: str
    writer: Writer
    pool: list[RunningReader] = field(default_factory=list)
    begun: list[RunningReader] = field(default_factory=list)
    # A publisher and a reader that try for long: they do it beside all the other tests.
    misspelt: tuple[asyncio.Task[None], asyncio.Task[RunningReader]] | None = None

    def reader(self) -> RunningReader:
        """Return a reader that runs, on an empty topic of its own."""
        return self.pool.pop()

    async def start(self, like: RunningReader, **options: Any) -> RunningReader:
        """Return one more member of a reader's group, started."""
        reader = self.make_reader(like.topic, group=like.group, **options)
        return await reader.start()

    def make_reader(self, topic: str, **options: Any) -> RunningReader:
        """Return a reader that does not run yet."""
        seconds = SESSION_TIMEOUT_SECONDS[self.kind]
        reader = RunningReader(self.bootstrap, topic, session_timeout_seconds=seconds, **options)
        self.begun.append(reader)
        return reader

    async def dead_letters(self, reader: RunningReader, topic: str = DEAD_THEIRS, count: int = 1) -> list[Any]:
        """Return what was put aside from a reader's topic, when ``count`` records were, in the order of offsets."""
        found: list[Any] = []

        async def there() -> bool:
            found[:] = [
                record
                for record in await all_records(self.bootstrap, topic)
                if (f"{PREFIX}topic", reader.topic.encode()) in record.headers
            ]
            return len(found) >= count

        await until_async(there)
        assert len(found) == count
        return sorted(found, key=lambda record: int(dict(record.headers)[f"{PREFIX}offset"]))

    async def delayed(self, reader: RunningReader, rung: int) -> list[Any]:
        """Return what waits for a reader's topic in a delay topic, when there is something."""
        found: list[Any] = []

        async def there() -> bool:
            found[:] = [
                record
                for record in await all_records(self.bootstrap, delay_topic(rung))
                if (TARGET_HEADER, reader.topic.encode()) in record.headers
            ]
            return bool(found)

        await until_async(there)
        return found


@pytest_asyncio.fixture(
    scope="module", loop_scope="module", params=["embedded", pytest.param("real", marks=pytest.mark.kafka)]
)
async def broker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Broker]:
    """A broker with the system's topics and a pool of readers, which join side by side."""
    kind: Kind = request.param
    if kind == "real":
        async for ready in _with_readers(kind, request.getfixturevalue("real_kafka")):
            yield ready
        return
    address = tmp_path_factory.mktemp("kafka") / "address"
    with running("emulators.kafka", "--address-file", str(address)) as (_, bootstrap):
        async for ready in _with_readers(kind, bootstrap):
            yield ready


async def _with_readers(kind: Kind, bootstrap: str) -> AsyncIterator[Broker]:
    await make_topics(bootstrap)
    writer = Writer(bootstrap)
    await writer.start()
    broker = Broker(kind, bootstrap, writer)
    readers = [broker.make_reader(new_topic()) for _ in range(POOL_SIZE)]
    broker.pool = list(readers)
    if kind == "real":
        await create_topics(bootstrap, specs=[TopicSpec(reader.topic, PARTITIONS, 3600, "") for reader in readers])
    await asyncio.gather(*(writer.touch(reader.topic) for reader in readers))
    lost = broker.make_reader("misspelt")
    publisher = Publisher(service_settings(bootstrap), "//test")
    await publisher.start()
    sending = asyncio.create_task(publisher.send("misspelt", b"k", b"v", []))
    broker.misspelt = sending, asyncio.create_task(lost.start())
    await asyncio.gather(*(reader.start() for reader in readers))
    try:
        yield broker
    finally:
        await publisher.stop()
        await asyncio.gather(*(reader.stop() for reader in broker.begun))
        await writer.stop()


async def test_only_the_contiguous_finished_prefix_is_committed_and_the_rest_is_read_again(broker: Broker) -> None:
    reader = broker.reader()
    reader.consuming._drain_seconds = 0.3
    never = asyncio.Event()

    async def stuck_on_three(received: Received[CaptureCompleted]) -> None:
        if received.data.attempt == 3:
            await never.wait()

    reader.handle = stuck_on_three
    for number in range(1, 6):
        await broker.writer.write(reader.topic, number, number)
    await until(lambda: sorted(reader.handled) == [1, 2, 4, 5])
    await reader.until_committed(2)
    await reader.stop()
    assert await reader.committed() == 2
    await broker.writer.write(reader.topic, 6, 6)

    again = await broker.start(reader)
    await until(lambda: len(again.handled) == 4)
    assert sorted(again.handled) == [3, 4, 5, 6]
    await again.until_committed(6)
    never.set()


async def test_what_was_acknowledged_is_read_after_the_reader_comes_back(broker: Broker) -> None:
    reader = broker.reader()
    await reader.stop()
    publisher = Publisher(service_settings(broker.bootstrap), "//test")
    await publisher.start()
    made = [event(number, number) for number in range(1, 101)]
    await publisher.send_all(
        [
            (reader.topic, verification_id(number).encode(), one.data, one.to_headers())
            for number, one in enumerate(made)
        ]
    )
    await publisher.stop()
    again = await broker.start(reader)
    await until(lambda: len(again.handled) == 100)
    assert sorted(again.handled) == list(range(1, 101))


async def test_how_much_waits_is_said_by_a_reader_that_is_stuck_too(broker: Broker) -> None:
    reader = broker.reader()
    never = asyncio.Event()

    async def stuck(_received: Received[CaptureCompleted]) -> None:
        await never.wait()

    reader.handle = stuck
    publisher = Publisher(service_settings(broker.bootstrap), "//test")
    await publisher.start()
    for waiting, more in ((2000, 2000), (3000, 1000)):
        made = [event(number, number) for number in range(1, more + 1)]
        await publisher.send_all([(reader.topic, one.id.encode(), one.data, one.to_headers()) for one in made])
        await until(partial(_waits, reader, waiting), 30)
    await publisher.stop()
    never.set()
    await until(lambda: len(reader.handled) == 3000, 30)


def _waits(reader: RunningReader, count: int) -> bool:
    # What is just being handed over, a part of one fetch, is not counted.
    said = REGISTRY.get_sample_value("facescan_lag_records", {"group": reader.group}) or 0
    return count - 500 <= said <= count


async def test_records_that_are_sent_together_keep_their_order_in_each_partition_whatever_their_size(
    broker: Broker,
) -> None:
    reader = broker.reader()
    publisher = Publisher(service_settings(broker.bootstrap), "//test")
    await publisher.start()
    sizes = [0, 0, 60_000, 0, 30_000, 30_000, 30_000, 30_000, 30_000, 0, 200_000, 0]
    keys = [b"one", b"two", b"one", b"one", b"two", b"one", b"one", b"one", b"two", None, b"one", b"one"]
    made = [event(number, number) for number in range(1, len(sizes) + 1)]
    await publisher.send_all(
        [
            (reader.topic, key, one.data + b" " * size, one.to_headers())
            for key, size, one in zip(keys, sizes, made, strict=True)
        ]
    )
    await publisher.stop()
    await until(lambda: len(reader.handled) == len(sizes))
    records = await all_records(broker.bootstrap, reader.topic)
    for key in (b"one", b"two"):
        mine = sorted((record for record in records if record.key == key), key=lambda record: record.offset)
        assert len({record.partition for record in mine}) == 1
        ids = [dict(record.headers)["ce_id"].decode() for record in mine]
        assert ids == [one.id for one, of in zip(made, keys, strict=True) if of == key]


async def test_a_batch_is_in_the_log_of_its_partition_as_a_whole_with_its_headers(broker: Broker) -> None:
    reader = broker.reader()
    publisher = Publisher(service_settings(broker.bootstrap), "//test")
    await publisher.start()
    made = [event(number, number) for number in range(1, 41)]
    partitions = await publisher.partitions(reader.topic)
    assert list(partitions) == list(range(PARTITIONS))
    for start in (0, 20):
        together = [
            (verification_id(start + number).encode(), one.data, one.to_headers())
            for number, one in enumerate(made[start : start + 20])
        ]
        await publisher.append(reader.topic, partitions[start // 20], together)
    large = event(41, 41)
    padded = (b"large", large.data + b" " * 200_000, large.to_headers())
    await publisher.append(reader.topic, partitions[2], [padded])  # larger than a batch, and alone in its own
    with pytest.raises(UnprocessableError, match="do not fit one batch"):
        await publisher.append(reader.topic, partitions[2], [padded, padded])
    await publisher.stop()
    await until(lambda: len(reader.handled) == 41)
    assert sorted(reader.handled) == list(range(1, 42))
    places = [(record.partition, record.key) for record in await all_records(broker.bootstrap, reader.topic)]
    assert sorted(partition for partition, _ in places) == [0] * 20 + [1] * 20 + [2]


async def test_the_order_of_a_key_is_kept_and_a_slow_key_delays_no_other(broker: Broker) -> None:
    reader = broker.reader()
    gate = asyncio.Event()

    async def slow_key_waits(received: Received[CaptureCompleted]) -> None:
        if received.data.verification_id == verification_id("slow"):
            await gate.wait()
        await asyncio.sleep(0.001 * (received.data.attempt % 3))

    reader.handle = slow_key_waits
    for number in range(1, 11):
        await broker.writer.write(reader.topic, number, "slow")
    for number in range(11, 31):
        await broker.writer.write(reader.topic, number, "quick")
    for number in range(31, 51):
        await broker.writer.write(reader.topic, number, "other")
    await until(lambda: len(reader.handled) == 40)
    assert await reader.committed() == 0
    gate.set()
    await until(lambda: len(reader.handled) == 50)
    for first, last in ((1, 11), (11, 31), (31, 51)):
        assert [number for number in reader.handled if first <= number < last] == list(range(first, last))
    await reader.until_committed(50)


async def test_a_bad_record_is_put_aside_byte_for_byte_and_delays_nothing(broker: Broker) -> None:
    reader = broker.reader()
    good = event(1)
    headers = good.to_headers()
    of_type = [(name, value) for name, value in headers if name != "ce_type"]
    structured = [("content-type", b"application/cloudevents+json")]
    deep = b'{"specversion":"1.0","id":"1","source":"s","type":"t","data":' + b"[" * 500 + b"]" * 500 + b"}"
    bad: list[tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]], str]] = [
        (b"k1", b"\x00\xff garbage", [], "neither header ce_specversion"),
        (b"k2", good.data, [*headers, ("ce_id", b"\xff\xfe")], "header ce_id is not UTF-8"),
        (b"k3", b"{not json", [*headers], "Invalid JSON"),
        (b"k4", b'{"attempt": 0}', [*headers], "verification_id: Field required"),
        (b"k5", good.data, [*of_type, ("ce_type", b"facescan.capture.completed.v2")], "completed.v2' is not facescan"),
        (b"k6", good.data, [*of_type, ("ce_type", b"com.example.other")], "event type 'com.example.other'"),
        (b"k7", None, [*headers], "the record has no value"),
        (None, None, [], "the record has no value"),
        (None, b"", [("x", None), ("y", b"\xff")], "neither header ce_specversion"),
        (b"k10", deep, [*structured], "data cannot be written again"),
        (b"k11", good.data, [*headers, (ATTEMPT_HEADER, b"9" * 5000), ("ce_specversion", b"9")], "specversion"),
    ]
    await broker.writer.write(reader.topic, 1, "before")
    for key, value, with_headers, _ in bad:
        await broker.writer.write_raw(reader.topic, value, key=key, headers=with_headers)
    await broker.writer.write(reader.topic, 2, "after")
    await until(lambda: reader.handled == [1, 2], 5)
    await reader.until_committed(len(bad) + 2)

    letters = await broker.dead_letters(reader, count=len(bad))
    for number, (letter, (key, value, with_headers, reason)) in enumerate(zip(letters, bad, strict=True), start=1):
        kept = [header for header in letter.headers if not header[0].startswith(PREFIX)]
        said = dict(letter.headers)
        # The client cannot write a record with neither key nor value: its key becomes empty.
        assert letter.key == (b"" if key is None and value is None else key)
        assert (letter.value, kept) == (value, with_headers)
        assert said[f"{PREFIX}offset"] == str(number).encode()
        assert said[f"{PREFIX}partition"] == b"0"
        assert said[f"{PREFIX}group"] == reader.group.encode()
        assert reason in said[f"{PREFIX}reason"].decode()


async def test_odd_headers_beside_a_good_event_do_no_harm(broker: Broker) -> None:
    reader = broker.reader()
    odd: list[list[tuple[str, bytes | None]]] = [
        [("x", None)],
        [("x", b"\xff\xfe")],
        [("ce_extension", None)],
        [("x", b"1"), ("x", b"2")],
        [("", b"")],
        [(ATTEMPT_HEADER, b"9" * 5000)],
        [(ATTEMPT_HEADER, b"-1")],
        [(ATTEMPT_HEADER, b"0")],
        [(ATTEMPT_HEADER, None)],
        [(GROUP_HEADER, None)],
        [("ce_traceparent", b"junk")],
    ]
    for number, extra in enumerate(odd, start=1):
        await broker.writer.write(reader.topic, number, number, extra=extra)
    await until(lambda: len(reader.handled) == len(odd), 5)
    assert sorted(reader.handled) == list(range(1, len(odd) + 1))
    assert set(reader.attempts) == {1}
    await reader.until_committed(len(odd))


async def test_a_record_that_fills_the_limit_is_put_aside_without_what_does_not_fit(broker: Broker) -> None:
    """A compressed batch of another publisher may hold a record that the broker would not take from us."""
    reader = broker.reader()
    foreign = confluent_kafka.Producer(
        {"bootstrap.servers": broker.bootstrap, "compression.type": "gzip", "message.max.bytes": 8_000_000}
    )
    junk = b"0" * 3_000_000
    foreign.produce(reader.topic, junk, key=b"k", partition=0)
    assert await asyncio.to_thread(foreign.flush, 10) == 0
    good = event(1)
    large = [("padding", b"0" * 2_000_000)]

    async def refuse_two(received: Received[CaptureCompleted]) -> None:
        if received.data.attempt == 2:
            raise UnprocessableError("not this one")
        if received.data.attempt == 3:
            raise RuntimeError("a bug")

    reader.handle = refuse_two
    key = verification_id("same").encode()
    for number in (2, 3):
        foreign.produce(
            reader.topic, event(number, "same").data, key=key, partition=0, headers=[*good.to_headers(), *large]
        )
    assert await asyncio.to_thread(foreign.flush, 10) == 0
    await broker.writer.write(reader.topic, 4, "same")
    await until(lambda: reader.handled == [4])
    await reader.until_committed(4)

    first, second = await broker.dead_letters(reader, count=2)
    (third,) = await broker.dead_letters(reader, DEAD_OURS)
    assert junk.startswith(first.value)
    assert dict(first.headers)[f"{PREFIX}cut"] == b"3000000"
    assert dict(first.headers)[f"{PREFIX}offset"] == b"0"
    assert dict(second.headers)[f"{PREFIX}reason"] == b"not this one"
    assert dict(third.headers)[f"{PREFIX}reason"] == b"failed: RuntimeError"


async def test_a_record_that_meets_a_bug_waits_and_in_the_end_is_put_aside_as_ours(broker: Broker) -> None:
    reader = broker.reader()

    async def bug(_: Received[CaptureCompleted]) -> None:
        raise ZeroDivisionError("a secret may stand here")

    reader.handle = bug
    began = time.time()
    last = str(len(BUG_DELAYS_SECONDS)).encode()
    await broker.writer.write(reader.topic, 1, "same", extra=[("x", None), ("y", b"\xff")])
    await broker.writer.write(
        reader.topic, 2, "same", extra=[(FAILURES_HEADER, last), (GROUP_HEADER, reader.group.encode())]
    )
    (waiting,) = await broker.delayed(reader, 1)
    headers = dict(waiting.headers)
    assert waiting.key == verification_id("same").encode()
    assert waiting.value == event(1, "same").data
    assert (headers["x"], headers["y"]) == (None, b"\xff")
    assert headers[ATTEMPT_HEADER] == b"2"
    assert headers[GROUP_HEADER] == reader.group.encode()
    assert began + 1 <= float(headers[UNTIL_HEADER] or 0) <= time.time() + 1

    (letter,) = await broker.dead_letters(reader, DEAD_OURS)
    assert letter.value == event(2, "same").data
    assert dict(letter.headers)[f"{PREFIX}reason"] == b"failed: ZeroDivisionError"
    assert b"secret" not in b"".join(value or b"" for _, value in letter.headers)
    await reader.until_committed(2)


async def test_a_record_to_be_tried_later_waits_and_comes_back_to_its_own_group_alone(broker: Broker) -> None:
    reader, delivered = broker.reader(), []

    async def later(received: Received[CaptureCompleted]) -> None:
        if received.attempt == 1:
            raise RetryLaterError("the receiver is busy", after_seconds=7.0)
        delivered.append(received.attempt)

    reader.handle = later
    began = time.time()
    await broker.writer.write(reader.topic, 1)
    (waiting,) = await broker.delayed(reader, 5)
    headers = dict(waiting.headers)
    assert began + 7 <= float(headers[UNTIL_HEADER] or 0) <= time.time() + 7
    assert headers[GROUP_HEADER] == reader.group.encode()
    assert headers[ATTEMPT_HEADER] == b"2"

    back = [(ATTEMPT_HEADER, b"2"), (GROUP_HEADER, b"another.group")]
    await broker.writer.write(reader.topic, 2, extra=back)
    await broker.writer.write(reader.topic, 1, extra=[back[0], (GROUP_HEADER, reader.group.encode())])
    await until(lambda: reader.handled == [1])
    await reader.until_committed(3)
    assert delivered == [2]
    assert 2 not in reader.started


async def test_while_a_part_is_away_a_record_is_tried_in_place_and_other_keys_go_on(broker: Broker) -> None:
    reader, away = broker.reader(), True

    async def needs_a_part(received: Received[CaptureCompleted]) -> None:
        if away and received.data.verification_id == verification_id("needs"):
            raise UnavailableError("the store does not answer")

    reader.handle = needs_a_part
    await broker.writer.write(reader.topic, 1, "needs")
    await broker.writer.write(reader.topic, 2, "needs")
    for number in range(3, 13):
        await broker.writer.write(reader.topic, number, number)
    await until(lambda: len(reader.handled) == 10)
    await until(lambda: reader.started.count(1) >= 3)
    assert reader.handled == list(range(3, 13))
    assert await reader.committed() == 0
    assert reader.consuming.oldest_seconds < 5
    away = False
    await until(lambda: len(reader.handled) == 12)
    assert reader.handled[-2:] == [1, 2]
    await reader.until_committed(12)
    assert [record for record in await all_records(broker.bootstrap, DEAD_OURS)
            if (f"{PREFIX}topic", reader.topic.encode()) in record.headers] == []  # fmt: skip


async def test_a_stop_finishes_and_commits_what_is_in_flight(broker: Broker) -> None:
    reader = broker.reader()

    async def slow(_: Received[CaptureCompleted]) -> None:
        await asyncio.sleep(0.4)

    reader.handle = slow
    for number in range(1, 21):
        await broker.writer.write(reader.topic, number, number % 10)
    await until(lambda: len(reader.started) >= 10)
    await reader.stop()
    in_flight = len(reader.handled)
    assert sorted(reader.started) == sorted(reader.handled)
    assert await reader.committed() == in_flight
    assert in_flight >= 10


async def test_when_partitions_go_to_another_member_nothing_is_lost_and_nothing_is_handled_twice(
    broker: Broker,
) -> None:
    reader, total = broker.reader(), 300

    async def takes_a_moment(_: Received[CaptureCompleted]) -> None:
        await asyncio.sleep(0.02)

    reader.handle = takes_a_moment

    async def write_all() -> None:
        for number in range(1, total + 1):
            await broker.writer.write(reader.topic, number, number % 20, partition=number % PARTITIONS)
            await asyncio.sleep(0.01)

    writing = asyncio.create_task(write_all())
    await until(lambda: len(reader.handled) > 20)
    if broker.kind == "embedded":
        await reader.stop()
    second = await broker.start(reader, handle=takes_a_moment)
    await writing
    await until(lambda: len(reader.handled) + len(second.handled) >= total, 20)
    await asyncio.sleep(0.5)
    assert sorted(reader.handled + second.handled) == list(range(1, total + 1))
    assert second.handled
    if broker.kind == "embedded":
        return
    shares = [len(one.service.broker.subscribers[0].consumer.assignment()) for one in (reader, second)]  # type: ignore[attr-defined]
    assert shares == [2, 2]
    # The one that leaves drains; the other takes over where it has committed.
    await reader.stop()
    for number in range(total + 1, total + 21):
        await broker.writer.write(reader.topic, number, number % 20, partition=number % PARTITIONS)
    await until(lambda: len(reader.handled) + len(second.handled) >= total + 20, 20)
    assert sorted(reader.handled + second.handled) == list(range(1, total + 21))


@pytest.mark.parametrize("codecs", [("none", "gzip", "snappy", "lz4", "zstd")], ids=["all_codecs"])
async def test_records_are_read_whatever_codec_a_foreign_publisher_chose(
    broker: Broker, codecs: tuple[str, ...]
) -> None:
    reader = broker.reader()
    for number, codec in enumerate(codecs, start=1):
        foreign = confluent_kafka.Producer(
            {"bootstrap.servers": broker.bootstrap, "compression.type": codec, "linger.ms": 20}
        )
        for copy in range(20):
            made = event(100 * number + copy, number)
            foreign.produce(reader.topic, made.data, key=str(number).encode(), headers=made.to_headers(), partition=0)  # type: ignore[arg-type]
        assert await asyncio.to_thread(foreign.flush, 10) == 0
    expected = [100 * number + copy for number in range(1, len(codecs) + 1) for copy in range(20)]
    await until(lambda: len(reader.handled) == len(expected))
    assert sorted(reader.handled) == expected


async def test_of_a_backlog_each_fetch_has_something_of_all_partitions_and_nothing_is_left_out(broker: Broker) -> None:
    topic, count = new_topic(), 1500
    if broker.kind == "real":
        await create_topics(broker.bootstrap, specs=[TopicSpec(topic, PARTITIONS, 3600, "")])
    await broker.writer.touch(topic)
    foreign = confluent_kafka.Producer({"bootstrap.servers": broker.bootstrap, "linger.ms": 20})
    for number in range(count):
        for partition in range(PARTITIONS):
            foreign.produce(topic, b"%d" % number + b" " * 100, partition=partition)
    assert await asyncio.to_thread(foreign.flush, 20) == 0

    consumer = AIOKafkaConsumer(bootstrap_servers=broker.bootstrap, auto_offset_reset="earliest")
    async with consumer:
        consumer.assign([TopicPartition(topic, partition) for partition in range(PARTITIONS)])
        fetching, came, largest, furthest_apart = Fetching(0.01), [0] * PARTITIONS, 0, 0
        async with asyncio.timeout(30):
            while min(came) < count:
                records = await fetching(consumer)
                largest = max(largest, len(records))
                for record in records:
                    assert record.offset == came[record.partition], "in their order, each once"
                    came[record.partition] += 1
                if max(came) < count:
                    furthest_apart = max(furthest_apart, max(came) - min(came))
    assert came == [count] * PARTITIONS
    assert largest <= 500
    assert furthest_apart <= 750, "a fetch of one partition and no more; read to its end it would be 1,000"


async def test_topics_are_created_as_declared_and_a_second_time_changes_nothing(broker: Broker) -> None:
    specs = (TopicSpec(new_topic(), 3, 3600, "a test"), TopicSpec(new_topic(), 1, 3600, "a test"))
    if broker.kind == "embedded":
        with pytest.raises(UnavailableError):
            await create_topics(broker.bootstrap, specs=specs)
        await make_topics(broker.bootstrap)
        assert await make_topics(broker.bootstrap) == []
    else:
        assert await create_topics(broker.bootstrap, specs=specs) == [spec.name for spec in specs]
        assert await create_topics(broker.bootstrap, specs=specs) == []
        assert await create_topics(broker.bootstrap) == []
    there = await partitions_of_topics(broker.bootstrap)
    for spec in TOPICS if broker.kind == "embedded" else (*TOPICS, *specs):
        assert there[spec.name] == (4 if broker.kind == "embedded" else spec.partitions)


async def test_a_record_that_met_a_bug_comes_back_through_the_delayer_and_is_handled(broker: Broker) -> None:
    """The delayer starts late, so that the tests before this one see what waits and not what came back."""
    reader = broker.reader()

    async def works_the_second_time(received: Received[CaptureCompleted]) -> None:
        if received.attempt == 1:
            raise ZeroDivisionError

    reader.handle = works_the_second_time
    seconds = SESSION_TIMEOUT_SECONDS[broker.kind]
    service = Service("test", service_settings(broker.bootstrap, seconds))
    service.read(Delayer(service.publisher, AnyTopic()), CaptureCompleted, "delays")
    await service.app.start()
    try:
        began = time.monotonic()
        await broker.writer.write(reader.topic, 1, "same", extra=[("x", None)])
        await broker.writer.write(reader.topic, 2, "other", extra=[(ATTEMPT_HEADER, b"2")])
        await until(lambda: reader.handled == [2, 1])
        assert time.monotonic() - began >= 1
        assert reader.attempts == [1, 2, 2]
        await reader.until_committed(2)
        (back,) = [record for record in await all_records(broker.bootstrap, reader.topic)
                   if (GROUP_HEADER, reader.group.encode()) in record.headers]  # fmt: skip
        names = [name for name, _ in back.headers]
        assert {TARGET_HEADER, UNTIL_HEADER}.isdisjoint(names)
        assert ("x", None) in back.headers
        assert (back.key, back.value) == (verification_id("same").encode(), event(1, "same").data)
    finally:
        await service.app.stop()


async def test_a_misspelt_topic_fails_loudly_where_topics_are_not_made_by_themselves(broker: Broker) -> None:
    assert broker.misspelt is not None
    sending, starting = broker.misspelt
    if broker.kind == "embedded":
        await asyncio.gather(sending, starting)
        assert "misspelt" in await partitions_of_topics(broker.bootstrap)
        return
    with pytest.raises(UnavailableError, match="did not acknowledge"):
        await sending
    with pytest.raises(ConfigurationError, match="a topic is missing"):
        await starting
    assert "misspelt" not in await partitions_of_topics(broker.bootstrap)
