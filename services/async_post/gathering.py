"""Records that nobody waits for by the millisecond, made and sent together: one request and one wait for many."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final, Generic, TypeVar

from shared.broker import Publisher, Record
from shared.errors import UnavailableError
from shared.tasks import end_tasks

log = logging.getLogger(__name__)

T = TypeVar("T")

WAIT_SECONDS: Final = 0.03
_FIRST_BACKOFF_SECONDS: Final = 0.1
_LONGEST_BACKOFF_SECONDS: Final = 5.0


class Gathering(Generic[T]):
    """Sends what was added within ``wait_seconds``; while the broker is away it is tried again, in order.

    ``records_of`` makes the records of all that was added, once.
    """

    def __init__(
        self,
        publisher: Publisher,
        records_of: Callable[[Sequence[T]], Sequence[Record]],
        wait_seconds: float = WAIT_SECONDS,
    ) -> None:
        self._publisher = publisher
        self._records_of = records_of
        self._wait_seconds = wait_seconds
        self._waiting: list[T] = []
        self._future: asyncio.Future[None] | None = None
        self._sending: asyncio.Task[None] | None = None

    def add(self, item: T) -> asyncio.Future[None]:
        """Send an item; the future is done when the broker has it, and cancelled when that is not known at the end.

        All that travels together has the same future.
        """
        self._waiting.append(item)
        if self._future is None:
            self._future = asyncio.get_running_loop().create_future()
        if self._sending is None:
            self._sending = asyncio.create_task(self._send())
        return self._future

    async def _send(self) -> None:
        try:
            while (future := self._future) is not None:
                await asyncio.sleep(self._wait_seconds)
                taken, self._waiting, self._future = self._waiting, [], None
                try:
                    await self._until_taken(self._records_of(taken))
                except asyncio.CancelledError:
                    future.cancel()
                    raise
                except Exception as error:
                    log.exception("not sent")
                    future.set_exception(error)
                else:
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
        if self._future is not None:
            self._future.cancel()
        self._waiting, self._future = [], None
