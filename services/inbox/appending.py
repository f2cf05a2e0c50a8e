"""Appending messages to the log, those that wait at the same time together.

One request to the broker costs the door more than all else that it does for a message but its signature. So messages
that come within a few milliseconds of each other travel as one batch to one partition, and one answer of the broker
answers all of their senders. Any partition is right: the router drops copies wherever they stand (rule 7). See ADR 24.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from shared.broker import LARGEST_BATCH_BYTES, Publisher, RecordHeader, Together
from shared.errors import UnavailableError, UnprocessableError

log = logging.getLogger(__name__)

# A record's own share of a batch beside its key and its value: headers, lengths, times.
_FRAME_BYTES: Final = 600
_MOST_BYTES: Final = LARGEST_BATCH_BYTES
# Later messages begin a batch of their own, whose time to wait is theirs.
_LONGEST_OPEN_SECONDS: Final = 0.5

# Told once what became of a record: None when the log has it.
Told = Callable[[Exception | None], None]


class _Batch:
    """Records that travel together, and who is told."""

    __slots__ = ("began", "bytes", "deadline", "records", "sent", "told")

    def __init__(self, began: float) -> None:
        self.began = began
        self.bytes = 0
        self.records: list[Together] = []
        self.told: list[Told] = []
        self.sent = False
        self.deadline: asyncio.TimerHandle | None = None


class Appender:
    """Appends to one topic.

    A batch leaves when the last one left ``spacing_seconds`` ago, so the first message after a pause waits for nothing,
    or when it is full. A partition has one batch under way, so one that has no leader holds up that batch alone. What
    is not acknowledged ``deadline_seconds`` after its batch began is told TimeoutError; what had not left by then is
    dropped, so that an outage makes memory grow by no more than the messages that wait.
    """

    def __init__(
        self, publisher: Publisher, topic: str, *, spacing_seconds: float = 0.005, deadline_seconds: float = 5.0
    ) -> None:
        self._publisher = publisher
        self._topic = topic
        self._spacing_seconds = spacing_seconds
        self._deadline_seconds = deadline_seconds
        self._batches: deque[_Batch] = deque()  # not sent yet; the last may take more
        self._next: asyncio.Handle | None = None
        self._left_at = float("-inf")
        self._partitions: Sequence[int] = ()
        self._busy: set[int] = set()
        self._under_way = 0
        self._turn = 0
        self._sending: set[asyncio.Task[None]] = set()

    def append(self, key: bytes, value: bytes, headers: Sequence[RecordHeader], told: Told) -> None:
        """Append a record; ``told`` hears of it later, from the event loop."""
        loop = asyncio.get_running_loop()
        size = len(key) + len(value) + _FRAME_BYTES
        batch = self._batches[-1] if self._batches else None
        if batch is None or batch.bytes + size > _MOST_BYTES or loop.time() - batch.began > _LONGEST_OPEN_SECONDS:
            batch = _Batch(loop.time())
            batch.deadline = loop.call_later(self._deadline_seconds, self._expire, batch)
            self._batches.append(batch)
        batch.bytes += size
        batch.records.append((key, value, headers))
        batch.told.append(told)
        self._plan(loop)

    async def appended(self, key: bytes, value: bytes, headers: Sequence[RecordHeader]) -> None:
        """Append a record and wait for the broker. Raises what ``told`` would be given."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def told(error: Exception | None) -> None:
            if done.done():
                return
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(error)

        self.append(key, value, headers, told)
        await done

    def _plan(self, loop: asyncio.AbstractEventLoop) -> None:
        """See to it that ``_leave`` is called when the next batch may leave."""
        full = len(self._batches) > 1
        if self._next is not None and not full:
            return
        if not self._batches or self._under_way >= max(1, len(self._partitions)):
            return  # planned again when a partition is free
        if self._next is not None:
            self._next.cancel()
        wait = 0.0 if full else self._left_at + self._spacing_seconds - loop.time()
        # Not at once: what else has come in this turn of the loop goes along.
        self._next = loop.call_later(wait, self._leave) if wait > 0 else loop.call_soon(self._leave)

    def _leave(self) -> None:
        self._next = None
        if not self._batches:
            return
        batch = self._batches.popleft()
        batch.sent = True
        self._left_at = asyncio.get_running_loop().time()
        partition = self._free()
        if partition is not None:
            self._busy.add(partition)
        self._under_way += 1
        task = asyncio.create_task(self._send(batch, partition))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)
        self._plan(asyncio.get_running_loop())

    def _free(self) -> int | None:
        """Return the next partition in turn with nothing under way; None when partitions are not known yet."""
        for _ in self._partitions:
            self._turn = (self._turn + 1) % len(self._partitions)
            if self._partitions[self._turn] not in self._busy:
                return self._partitions[self._turn]
        return self._partitions[self._turn] if self._partitions else None

    async def _send(self, batch: _Batch, partition: int | None) -> None:
        error: Exception | None = None
        try:
            self._partitions = await self._publisher.partitions(self._topic)
            await self._publisher.append(
                self._topic, self._partitions[0] if partition is None else partition, batch.records
            )
        except (UnavailableError, UnprocessableError) as failed:
            error = failed
        except Exception as failed:
            log.exception("a bug in appending")
            error = failed
        finally:
            self._under_way -= 1
            if partition is not None:
                self._busy.discard(partition)
        self._tell(batch, error)
        self._plan(asyncio.get_running_loop())

    def _expire(self, batch: _Batch) -> None:
        if not batch.sent:
            self._batches.remove(batch)
        self._tell(batch, TimeoutError())

    @staticmethod
    def _tell(batch: _Batch, error: Exception | None) -> None:
        if batch.deadline is not None:
            batch.deadline.cancel()
            batch.deadline = None
        told, batch.told = batch.told, []
        for tell in told:
            try:
                tell(error)
            except Exception:
                log.exception("a bug in what follows an append")
