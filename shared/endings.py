"""How a record ends that could not be handled: back later through a delay topic, or put aside with its exact bytes.

A bug's record comes back after longer and longer waits, and then it is put aside as ours; what can never be handled is
put aside at once as its sender's.
"""

import logging
import time
import traceback
from typing import Any, Final

from shared.broker import Publisher, RecordHeader
from shared.cloudevents import CloudEventError
from shared.dead_letters import Side, put_aside
from shared.delays import delay_record
from shared.errors import RetryLaterError, UnprocessableError
from shared.received import ATTEMPT_HEADER, FAILURES_HEADER, GROUP_HEADER, ORIGIN_HEADER, Received

log = logging.getLogger(__name__)

# What waits between two tries of a record that met a bug: long enough for a deploy to be rolled back.
BUG_DELAYS_SECONDS: Final = (1.0, 5.0, 30.0, 300.0)
_FRAMES: Final = 4
_OURS: Final = frozenset({ATTEMPT_HEADER, FAILURES_HEADER, GROUP_HEADER, ORIGIN_HEADER})


def side_of(error: Exception, failures: int) -> Side | None:
    """Return whose dead letter a record becomes after so many bugs, or None when it comes back later."""
    if isinstance(error, RetryLaterError):
        return None
    if isinstance(error, UnprocessableError):
        return Side.THEIRS
    return Side.OURS if failures >= len(BUG_DELAYS_SECONDS) else None


class Endings:
    """Ends records of one group, each by one write; all raise UnavailableError while the broker is away."""

    def __init__(self, publisher: Publisher, group: str) -> None:
        self._publisher = publisher
        self._group = group

    async def delay(self, received: Received[Any], error: Exception) -> None:
        """Let a record come back later. Raises UnprocessableError when it is too large to be written as a whole."""
        extra = self._extra(received)
        failures = received.failures
        if isinstance(error, RetryLaterError):
            after_seconds = error.after_seconds
            log.info("comes back later", extra={**extra, "why": str(error), "seconds": after_seconds})
        else:
            after_seconds = BUG_DELAYS_SECONDS[failures]
            failures += 1
            # Where, but not the error's own text: it may hold anything that a sender wrote.
            where = "".join(traceback.format_tb(error.__traceback__)[-_FRAMES:])
            log.error("failed", extra={**extra, "failures": failures, "error": type(error).__name__, "where": where})
        record = received.record
        headers: list[RecordHeader] = [(name, value) for name, value in record.headers if name not in _OURS]
        headers += [
            (ATTEMPT_HEADER, str(received.attempt + 1).encode()),
            (FAILURES_HEADER, str(failures).encode()),
            (ORIGIN_HEADER, received.position.encode()),
            (GROUP_HEADER, self._group.encode()),
        ]
        await delay_record(
            self._publisher,
            target=record.topic,
            until_epoch_seconds=time.time() + after_seconds,
            key=record.key,
            value=record.value,
            headers=headers,
        )

    async def put_aside(self, received: Received[Any], error: Exception, side: Side) -> None:
        """Put aside a record that was read."""
        log.error("put aside", extra={**self._extra(received), "side": side.value, "why": _one_line(error)})
        await self._write(received.record, side, error)

    async def put_aside_unread(self, record: Any, error: Exception) -> None:
        """Put aside a record that could not be decoded."""
        position = f"{record.topic}/{record.partition}/{record.offset}"
        side = Side.THEIRS if isinstance(error, (CloudEventError, UnprocessableError)) else Side.OURS
        extra = {"group": self._group, "position": position, "side": side.value, "why": _one_line(error)}
        log.warning("put aside", extra=extra)
        await self._write(record, side, error)

    def _extra(self, received: Received[Any]) -> dict[str, str]:
        return {"group": self._group, "event_id": received.event.id, "position": received.position}

    async def _write(self, record: Any, side: Side, error: Exception) -> None:
        await put_aside(self._publisher, record, side=side, group=self._group, reason=_one_line(error))


def _one_line(error: Exception) -> str:
    """What a dead letter says: our own errors in their words, a bug by its type (its text may hold anything)."""
    if isinstance(error, (CloudEventError, UnprocessableError)):
        return " ".join(str(error).split())
    return f"failed: {type(error).__name__}"
