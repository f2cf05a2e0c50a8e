"""Taking in a verified message: what must be durable, or answered, before the sender gets its 200 (rules 1, 7)."""

from collections.abc import Awaitable, Callable
from typing import Final

from services.inbox.appending import Appender
from services.inbox.domain import Reason, RefusedError, Subjects
from services.inbox.endpoint_map import MANIFEST_SUBJECT, Route
from services.inbox.endpoint_reload import CurrentMap
from shared.broker import Publisher, Together
from shared.cloudevents import CloudEvent
from shared.envelope import Envelope
from shared.errors import UnavailableError
from shared.events import INBOX_ACCEPTED_TOPIC, INBOX_ACCEPTED_TYPE, derived_id

# The producer itself never gives up (idempotence): less than the 10 s that senders wait, so that they hear of an
# outage. What is stored after all is a message whose copy, the sender's next try, is dropped.
_STORE_SECONDS: Final = 5.0
# At 3,000 messages a second fifteen travel together; a sender of one message waits no longer for it.
_SPACING_SECONDS: Final = 0.005
TAKEN: Final = b"{}"

# Gives the JSON text that answers a message in the response. Raises RefusedError.
Reply = Callable[[Route, Envelope, bytes], Awaitable[bytes]]


class Intake:
    """Appends messages to the log, and answers those that are answered at once."""

    def __init__(self, endpoints: CurrentMap, publisher: Publisher, *, manifest: Reply, synchronous: Reply) -> None:
        self._endpoints = endpoints
        self._source = publisher.source
        self._log = Appender(
            publisher, INBOX_ACCEPTED_TOPIC, spacing_seconds=_SPACING_SECONDS, deadline_seconds=_STORE_SECONDS
        )
        self._manifest = manifest
        self._synchronous = synchronous

    @property
    def subjects(self) -> Subjects:
        """What is taken."""
        return self._endpoints

    def append(
        self,
        envelope: Envelope,
        message: bytes,
        traceparent: str | None,
        then: Callable[[RefusedError | None], None],
    ) -> bool:
        """Append a verified message whose answer is ``TAKEN`` as soon as the log has it, and tell ``then`` of it.

        Return False, having done nothing, for one that is answered otherwise: ``take`` it.
        """
        route = self._endpoints.find(envelope.subject)
        if route is None or route.replies is not None or not route.endpoints:
            return False
        self._log.append(
            *self._record(envelope, message, traceparent),
            lambda error: then(None if error is None else _refused(error)),
        )
        return True

    async def take(self, envelope: Envelope, message: bytes, traceparent: str | None = None) -> bytes:
        """Take a verified message and return the body of its answer. Raises RefusedError."""
        route = self._endpoints.find(envelope.subject)
        if route is None:
            raise RefusedError(Reason.SUBJECT, "Header.Subject: not handled here")
        if envelope.subject == MANIFEST_SUBJECT:
            return await self._manifest(route, envelope, message)
        if route.endpoints:
            try:
                await self._log.appended(*self._record(envelope, message, traceparent))
            except Exception as error:
                raise _refused(error) from error
        return await self._synchronous(route, envelope, message) if route.replies is not None else TAKEN

    def _record(self, envelope: Envelope, message: bytes, traceparent: str | None) -> Together:
        identity = envelope.identity
        event = CloudEvent(
            id=derived_id(INBOX_ACCEPTED_TYPE, identity),
            source=self._source,
            type=INBOX_ACCEPTED_TYPE,
            subject=envelope.subject,
            data=message,
            traceparent=traceparent,
        )
        return identity.encode(), message, event.to_headers()


def _refused(error: Exception) -> RefusedError:
    if isinstance(error, UnavailableError | TimeoutError):
        return RefusedError(Reason.BROKER, "the message cannot be stored now")
    return RefusedError(Reason.INTERNAL, "the message cannot be handled now")
