"""Records that nobody waits for by the millisecond, sent together: one request and one wait for many."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

from shared.broker import Publisher, RecordHeader
from shared.errors import UnavailableError
from shared.tasks import end_tasks

log = logging.getLogger(__name__)

Record = tuple[str, bytes | None, bytes | None, Sequence[RecordHeader]]

WAIT_SECONDS: Final = 0.01
_FIRST_BACKOFF_SECONDS: Final = 0.1
_LONGEST_BACKOFF_SECONDS: Final = 5.0


class Gathering:
    """Sends what was added within ``wait_seconds``; while the broker is away it is tried again, in order."""

    def __init__(self, publisher: Publisher, wait_seconds: float = WAIT_SECONDS) -> None:
        self._publisher = publisher
        self._wait_seconds = wait_seconds
        self._waiting: list[tuple[Record, asyncio.Future[None]]] = []
        self._sending: asyncio.Task[None] | None = None

    def add(self, record: Record) -> asyncio.Future[None]:
        """Send a record; the future is done when the broker has it, and cancelled when that is not known at the end."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((record, future))
        if self._sending is None:
            self._sending = asyncio.create_task(self._send())
        return future

    async def _send(self) -> None:
        try:
            while self._waiting:
                await asyncio.sleep(self._wait_seconds)
                taken, self._waiting = self._waiting, []
                try:
                    await self._until_taken([record for record, _ in taken])
                except asyncio.CancelledError:
                    _cancel(taken)
                    raise
                except Exception as error:
                    log.exception("not sent")
                    for _, future in taken:
                        future.set_exception(error)
                else:
                    for _, future in taken:
                        future.set_result(None)
        finally:
            self._sending = None

    async def _until_taken(self, records: Sequence[Record]) -> None:
        backoff = _FIRST_BACKOFF_SECONDS
        while True:
            try:
                await self._publisher.send_all(records)
            except UnavailableError as error:
                log.warning("waiting", extra={"why": str(error), "seconds": backoff})
                await asyncio.sleep(backoff)
                backoff = min(backoff * 2, _LONGEST_BACKOFF_SECONDS)
            else:
                return

    async def close(self) -> None:
        """End it; what the broker has not acknowledged is cancelled."""
        if self._sending is not None:
            await end_tasks([self._sending])
        _cancel(self._waiting)
        self._waiting.clear()


def _cancel(waiting: Sequence[tuple[Record, asyncio.Future[None]]]) -> None:
    for _, future in waiting:
        future.cancel()
