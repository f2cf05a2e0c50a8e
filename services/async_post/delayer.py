"""The delayer: brings delayed records back when their time has come (rule 5).

Each partition of a delay topic is in the order of its due times. The reader takes what is due, and pauses a partition
whose head is not: no memory is held, no commit is made, and waiting hours causes no rebalance.
"""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Container, Mapping, Sequence
from math import isfinite
from types import MappingProxyType
from typing import Any, Final

from aiokafka import ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError
from aiokafka.structs import OffsetAndMetadata

from shared.broker import Publisher, Record, RecordHeader
from shared.dead_letters import Side, put_aside
from shared.delays import NEAR_SECONDS, TARGET_HEADER, UNTIL_HEADER, delayed, without_delay
from shared.errors import UnavailableError, UnprocessableError
from shared.topics import DELAY_RUNGS_SECONDS, delay_topic
from shared.topics import TOPICS as DECLARED

log = logging.getLogger(__name__)

GROUP: Final = "facescan.async_post.delayer"
TOPICS: Final = {delay_topic(rung): rung for rung in DELAY_RUNGS_SECONDS}
_BACKOFF_SECONDS: Final = 1.0
# So many are looked at in one go on the event loop; 500 would take it for 20 ms.
_AT_ONCE: Final = 64
# Where a delayed record may appear. A topic that is not there would be asked for in vain, and hold up all behind it.
TARGETS: Final = frozenset(spec.name.encode() for spec in DECLARED if spec.name not in TOPICS)


class Delayer(ConsumerRebalanceListener):  # type: ignore[misc] # the client has no types
    """Reads the delay topics.

    ``waits`` says, by target, until when a record whose time has come goes on waiting (epoch seconds), None for not at
    all: what cannot be handled yet needs not leave the delay topics to be put back into them.
    """

    def __init__(
        self,
        publisher: Publisher,
        targets: Container[bytes] = TARGETS,
        waits: Mapping[str, Callable[[Any], float | None]] = MappingProxyType({}),
    ) -> None:
        self._publisher = publisher
        self._targets = targets
        self._waits = {target.encode(): waits_until for target, waits_until in waits.items()}
        self._consumer: Callable[[], Any] = lambda: None
        self._wakes: dict[TopicPartition, asyncio.Task[None]] = {}
        self.topics: Sequence[str] = tuple(TOPICS)
        self.group = GROUP
        self.listener: Any = self
        self.assigned = False
        self.holds = True
        self.turn_seconds = 0.0  # it pauses partitions itself
        self.oldest_seconds = 0.0
        self.oldest_record_seconds = 0.0
        self.in_hand = 0

    def start(self, consumer: Callable[[], Any]) -> None:
        """Begin; ``consumer`` gives the client's consumer."""
        self._consumer = consumer

    async def stop(self) -> None:
        """End the waits; nothing is lost, for nothing was taken."""
        self._forget_waits()

    async def on_partitions_revoked(self, revoked: Any) -> None:
        """Forget the waits; whoever gets the partitions begins at their committed offsets."""
        self._forget_waits()
        self.assigned = False

    async def on_partitions_assigned(self, assigned: Any) -> None:
        """Note that there is work."""
        self.assigned = True

    def _forget_waits(self) -> None:
        for wake in self._wakes.values():
            wake.cancel()
        self._wakes.clear()

    async def take(self, records: Sequence[Any]) -> None:
        """Bring back what is due among a fetch of records; each partition is put to sleep at its first that is not."""
        partitions: dict[TopicPartition, list[Any]] = defaultdict(list)
        for record in records:
            partitions[TopicPartition(record.topic, record.partition)].append(record)
        await asyncio.gather(*(self._advance(partition, queue) for partition, queue in partitions.items()))

    async def _advance(self, partition: TopicPartition, records: Sequence[Any]) -> None:
        rung = TOPICS[partition.topic]
        due: list[Any] = []
        for record in records:
            # The record's own time: the topic's order is that of its appends, and so of these.
            wait = min(record.timestamp / 1000 + rung, _until(record) or float("inf")) - time.time()
            if wait > 0:
                self._sleep(partition, record.offset, wait)
                break
            due.append(record)
        if not due:
            return
        try:
            await self._bring_back(due)
        except UnavailableError as error:
            log.warning("delayed records wait", extra={"why": str(error)})
            self._sleep(partition, due[0].offset, _BACKOFF_SECONDS)
        else:
            await self._commit(partition, due[-1].offset + 1)

    async def _bring_back(self, records: Sequence[Any]) -> None:
        """Let records appear where they are to, in their order; what is no delayed record is put aside."""
        coming: list[tuple[Any, Record]] = []
        for start in range(0, len(records), _AT_ONCE):
            if start:
                await asyncio.sleep(0)  # others have their turn
            some = records[start : start + _AT_ONCE]
            coming += [(record, found) for record in some if (found := self._next_of(record)) is not None]
        if len(coming) < len(records):
            good = {id(record) for record, _ in coming}
            for record in records:
                if id(record) not in good:
                    why = "no delayed record: its headers do not say where it is to appear, and when"
                    await put_aside(self._publisher, record, side=Side.THEIRS, group=GROUP, reason=why)
        try:
            await self._publisher.send_all([found for _, found in coming])
        except UnprocessableError as error:
            if len(coming) > 1:
                for record, _ in coming:  # one of them is to blame
                    await self._bring_back([record])
            else:
                await put_aside(self._publisher, coming[0][0], side=Side.OURS, group=GROUP, reason=type(error).__name__)

    def _next_of(self, record: Any) -> Record | None:
        """Return what a record becomes when its time in a topic is over: itself again, or one that waits on."""
        target = next((value for name, value in record.headers if name == TARGET_HEADER and value), None)
        until = _until(record)
        if target is None or target not in self._targets or until is None:
            return None
        headers: list[RecordHeader] = list(record.headers)
        near = time.time() + NEAR_SECONDS
        if until <= near and (waits_until := self._waits.get(target)) is not None:
            until = waits_until(record) or until
        if until > near:
            return delayed(
                target=target.decode(), until_epoch_seconds=until, key=record.key, value=record.value, headers=headers
            )
        return target.decode(), record.key, record.value, without_delay(headers)

    def _sleep(self, partition: TopicPartition, offset: int, seconds: float) -> None:
        consumer = self._consumer()
        try:
            consumer.pause(partition)
            consumer.seek(partition, offset)
        except (IllegalStateError, AttributeError):
            return  # taken away meanwhile: its next reader begins at the committed offset
        old = self._wakes.pop(partition, None)
        if old is not None:
            old.cancel()
        self._wakes[partition] = asyncio.create_task(self._wake(partition, seconds))

    async def _wake(self, partition: TopicPartition, seconds: float) -> None:
        await asyncio.sleep(seconds)
        try:
            self._consumer().resume(partition)
        except (IllegalStateError, AttributeError):
            return  # as above

    async def _commit(self, partition: TopicPartition, offset: int) -> None:
        consumer = self._consumer()
        if consumer is None:
            return
        try:
            await consumer.commit({partition: OffsetAndMetadata(offset, "")})
        except KafkaError as error:
            # They come back once more; everybody who reads them knows repeats.
            log.warning("not committed", extra={"group": GROUP, "why": type(error).__name__})


def _until(record: Any) -> float | None:
    for name, value in record.headers:
        if name == UNTIL_HEADER and value:
            try:
                moment = float(value)
            except ValueError:
                return None
            # Infinity would go round for ever.
            return moment if isfinite(moment) else None
    return None
