"""The consuming discipline of every service (rules 1, 3, 4): batch in, lanes per key, one way to end for each record.

A record ends in one of three ways, and only then counts as finished: handled; back later through a delay topic; put
aside with its exact bytes. While the broker or a store is away it is tried again in place. Offsets are committed up to
the end of the contiguous finished prefix: on a timer, when partitions are revoked, and at the stop. FastStream feeds it
by a batch subscriber with manual acknowledgement, of which it never uses the acknowledging part.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Sequence
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import Any, Final, Generic, TypeVar

from aiokafka import ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError
from aiokafka.structs import OffsetAndMetadata

from shared import metrics
from shared.broker import Publisher
from shared.cloudevents import CloudEvent
from shared.dead_letters import Side
from shared.endings import Endings, side_of
from shared.errors import UnavailableError, UnprocessableError
from shared.fetching import TURN_SECONDS
from shared.offsets import OffsetWindow
from shared.received import Received, is_for, read_record
from shared.telemetry import SpanKind, span, untraced

log = logging.getLogger(__name__)

D = TypeVar("D")

_FIRST_BACKOFF_SECONDS: Final = 0.1
_LONGEST_BACKOFF_SECONDS: Final = 5.0
# Of a reader that lets go of its partitions; what is not committed by then is read again.
_LAST_COMMIT_SECONDS: Final = 3.0

# May return a future: the record has been handled when that is done, and its lane goes on at once.
Handler = Callable[[Received[D]], Awaitable[asyncio.Future[None] | None]]
# Gives for each item None when it is handled, or the error that says how it ends.
BatchHandler = Callable[[Sequence[Received[D]]], Awaitable[Sequence[Exception | None]]]


@dataclass(slots=True)
class _Item(Generic[D]):
    received: Received[D]
    window: OffsetWindow
    taken_at: float


class Consuming(Generic[D]):
    """One reader of one topic in one group.

    Give ``handle`` for one record at a time (in order per lane, lanes side by side) or ``handle_batch`` for all records
    of a fetch at once. ``lane`` is the record's key unless given; records without a key have no order among themselves.
    ``mine`` says of a raw record whether it is for this reader at all; others are passed over unread.
    Of a lane that has ``most_in_lane`` waiting, further records go to ``overflow``, in their order and without waiting,
    so that one lane cannot take all places. ``on_release`` is called when the partitions are given anew.
    """

    def __init__(
        self,
        *,
        topic: str,
        group: str,
        decode: Callable[[CloudEvent], D],
        publisher: Publisher,
        handle: Handler[D] | None = None,
        handle_batch: BatchHandler[D] | None = None,
        lane: Callable[[Received[D]], Hashable] | None = None,
        mine: Callable[[Any], bool] | None = None,
        most_in_lane: int = 0,
        overflow: Handler[D] | None = None,
        on_release: Callable[[], None] = lambda: None,
        max_in_flight: int = 256,
        turn_seconds: float = TURN_SECONDS,
        commit_interval_seconds: float = 0.2,
        drain_seconds: float = 15.0,
    ) -> None:
        if (handle is None) == (handle_batch is None):
            raise ValueError("give either handle or handle_batch")
        self.topic = topic
        self.topics: Sequence[str] = (topic,)
        self.group = group
        self.holds = False
        self.turn_seconds = turn_seconds
        self._decode = decode
        self._publisher = publisher
        self._endings = Endings(publisher, group)
        self._handle = handle
        self._handle_batch = handle_batch
        self._lane = lane or _key_of
        self._mine = mine
        self._most_in_lane = most_in_lane
        self._overflow = overflow
        self._on_release = on_release
        self._max_in_flight = max_in_flight
        self._slots = asyncio.Semaphore(max_in_flight)
        self._commit_interval_seconds = commit_interval_seconds
        self._drain_seconds = drain_seconds
        self._windows: dict[TopicPartition, OffsetWindow] = {}
        self._committed: dict[TopicPartition, int] = {}
        self._lanes: dict[Hashable, deque[_Item[D]]] = {}
        # What has been handled when a future is done: it may be one for many.
        self._later: dict[asyncio.Future[None], list[_Item[D]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        # When each was taken (monotonic), and when Kafka got it (epoch milliseconds).
        self._open: dict[int, tuple[float, int]] = {}
        self._consumer: Callable[[], Any] = lambda: None
        self._committer: asyncio.Task[None] | None = None
        self._epoch = 0
        self._draining = False
        self._stopped = False
        self._waiting_for_part = 0
        self.listener = _Rebalances(self)
        self.assigned = False
        metrics.IN_FLIGHT.labels(group).set_function(lambda: len(self._open))
        # Looked up once: that costs more than to count.
        self._count_handled = metrics.CONSUMED.labels(topic, "handled")
        self._handling_seconds = metrics.HANDLING_SECONDS.labels(topic)

    # -- the framework's side ------------------------------------------------------------------------------------

    def start(self, consumer: Callable[[], Any]) -> None:
        """Begin to commit; ``consumer`` gives the client's consumer, which is there once the broker has started."""
        self._consumer = consumer
        self._committer = asyncio.create_task(self._commit_regularly(), name=f"commit {self.group}")

    async def stop(self) -> None:
        """Finish what is in flight, within the drain time, and commit it; what is not finished is read again."""
        self._stopped = True
        await self._drain()
        if self._committer is not None:
            self._committer.cancel()

    async def take(self, records: Sequence[Any]) -> None:
        """Take a fetch of records; returns when each has a place, so that a full house stops the fetching."""
        epoch = self._epoch
        good: list[_Item[D]] = []
        topic, partition, window = "", -1, OffsetWindow()
        for record in records:
            if self._draining or epoch != self._epoch:
                return  # revoked meanwhile: whoever has the partition now reads them again
            if record.topic != topic or record.partition != partition:
                topic, partition = record.topic, record.partition
                window = self._windows.setdefault(TopicPartition(topic, partition), OffsetWindow())
            if not window.take(record.offset):
                continue
            item = self._read(record, window)
            if item is None:
                continue
            self._open[id(item)] = (item.taken_at, record.timestamp)
            if self._handle is None:
                good.append(item)
            else:
                await self._slots.acquire()
                if self._draining or epoch != self._epoch:
                    self._slots.release()
                    self._open.pop(id(item), None)
                    return
                self._enqueue(item, self._handle)
        if good and self._handle_batch is not None:
            await self._run_batch(good, self._handle_batch)

    def _read(self, record: Any, window: OffsetWindow) -> _Item[D] | None:
        """Return a record with what it says; None when it ends here: it is not for this reader, or no such event."""
        if (self._mine is not None and not self._mine(record)) or not is_for(self.group, record):
            window.finish(record.offset)
            return None
        try:
            received = read_record(record, self._decode)
        except Exception as error:  # noqa: BLE001 - an escape would skip all records of the fetch after this one
            self._spawn(self._put_aside_unread(record, window, error))
            return None
        return _Item(received, window, time.monotonic())

    @property
    def draining(self) -> bool:
        """Whether it wants its records back: a handler that only waits should end with UnavailableError."""
        return self._draining

    @property
    def free(self) -> int:
        """How many records may be taken now without waiting for a place."""
        return max(0, self._max_in_flight - len(self._open))

    @property
    def oldest_seconds(self) -> float:
        """Age of the oldest record being handled; 0 while all that keeps it is a part that does not answer."""
        if not self._open or self._waiting_for_part:
            return 0.0
        return max(0.0, time.monotonic() - min(self._open.values())[0])

    @property
    def in_hand(self) -> int:
        """How many records were taken and are not finished."""
        return len(self._open)

    @property
    def oldest_record_seconds(self) -> float:
        """For how long the oldest record in hand has been in Kafka; 0 with none in hand."""
        if not self._open:
            return 0.0
        return max(0.0, time.time() - min(at for _, at in self._open.values()) / 1000)

    # -- lanes ---------------------------------------------------------------------------------------------------

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            # A lane that dies would hold its records for ever: the process must start anew and read them again.
            log.critical("a lane died", extra={"group": self.group, "error": type(error).__name__})
            self._publisher.fatal.set()

    def _enqueue(self, item: _Item[D], handle: Handler[D]) -> None:
        try:
            key = self._lane(item.received)
        except Exception:  # noqa: BLE001 - a record without a lane has one of its own
            key = item.received.position
        waiting = self._lanes.get(key)
        if waiting is not None:
            if self._overflow is not None and len(waiting) >= self._most_in_lane:
                self._spawn(self._run_beside(item, self._overflow))
            else:
                waiting.append(item)
            return
        self._lanes[key] = deque((item,))
        self._spawn(self._run_lane(key, handle))

    async def _run_lane(self, key: Hashable, handle: Handler[D]) -> None:
        waiting = self._lanes[key]
        while waiting:
            item, rest = waiting[0], None
            try:
                rest = await self._run_one(item, handle)
            finally:
                waiting.popleft()
                self._leave_after(item, rest)
        del self._lanes[key]

    async def _run_beside(self, item: _Item[D], handle: Handler[D]) -> None:
        rest = None
        try:
            rest = await self._run_one(item, handle)
        finally:
            self._leave_after(item, rest)

    def _leave_after(self, item: _Item[D], rest: asyncio.Future[None] | None) -> None:
        """Let a record's place go when ``rest`` is done, or now."""
        if rest is None:
            self._leave(item)
            return
        later = self._later.get(rest)
        if later is None:
            later = self._later[rest] = []
            rest.add_done_callback(self._handled_later)
        later.append(item)
        # Handled, and no longer a sign of a handler that is stuck: the broker may be away for an hour.
        self._open[id(item)] = (inf, item.received.record.timestamp)

    def _leave(self, item: _Item[D]) -> None:
        self._slots.release()
        self._open.pop(id(item), None)

    def _handled_later(self, rest: asyncio.Future[None]) -> None:
        items = self._later.pop(rest)
        for item in items:
            self._leave(item)
        if rest.cancelled():
            return  # they are read again
        error = rest.exception()
        if error is None:
            self._finish_all(items)
        else:
            log.critical("a record's end is not known", extra={"group": self.group, "error": type(error).__name__})
            self._publisher.fatal.set()

    async def _run_one(self, item: _Item[D], handle: Handler[D]) -> asyncio.Future[None] | None:
        ended, end = await self._until_available(partial(self._attempt, item.received, handle))
        if ended:
            if end is None:
                self._finish(item, "handled")
            elif isinstance(end, Exception):
                await self._settle(item, end)
            else:
                rest: asyncio.Future[None] = end
                return rest
        return None

    async def _attempt(self, received: Received[D], handle: Handler[D]) -> Exception | asyncio.Future[None] | None:
        try:
            if untraced(received.event.traceparent):
                return await handle(received)
            with _record_span(self.topic, self.group, received.event):
                return await handle(received)
        except UnavailableError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the record must end somewhere
            return error

    async def _run_batch(self, items: list[_Item[D]], handle_batch: BatchHandler[D]) -> None:
        async def attempt() -> Sequence[Exception | None]:
            try:
                return await handle_batch([item.received for item in items])
            except UnavailableError:
                raise
            except Exception as error:  # noqa: BLE001 - as above
                if len(items) == 1:
                    return [error]
                # One of them is to blame: each is tried by itself, so that it alone is sent away.
                return [(await self._try_alone(item, handle_batch)) for item in items]

        try:
            ended, errors = await self._until_available(attempt)
            if ended and errors is not None:
                self._finish_all([item for item, error in zip(items, errors, strict=True) if error is None])
                failed = [(item, error) for item, error in zip(items, errors, strict=True) if error is not None]
                await asyncio.gather(*(self._settle(item, error) for item, error in failed))
        finally:
            for item in items:
                self._open.pop(id(item), None)

    @staticmethod
    async def _try_alone(item: _Item[D], handle_batch: BatchHandler[D]) -> Exception | None:
        try:
            return (await handle_batch([item.received]))[0]
        except UnavailableError:
            raise
        except Exception as error:  # noqa: BLE001 - as above
            return error

    # -- how a record ends ---------------------------------------------------------------------------------------

    async def _until_available(self, work: Callable[[], Awaitable[Any]]) -> tuple[bool, Any]:
        """Repeat ``work`` while a part does not answer; (False, None) when a drain ends that, the record unfinished."""
        backoff = _FIRST_BACKOFF_SECONDS
        while True:
            try:
                return True, await work()
            except UnavailableError as error:
                metrics.UNAVAILABLE.labels(self.group).inc()
                log.warning("waiting", extra={"group": self.group, "why": str(error), "seconds": backoff})
            if self._draining:
                return False, None
            self._waiting_for_part += 1
            try:
                await asyncio.sleep(backoff)
            finally:
                self._waiting_for_part -= 1
            backoff = min(backoff * 2, _LONGEST_BACKOFF_SECONDS)

    async def _settle(self, item: _Item[D], error: Exception) -> None:
        received, side = item.received, side_of(error, item.received.failures)
        ended = False
        if side is None:
            try:
                ended, _ = await self._until_available(lambda: self._endings.delay(received, error))
            except UnprocessableError:  # it is too large to be written again as a whole, and so cannot be delayed
                side = Side.OURS
        if side is not None:
            ended, _ = await self._until_available(lambda: self._endings.put_aside(received, error, side))
        if ended:
            self._finish(item, "delayed" if side is None else "put_aside")

    def _finish_all(self, items: Sequence[_Item[D]]) -> None:
        """Note that all have been handled."""
        now = time.monotonic()
        for item in items:
            item.window.finish(item.received.record.offset)
            self._handling_seconds.observe(now - item.taken_at)
        self._count_handled.inc(len(items))

    def _finish(self, item: _Item[D], outcome: str) -> None:
        item.window.finish(item.received.record.offset)
        (self._count_handled if outcome == "handled" else metrics.CONSUMED.labels(self.topic, outcome)).inc()
        self._handling_seconds.observe(time.monotonic() - item.taken_at)

    async def _put_aside_unread(self, record: Any, window: OffsetWindow, error: Exception) -> None:
        ended, _ = await self._until_available(lambda: self._endings.put_aside_unread(record, error))
        if ended:
            window.finish(record.offset)
            metrics.CONSUMED.labels(self.topic, "put_aside").inc()

    # -- commits -------------------------------------------------------------------------------------------------

    async def _commit_regularly(self) -> None:
        while True:
            await asyncio.sleep(self._commit_interval_seconds)
            await self.commit()

    async def commit(self) -> None:
        """Commit each partition's finished prefix, where it has grown."""
        consumer = self._consumer()
        offsets = {
            partition: window.committable
            for partition, window in self._windows.items()
            if window.committable is not None and window.committable != self._committed.get(partition)
        }
        if not offsets or consumer is None:
            return
        try:
            await consumer.commit({partition: OffsetAndMetadata(offset, "") for partition, offset in offsets.items()})
        except (CommitFailedError, IllegalStateError) as error:
            # The partitions are another member's now; it reads again what was not committed.
            log.warning("not committed", extra={"group": self.group, "why": type(error).__name__})
        except KafkaError as error:
            log.warning("commit waits", extra={"group": self.group, "why": type(error).__name__})
        else:
            self._committed.update(offsets)

    async def _drain(self) -> None:
        """Take nothing new, finish what is in flight within the drain time, commit the finished prefix."""
        self._draining = True
        self._epoch += 1
        deadline = time.monotonic() + self._drain_seconds
        # Lanes, batches and dead letters end in three ways; looking is simpler than three signals.
        while (self._lanes or self._tasks or self._open) and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        if self._open:
            log.warning("not drained", extra={"group": self.group, "in_hand": len(self._open)})
        try:
            # The client would try for as long as the broker is away.
            async with asyncio.timeout(_LAST_COMMIT_SECONDS):
                await self.commit()
        except TimeoutError:
            log.warning("not committed", extra={"group": self.group, "why": "no answer"})

    async def release(self) -> None:
        """Let go of all partitions: drain, commit, forget (aiokafka's rebalances revoke everything)."""
        await self._drain()
        self._windows.clear()
        self._committed.clear()
        self._on_release()
        self.assigned = False
        self._draining = self._stopped  # a rebalance during the stop opens nothing again


class _Rebalances(ConsumerRebalanceListener):  # type: ignore[misc] # the client has no types
    """Tells a reader when the group takes its partitions away."""

    def __init__(self, consuming: Consuming[Any]) -> None:
        self._consuming = consuming

    async def on_partitions_revoked(self, revoked: Any) -> None:
        if revoked:
            await self._consuming.release()

    async def on_partitions_assigned(self, assigned: Any) -> None:
        self._consuming.assigned = True


def _key_of(received: Received[Any]) -> Hashable:
    key = received.record.key
    return key if key is not None else received.position


def _record_span(topic: str, group: str, event: CloudEvent) -> Any:
    return span(
        f"process {topic}",
        kind=SpanKind.CONSUMER,
        parent=event.traceparent,
        attributes={
            "messaging.system": "kafka",
            "messaging.destination.name": topic,
            "messaging.consumer.group.name": group,
            "cloudevents.event_id": event.id,
            "cloudevents.event_type": event.type,
        },
    )
