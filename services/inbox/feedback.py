"""Telling a sender that its message was discarded: ``Feedback@Buffer``, to the buffer its manifest names (protocol §3).

Only senders whose signature was checked are told, else a forger could have us write to anybody; never on feedback; at
most so many for each sender and hour. The count stands in the store, as claims of numbered places, so that it is one
count for all replicas. What waits here to be told is lost with the process: feedback is a courtesy.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from prometheus_client import Counter

from services.inbox.domain import SenderKind, sender_kind
from services.inbox.door_settings import LOOSEST_JSON_BOUNDS
from shared.broker import Publisher
from shared.envelope import Envelope, EnvelopeError, parse
from shared.errors import UnavailableError
from shared.events import EndpointRequested, PostRequested, derived_id
from shared.generation import Generation
from shared.stores import ConditionFailedError, Put, Tables
from shared.tables import CLAIMS

log = logging.getLogger(__name__)

SUBJECT: Final = "Feedback@Buffer"
GIVEN: Final = Counter("facescan_feedback_total", "Discards of verified senders, by what they were told.", ["outcome"])

_MOST_WAITING: Final = 256
_MOST_SENDERS: Final = 10_000
_HOUR_SECONDS: Final = 3600


class Buffers(Protocol):
    """Finds the buffer domain that a sender's manifest names."""

    async def buffer_of(self, domain: str, generation: Generation) -> str | None:
        """Return the buffer's domain, or None: no manifest can be had, or it names none."""


@dataclass(frozen=True, slots=True)
class Discard:
    """One message that was discarded, and why, in words for its sender."""

    envelope: Envelope
    reason: str


class Feedback:
    """Gives feedback, one after the other, beside everything else."""

    def __init__(
        self,
        tables: Tables,
        publisher: Publisher,
        buffers: Buffers,
        *,
        most_per_hour: int,
        clock: Callable[[], datetime],
    ) -> None:
        self._tables = tables
        self._publisher = publisher
        self._buffers = buffers
        self._most_per_hour = most_per_hour
        self._clock = clock
        self._waiting: asyncio.Queue[Discard] = asyncio.Queue(_MOST_WAITING)
        # Where this process goes on counting; the store decides.
        self._next: OrderedDict[tuple[str, int], int] = OrderedDict()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to give feedback."""
        self._task = asyncio.create_task(self._run(), name="feedback")

    async def close(self) -> None:
        """Give no more."""
        if self._task is not None:
            self._task.cancel()

    async def discarded(self, data: EndpointRequested, why: str) -> None:
        """Note that an endpoint did not take a message that the door had verified."""
        try:
            envelope = parse(data.message, LOOSEST_JSON_BOUNDS)
        except EnvelopeError:
            return
        self.note(envelope, why.partition(":")[0].capitalize() + " by its handler.")

    def note(self, envelope: Envelope, reason: str) -> None:
        """Note a discard of a message whose sender was authenticated; does nothing when too many wait."""
        if not self._most_per_hour or envelope.subject == SUBJECT or sender_kind(envelope) is not SenderKind.DOMAIN:
            return
        try:
            self._waiting.put_nowait(Discard(envelope, reason))
        except asyncio.QueueFull:
            GIVEN.labels("dropped").inc()

    async def _run(self) -> None:
        while True:
            discard = await self._waiting.get()
            try:
                GIVEN.labels(await self.give(discard)).inc()
            except UnavailableError as error:
                GIVEN.labels("unavailable").inc()
                log.warning("feedback not given", extra={"why": str(error)})

    async def give(self, discard: Discard) -> str:
        """Give feedback on one discard and return what came of it. Raises UnavailableError."""
        envelope = discard.envelope
        if not await self._may(envelope.sender, envelope.identity):
            return "too_many"
        buffer = await self._buffers.buffer_of(envelope.sender, envelope.generation)
        if buffer is None:
            return "no_buffer"
        correlation = derived_id("feedback", envelope.identity)
        await self._publisher.publish(
            PostRequested(
                to=buffer,
                subject=SUBJECT,
                body={
                    "Sender": envelope.sender,
                    "Correlation": envelope.correlation,
                    "Status": "Discarded",
                    "Reason": discard.reason,
                },
                generation=envelope.generation,
                correlation=correlation,
            ),
            correlation,
        )
        log.info("feedback", extra={"sender": envelope.sender, "correlation": envelope.correlation, "buffer": buffer})
        return "given"

    async def _may(self, sender: str, identity: str) -> bool:
        """Take one of the sender's places of this hour; a repeat for the same message has the place that it had."""
        now = self._clock()
        hour = int(now.timestamp()) // _HOUR_SECONDS
        for place in range(self._next.get((sender, hour), 0), self._most_per_hour):
            item: dict[str, str | int] = {
                "message": f"feedback/{sender}/{hour}/{place}",
                "owner": identity,
                "expires_at": (hour + 2) * _HOUR_SECONDS,
            }
            try:
                await self._tables.put(Put(CLAIMS.name, item, unless_exists=CLAIMS.partition_key, or_same="owner"))
            except ConditionFailedError:
                self._remember(sender, hour, place + 1)
            else:
                return True
        return False

    def _remember(self, sender: str, hour: int, place: int) -> None:
        self._next[sender, hour] = place
        self._next.move_to_end((sender, hour))
        if len(self._next) > _MOST_SENDERS:
            self._next.popitem(last=False)
