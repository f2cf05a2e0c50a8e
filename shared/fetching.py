"""How a reader joins its group, fetches and leaves: what the framework leaves to us around the client's consumer."""

import asyncio
import logging
import time
from itertools import chain
from typing import Any, Final

from aiokafka.errors import KafkaError

from shared.broker import LOOK_MILLISECONDS

log = logging.getLogger(__name__)

_MAX_RECORDS: Final = 500
# From so many records a second on they may gather for a turn before the next fetch: several come in each.
_BUSY_RECORDS_PER_SECOND: Final = 400
TURN_SECONDS: Final = 0.01
_LOOK_BACK_SECONDS: Final = 0.05
# A coordinator forgets who does not answer in time while a group gathers, and refuses the rest of that join.
_JOINS: Final = 3


async def join(subscriber: Any) -> None:
    """Start a subscriber; its group is joined anew when the broker has let go of a join that took it too long."""
    for left in reversed(range(_JOINS)):
        try:
            await subscriber.start()
        except KafkaError as error:
            # Plain is what the client makes of an answer that it did not expect; trouble of other kinds has its own.
            if left == 0 or type(error) is not KafkaError:
                raise
            log.warning("the group is joined again", extra={"why": f"{type(error).__name__}: {error}"})
            await leave(subscriber)
        else:
            return


async def leave(reader: Any) -> None:
    """Stop a subscriber, or a consumer of the client's, so that its connections are closed also without a broker.

    The client ends its own wait after a failed fetch by cancelling it, and takes that for a cancellation of whoever
    stops it (aiokafka's issue 647): all that came after it would be left out, here and in its caller.
    """
    try:
        await reader.stop()
    except asyncio.CancelledError:
        consumer, task = getattr(reader, "consumer", reader), asyncio.current_task()
        if consumer is not None:
            await consumer._client.close()
        if task is not None and task.cancelling():
            raise
        await reader.stop()


class Fetching:
    """Gives the records of the next fetch as soon as there are any.

    The framework's own look for records ends after some milliseconds and then sleeps for as long without looking: that
    costs an idle service its CPU, and a record on its way the sleep. A busy reader looks in turns of some milliseconds
    instead, for a fetch costs as much as handling several records: its partitions are paused for a turn, because the
    client would fetch at once what has come so far and then nothing until that is taken. ``turn_seconds`` is 0 for a
    reader that pauses partitions itself.

    Of a backlog each fetch has something of all partitions. The client gives one after the other to its end, a
    mebibyte at a time: a reader would have the few keys of one partition in hand, and wait for those.
    """

    def __init__(self, turn_seconds: float) -> None:
        self._turn_seconds = turn_seconds
        self._next = 0.0
        self._paused: set[Any] = set()
        self._busy = False
        self._behind = False
        self._since = time.monotonic()
        self._count = 0

    async def __call__(self, consumer: Any) -> tuple[Any, ...]:
        """Return the records of one fetch, none after a while without any."""
        if self._paused:
            await asyncio.sleep(self._next - time.monotonic())
            paused, self._paused = self._paused, set()
            consumer.resume(*(paused & consumer.assignment()))
        fetched = await self._of_all(consumer) if self._behind else {}
        if not fetched:
            fetched = await consumer.getmany(timeout_ms=LOOK_MILLISECONDS, max_records=_MAX_RECORDS)
        share = _share(len(fetched))
        self._behind = any(len(found) >= share for found in fetched.values())
        records = tuple(chain.from_iterable(fetched.values()))
        now = time.monotonic()
        self._count += len(records)
        if now - self._since > _LOOK_BACK_SECONDS:
            self._busy = bool(self._turn_seconds) and self._count > _BUSY_RECORDS_PER_SECOND * (now - self._since)
            self._since, self._count = now, 0
        if self._busy and all(
            found[-1].offset + 1 >= (consumer.highwater(partition) or 0) for partition, found in fetched.items()
        ):  # else more of them wait already: the embedded broker gives one batch of each partition at a time
            self._next = now + self._turn_seconds
            self._paused = consumer.assignment() - consumer.paused()
            consumer.pause(*self._paused)
        return records

    @staticmethod
    async def _of_all(consumer: Any) -> dict[Any, list[Any]]:
        """Return what has come already: a share of each partition, and of any what is left to take.

        The client waits in the first of these calls at most, while a group gathers, so that no partition can change
        hands between two of them.
        """
        partitions = consumer.assignment() - consumer.paused()
        fetched: dict[Any, list[Any]] = {}
        share, left = _share(len(partitions)), _MAX_RECORDS
        try:
            for partition in partitions:
                found = await consumer.getmany(partition, timeout_ms=0, max_records=share)
                left -= sum(map(len, found.values()))
                fetched.update(found)
            if fetched and left > 0:
                for partition, more in (await consumer.getmany(timeout_ms=0, max_records=left)).items():
                    fetched[partition] = [*fetched.get(partition, ()), *more]
        except KafkaError:
            # The client has gone past what it gave: that would be lost. The error comes again.
            if not fetched:
                raise
        return fetched


def _share(partitions: int) -> int:
    return max(1, _MAX_RECORDS // max(1, partitions))
