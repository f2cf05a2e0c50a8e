"""The router: reads accepted messages in batches, drops copies, and publishes what each subject becomes."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from prometheus_client import Counter

from services.inbox.claims import Claim, Claims
from services.inbox.domain import RefusedError
from shared.broker import Publisher
from shared.cloudevents import CloudEvent
from shared.consuming import Received
from shared.envelope import Envelope, EnvelopeError, parse
from shared.errors import UnprocessableError
from shared.events import INBOX_ACCEPTED_TYPE, EventData
from shared.telemetry import SpanKind, span

log = logging.getLogger(__name__)

ROUTED: Final = Counter(
    "facescan_inbox_routed_total", "Accepted messages behind the log, by what became of them.", ["outcome"]
)


def decode_accepted(event: CloudEvent) -> Envelope:
    """Return the message in an ``inbox.accepted`` event; the door has verified it. Raises UnprocessableError."""
    if event.type != INBOX_ACCEPTED_TYPE:
        raise UnprocessableError(f"event type {event.type[:100]!r} is not {INBOX_ACCEPTED_TYPE}")
    try:
        return parse(event.data)
    except EnvelopeError as error:
        raise UnprocessableError(str(error)) from error


class Router:
    """Routes accepted messages by subject."""

    def __init__(
        self,
        *,
        claims: Claims,
        publisher: Publisher,
        subjects: Mapping[str, Callable[[Envelope], EventData]],
        claim_hours: float,
    ) -> None:
        self._claims = claims
        self._publisher = publisher
        self._subjects = subjects
        self._claim_seconds = int(claim_hours * 3600)

    async def route(self, batch: Sequence[Received[Envelope]]) -> Sequence[Exception | None]:
        """Claim and publish a batch. Raises UnavailableError, after which the same batch is routed again."""
        # Before the claims: a record that this fails for has none, and may come back at another place in the log.
        became = [self._become(received.data) for received in batch]
        expires_at = int(time.time()) + self._claim_seconds
        held = await self._claims.claim(
            [
                Claim(received.data.identity, received.position, expires_at)
                for received, data in zip(batch, became, strict=True)
                if not isinstance(data, Exception)
            ]
        )
        errors: list[Exception | None] = []
        events: list[tuple[EventData, CloudEvent]] = []
        for received, data in zip(batch, became, strict=True):
            if isinstance(data, Exception):
                errors.append(data)
                ROUTED.labels("refused").inc()
                continue
            errors.append(None)
            if received.position not in held:
                ROUTED.labels("copy").inc()
                log.info("copy dropped", extra={"event_id": received.event.id, "position": received.position})
                continue
            with span("route", kind=SpanKind.CONSUMER, parent=received.event.traceparent):
                events.append((data, self._publisher.event(data)))
            ROUTED.labels("routed").inc()
            log.info("routed", extra={"event_id": received.event.id, "to": data.topic, "key": data.key()})
        await self._publisher.send_all(
            (data.topic, data.key().encode(), event.data, event.to_headers()) for data, event in events
        )
        return errors

    def _become(self, envelope: Envelope) -> EventData | Exception:
        """Return the event that a message becomes, or the error that ends its record."""
        handler = self._subjects.get(envelope.subject)
        if handler is None:
            return UnprocessableError("Header.Subject: not handled here")
        try:
            return handler(envelope)
        except RefusedError as error:
            return UnprocessableError(error.detail)
        except Exception as error:  # noqa: BLE001 - a bug that one message meets must not touch the others
            return error
