"""The consuming discipline where no broker can be brought to it: bugs of ours, and rebalances in awkward moments.

The rest is asked of real brokers in tests/integration/test_broker_contract.py.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from aiokafka.errors import CommitFailedError

from shared.broker import Publisher
from shared.consuming import Consuming
from shared.errors import UnavailableError
from shared.received import Received
from shared.settings import KafkaSettings
from shared.topics import DEAD_OURS

EVENT = [("ce_specversion", b"1.0"), ("ce_id", b"1"), ("ce_source", b"//a"), ("ce_type", b"t.v1")]


class Sink(Publisher):
    """Keeps what would be published; ``away`` is how many calls fail first."""

    def __init__(self) -> None:
        super().__init__(KafkaSettings(kafka_bootstrap="127.0.0.1:1"), "//test")
        self.sent: list[tuple[str, bytes | None]] = []
        self.away = 0

    async def send(self, topic: str, key: bytes | None, value: bytes | None, headers: Sequence[Any]) -> None:
        if self.away:
            self.away -= 1
            raise UnavailableError("Kafka did not acknowledge")
        self.sent.append((topic, value))


class Commits:
    """Stands for the client's consumer."""

    def __init__(self) -> None:
        self.offsets: list[int] = []
        self.refuse = False

    async def commit(self, offsets: dict[Any, Any]) -> None:
        if self.refuse:
            raise CommitFailedError
        self.offsets += [found.offset for found in offsets.values()]


@dataclass(frozen=True)
class Record:
    offset: int
    value: bytes | None = b"{}"
    key: bytes | None = b"k"
    topic: str = "t"
    partition: int = 0
    headers: Sequence[tuple[str, bytes | None]] = tuple(EVENT)
    timestamp: int = 0


def records(*offsets: int) -> list[Record]:
    return [Record(offset, key=str(offset).encode()) for offset in offsets]


class Reading:
    """A reader with its surroundings; ``gate`` closed keeps every handler waiting."""

    def __init__(self, **options: Any) -> None:
        self.sink, self.commits, self.gate = Sink(), Commits(), asyncio.Event()
        self.gate.set()
        self.handled: list[int] = []
        self.consuming: Consuming[bytes] = Consuming(
            **{
                "topic": "t", "group": "g", "decode": lambda event: event.data, "publisher": self.sink,
                "handle": self._handle, "commit_interval_seconds": 0.01, "drain_seconds": 1.0, **options,
            }
        )  # fmt: skip
        self.consuming.start(lambda: self.commits)

    async def _handle(self, received: Received[bytes]) -> None:
        await self.gate.wait()
        self.handled.append(received.record.offset)


async def test_a_bug_in_the_decoder_puts_aside_that_record_alone() -> None:
    def decode(event: Any) -> bytes:
        if event.data == b"bug":
            raise ZeroDivisionError
        return bytes(event.data)

    reading = Reading(decode=decode)
    await reading.consuming.take([Record(0), Record(1, b"bug"), Record(2)])
    await reading.consuming.stop()
    assert reading.handled == [0, 2]
    assert reading.sink.sent == [(DEAD_OURS, b"bug")]
    assert reading.commits.offsets[-1] == 3


async def test_a_dead_letter_waits_for_the_broker_and_nothing_is_committed_past_it() -> None:
    reading = Reading()
    reading.sink.away = 2
    await reading.consuming.take([Record(0, None), Record(1)])
    await asyncio.sleep(0.05)
    assert reading.handled == [1]
    assert reading.commits.offsets == []
    await asyncio.sleep(0.4)
    await reading.consuming.stop()
    assert len(reading.sink.sent) == 1
    assert reading.commits.offsets[-1] == 2


async def test_a_rebalance_during_the_stop_opens_nothing_again() -> None:
    reading = Reading()
    reading.gate.clear()
    await reading.consuming.take(records(0))
    stopping = asyncio.create_task(reading.consuming.stop())
    await asyncio.sleep(0.02)
    releasing = asyncio.create_task(reading.consuming.release())
    await asyncio.sleep(0.02)
    reading.gate.set()
    await asyncio.gather(stopping, releasing)
    await reading.consuming.take(records(1))
    await asyncio.sleep(0.02)
    assert reading.handled == [0]


async def test_what_is_taken_before_a_revoke_is_finished_and_what_waits_for_a_place_is_left_to_the_next() -> None:
    reading = Reading(max_in_flight=2)
    reading.gate.clear()
    taking = asyncio.create_task(reading.consuming.take(records(0, 1, 2, 3)))
    await asyncio.sleep(0.02)
    releasing = asyncio.create_task(reading.consuming.release())
    await asyncio.sleep(0.02)
    reading.gate.set()
    await asyncio.gather(taking, releasing)
    assert reading.handled == [0, 1]
    assert reading.commits.offsets[-1] == 2
    await reading.consuming.take(records(2, 3))
    await reading.consuming.stop()
    assert reading.handled == [0, 1, 2, 3]
    assert reading.commits.offsets[-1] == 4


async def test_what_a_drain_did_not_wait_for_is_not_committed_when_it_ends_later() -> None:
    reading = Reading(drain_seconds=0.05)
    reading.gate.clear()
    await reading.consuming.take(records(0))
    await reading.consuming.release()
    reading.gate.set()
    await asyncio.sleep(0.05)
    assert reading.handled == [0]
    assert reading.commits.offsets == []
    await reading.consuming.take(records(0))
    await reading.consuming.stop()
    assert reading.handled == [0, 0]
    assert reading.commits.offsets == [1]


async def test_a_refused_commit_is_tried_again_and_ends_no_reader() -> None:
    reading = Reading()
    reading.commits.refuse = True
    await reading.consuming.take(records(0))
    await asyncio.sleep(0.05)
    reading.commits.refuse = False
    await asyncio.sleep(0.05)
    assert reading.commits.offsets == [1]
    await reading.consuming.stop()


async def test_a_batch_ends_record_by_record() -> None:
    async def handle_batch(batch: Sequence[Received[bytes]]) -> list[Exception | None]:
        return [None if received.data == b"{}" else ZeroDivisionError() for received in batch]

    reading = Reading(handle=None, handle_batch=handle_batch)
    await reading.consuming.take([Record(0), Record(1, b"1"), Record(2, None), Record(3)])
    await reading.consuming.stop()
    assert sorted(topic for topic, _ in reading.sink.sent) == ["facescan.dead.theirs", "facescan.delay.1s"]
    assert reading.commits.offsets[-1] == 4


def test_either_way_to_handle_must_be_given_and_not_both() -> None:
    for wrong in ({"handle": None}, {"handle_batch": object()}):
        with pytest.raises(ValueError, match="either"):
            asyncio.run(_made(**wrong))


async def _made(**options: Any) -> Reading:
    return Reading(**options)


async def test_a_record_whose_handler_gives_a_future_is_finished_when_that_is_done_and_its_lane_goes_on() -> None:
    rests: list[asyncio.Future[None]] = []

    async def handle(received: Received[bytes]) -> asyncio.Future[None]:
        rests.append(asyncio.get_running_loop().create_future())
        return rests[-1]

    reading = Reading(handle=handle, max_in_flight=2)
    taking = asyncio.create_task(reading.consuming.take([Record(0), Record(1), Record(2)]))
    await asyncio.sleep(0.03)
    assert len(rests) == 2  # one lane, and no place for a third
    assert reading.commits.offsets == []
    rests[1].set_result(None)
    await asyncio.sleep(0.03)
    assert (len(rests), reading.commits.offsets) == (3, [])
    rests[0].set_result(None)
    rests[2].cancel()
    await taking
    await reading.consuming.stop()
    assert reading.commits.offsets[-1] == 2
    assert not reading.sink.fatal.is_set()


async def test_a_future_that_fails_ends_the_process_so_that_the_record_is_read_again() -> None:
    rest: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def handle(received: Received[bytes]) -> asyncio.Future[None]:
        return rest

    reading = Reading(handle=handle)
    await reading.consuming.take([Record(0)])
    await asyncio.sleep(0.02)
    rest.set_exception(ZeroDivisionError())
    await reading.consuming.stop()
    assert reading.sink.fatal.is_set()
    assert reading.commits.offsets == []


async def test_of_a_full_lane_further_records_go_aside_in_their_order_and_take_no_place() -> None:
    aside: list[int] = []

    async def overflow(received: Received[bytes]) -> None:
        aside.append(received.record.offset)

    reading = Reading(max_in_flight=8, most_in_lane=3, overflow=overflow)
    reading.gate.clear()
    await reading.consuming.take([Record(offset) for offset in range(50)] + [Record(50, key=b"other")])
    await asyncio.sleep(0.02)
    assert aside == list(range(3, 50))
    reading.gate.set()
    await reading.consuming.stop()
    assert sorted(reading.handled) == [0, 1, 2, 50]
    assert reading.commits.offsets[-1] == 51


async def test_what_only_waits_for_the_broker_s_word_is_no_sign_of_a_handler_that_is_stuck() -> None:
    rest: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def handle(received: Received[bytes]) -> asyncio.Future[None] | None:
        if received.record.offset == 1:
            await asyncio.sleep(0.05)
        return rest

    reading = Reading(handle=handle)
    await reading.consuming.take(records(0, 1))
    await asyncio.sleep(0.02)
    assert reading.consuming.oldest_seconds > 0.01
    await asyncio.sleep(0.05)
    assert (reading.consuming.oldest_seconds, reading.consuming.in_hand) == (0, 2)
    rest.set_result(None)
    await reading.consuming.stop()
    assert reading.commits.offsets[-1] == 2
