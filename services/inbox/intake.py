"""Taking in a verified message: what must be durable, or answered, before the sender gets its 200 (rules 1, 7)."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from services.inbox.domain import Reason, RefusedError, Subjects
from services.inbox.endpoint_map import MANIFEST_SUBJECT, Route
from services.inbox.endpoint_reload import CurrentMap
from shared.broker import Publisher
from shared.cloudevents import CloudEvent
from shared.envelope import Envelope
from shared.errors import UnavailableError
from shared.events import INBOX_ACCEPTED_TOPIC, INBOX_ACCEPTED_TYPE, derived_id
from shared.telemetry import current_traceparent

# The producer itself never gives up (idempotence): less than the 10 s that senders wait, so that they hear of an
# outage. What is stored after all is a message whose copy, the sender's next try, is dropped.
_STORE_SECONDS: Final = 5.0
_TAKEN: Final = b"{}"

# Gives the JSON text that answers a message in the response. Raises RefusedError.
Reply = Callable[[Route, Envelope, bytes], Awaitable[bytes]]


class Intake:
    """Appends messages to the log, and answers those that are answered at once."""

    def __init__(self, endpoints: CurrentMap, publisher: Publisher, *, manifest: Reply, synchronous: Reply) -> None:
        self._endpoints = endpoints
        self._publisher = publisher
        self._manifest = manifest
        self._synchronous = synchronous

    @property
    def subjects(self) -> Subjects:
        """What is taken."""
        return self._endpoints

    async def take(self, envelope: Envelope, message: bytes) -> bytes:
        """Take a verified message and return the body of its answer. Raises RefusedError."""
        route = self._endpoints.find(envelope.subject)
        if route is None:
            raise RefusedError(Reason.SUBJECT, "Header.Subject: not handled here")
        if envelope.subject == MANIFEST_SUBJECT:
            return await self._manifest(route, envelope, message)
        if route.endpoints:
            await self._append(envelope, message)
        return await self._synchronous(route, envelope, message) if route.replies is not None else _TAKEN

    async def _append(self, envelope: Envelope, message: bytes) -> None:
        event = CloudEvent(
            id=derived_id(INBOX_ACCEPTED_TYPE, envelope.identity),
            source=self._publisher.source,
            type=INBOX_ACCEPTED_TYPE,
            subject=envelope.subject,
            data=message,
            traceparent=current_traceparent(),
        )
        try:
            async with asyncio.timeout(_STORE_SECONDS):
                await self._publisher.send(
                    INBOX_ACCEPTED_TOPIC, envelope.identity.encode(), message, event.to_headers()
                )
        except (UnavailableError, TimeoutError) as error:
            raise RefusedError(Reason.BROKER, "the message cannot be stored now") from error
