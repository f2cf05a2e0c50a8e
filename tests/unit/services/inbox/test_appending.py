"""Messages that wait at the same time travel together, and each of their senders hears what became of it."""

import asyncio
from collections.abc import Sequence

import pytest

from services.inbox.appending import Appender
from shared.broker import LARGEST_BATCH_BYTES, Together
from shared.errors import UnavailableError, UnprocessableError
from tests.support.recording import RecordingPublisher

NEVER = 3600.0
TOPIC = "a.topic"


class Log(RecordingPublisher):
    """A log of some partitions: ``batches`` are what came, (partition, values); ``stuck`` partitions do not answer."""

    def __init__(self, partitions: int = 3) -> None:
        super().__init__()
        self.count = partitions
        self.batches: list[tuple[int, list[bytes]]] = []
        self.stuck: dict[int, asyncio.Event] = {}
        self.trouble: Exception | None = None

    async def partitions(self, topic: str) -> Sequence[int]:
        assert topic == TOPIC
        return range(self.count)

    async def append(self, topic: str, partition: int, records: Sequence[Together]) -> None:
        self.batches.append((partition, [value for _, value, _ in records]))
        if partition in self.stuck:
            await self.stuck[partition].wait()
        if self.trouble is not None:
            raise self.trouble


class Heard:
    """What appends were told, by value."""

    def __init__(self, appender: Appender) -> None:
        self.appender = appender
        self.told: dict[bytes, list[Exception | None]] = {}

    def append(self, *values: bytes) -> None:
        for value in values:
            self.told[value] = []
            self.appender.append(b"key", value, [], self.told[value].append)

    async def of(self, *values: bytes) -> list[Exception | None]:
        """Wait until these are told, and return what."""
        async with asyncio.timeout(10):
            while not all(self.told[value] for value in values):  # noqa: ASYNC110 - told by callbacks
                await asyncio.sleep(0.001)
        assert all(len(self.told[value]) == 1 for value in values)
        return [self.told[value][0] for value in values]


async def test_messages_of_one_turn_travel_as_one_batch_and_each_is_told_once() -> None:
    log = Log()
    heard = Heard(Appender(log, TOPIC))
    values = [b"%d" % number for number in range(20)]
    heard.append(*values)
    assert await heard.of(*values) == [None] * 20
    assert [batch for _, batch in log.batches] == [values]


async def test_the_first_after_a_pause_waits_for_nothing_and_those_behind_it_for_the_next_batch() -> None:
    log = Log()
    heard = Heard(Appender(log, TOPIC, spacing_seconds=0.2, deadline_seconds=NEVER))
    heard.append(b"first")
    await heard.of(b"first")
    for value in (b"second", b"third"):
        heard.append(value)
        await asyncio.sleep(0.01)
    assert [batch for _, batch in log.batches] == [[b"first"]]
    await heard.of(b"second", b"third")
    assert [batch for _, batch in log.batches] == [[b"first"], [b"second", b"third"]]


async def test_a_full_batch_waits_for_no_time_and_a_large_message_travels_alone() -> None:
    log = Log(1)
    heard = Heard(Appender(log, TOPIC, spacing_seconds=NEVER, deadline_seconds=NEVER))
    large = b"x" * (2 * LARGEST_BATCH_BYTES)
    small = [b"%06d" % number + b"x" * 1000 for number in range(200)]
    heard.append(b"first")
    await heard.of(b"first")
    heard.append(*small, large, b"last")
    await heard.of(*small, large)
    assert log.batches[-1] == (0, [large])
    assert all(sum(map(len, batch)) <= LARGEST_BATCH_BYTES for _, batch in log.batches[:-1])
    assert [value for _, batch in log.batches for value in batch] == [b"first", *small, large]
    assert heard.told[b"last"] == []  # it waits for its time


async def test_a_partition_that_does_not_answer_holds_up_its_own_batch_alone() -> None:
    log = Log(3)
    heard = Heard(Appender(log, TOPIC, spacing_seconds=0.0, deadline_seconds=NEVER))
    heard.append(b"first")  # partitions are known from here on
    await heard.of(b"first")
    log.stuck[1] = asyncio.Event()
    values = [b"%d" % number for number in range(8)]
    for value in values:
        heard.append(value)
        await asyncio.sleep(0.005)
    stuck = next(batch for partition, batch in log.batches if partition == 1)
    others = [value for value in values if value not in stuck]
    assert await heard.of(*others) == [None] * len(others)
    assert [partition for partition, _ in log.batches].count(1) == 1
    log.stuck.pop(1).set()
    assert await heard.of(*stuck) == [None] * len(stuck)


async def test_what_is_not_acknowledged_in_time_is_told_so_and_what_has_not_left_is_dropped() -> None:
    log = Log(1)
    log.stuck[0] = asyncio.Event()
    heard = Heard(Appender(log, TOPIC, spacing_seconds=0.0, deadline_seconds=0.1))
    heard.append(b"sent")
    await asyncio.sleep(0.02)
    heard.append(b"waiting")
    assert [type(error) for error in await heard.of(b"sent", b"waiting")] == [TimeoutError, TimeoutError]
    log.stuck.pop(0).set()
    heard.append(b"later")
    assert await heard.of(b"later") == [None]
    assert [batch for _, batch in log.batches] == [[b"sent"], [b"later"]]
    assert len(heard.told[b"sent"]) == 1  # the acknowledgement that came late says nothing more


@pytest.mark.parametrize("trouble", [UnavailableError("away"), UnprocessableError("too large"), ValueError("a bug")])
async def test_trouble_is_told_to_every_sender_of_its_batch_and_the_next_batch_is_sent(trouble: Exception) -> None:
    log = Log()
    log.trouble = trouble
    heard = Heard(Appender(log, TOPIC))
    heard.append(b"a", b"b")
    assert await heard.of(b"a", b"b") == [trouble, trouble]
    log.trouble = None
    heard.append(b"c")
    assert await heard.of(b"c") == [None]
    log.trouble = trouble
    with pytest.raises(type(trouble)):
        await heard.appender.appended(b"key", b"d", [])


async def test_a_bug_in_what_follows_one_append_does_not_keep_the_others_from_their_answer() -> None:
    appender = Appender(Log(), TOPIC)
    heard = Heard(appender)

    def broken(_error: Exception | None) -> None:
        raise ValueError("a bug")

    appender.append(b"key", b"broken", [], broken)
    heard.append(b"good")
    assert await heard.of(b"good") == [None]
