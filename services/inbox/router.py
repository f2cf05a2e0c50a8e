"""The router: reads accepted messages in batches, drops copies, and publishes what their endpoints get."""

import logging
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

from prometheus_client import Counter

from services.inbox.claims import Claim, Claims
from services.inbox.dispatch import Record, records
from services.inbox.domain import RefusedError
from services.inbox.door_settings import LOOSEST_JSON_BOUNDS
from services.inbox.endpoint_reload import CurrentMap
from shared.broker import Publisher
from shared.cloudevents import CloudEvent
from shared.envelope import Envelope, EnvelopeError, parse
from shared.errors import UnprocessableError
from shared.events import INBOX_ACCEPTED_TYPE
from shared.received import Received
from shared.telemetry import SpanKind, span

log = logging.getLogger(__name__)

ROUTED: Final = Counter(
    "facescan_inbox_routed_total", "Accepted messages behind the log, by what became of them.", ["outcome"]
)
_ROUTED, _COPY, _REFUSED = (ROUTED.labels(outcome) for outcome in ("routed", "copy", "refused"))


def decode_accepted(event: CloudEvent) -> Envelope:
    """Return the message in an ``inbox.accepted`` event; the door has verified it. Raises UnprocessableError."""
    if event.type != INBOX_ACCEPTED_TYPE:
        raise UnprocessableError(f"event type {event.type[:100]!r} is not {INBOX_ACCEPTED_TYPE}")
    try:
        return parse(event.data, LOOSEST_JSON_BOUNDS)
    except EnvelopeError as error:
        raise UnprocessableError(str(error)) from error


class Router:
    """Routes accepted messages by subject."""

    def __init__(
        self,
        *,
        claims: Claims,
        publisher: Publisher,
        endpoints: CurrentMap,
        claim_hours: float,
        discarded: Callable[[Envelope, str], None] = lambda _envelope, _why: None,
    ) -> None:
        self._claims = claims
        self._publisher = publisher
        self._endpoints = endpoints
        self._discarded = discarded
        self._claim_seconds = int(claim_hours * 3600)

    async def route(self, batch: Sequence[Received[Envelope]]) -> Sequence[Exception | None]:
        """Claim and publish a batch. Raises UnavailableError, after which the same batch is routed again."""
        # Before the claims: a record that this fails for has none, and may come back at another place in the log.
        became = [self._become(received) for received in batch]
        expires_at = int(time.time()) + self._claim_seconds
        held = await self._claims.claim(
            [
                Claim(received.data.identity, received.position, expires_at)
                for received, made in zip(batch, became, strict=True)
                if not isinstance(made, Exception)
            ]
        )
        errors: list[Exception | None] = []
        wanted: list[Record] = []
        for received, made in zip(batch, became, strict=True):
            if isinstance(made, Exception):
                errors.append(made)
                _REFUSED.inc()
                if isinstance(made, UnprocessableError):
                    self._discarded(received.data, str(made))
                continue
            errors.append(None)
            if received.position in held:
                wanted += made
                _ROUTED.inc()
            else:
                _COPY.inc()
            self._say(received, made, copy=received.position not in held)
        await self._publisher.send_all(wanted)
        return errors

    @staticmethod
    def _say(received: Received[Envelope], made: Sequence[Record], *, copy: bool) -> None:
        if not log.isEnabledFor(logging.INFO):
            return
        event_id = received.event.id
        if copy:
            log.info("copy dropped", extra={"event_id": event_id, "position": received.position})
        else:
            keys = [key.decode() for _, key, _, _ in made if key is not None]
            log.info("routed", extra={"event_id": event_id, "to": [topic for topic, *_ in made], "key": keys})

    def _become(self, received: Received[Envelope]) -> list[Record] | Exception:
        """Return what is published for a message, or the error that ends its record."""
        envelope, event = received.data, received.event
        accepted_at = event.time or datetime.now(UTC)
        try:
            route = self._endpoints.find(envelope.subject)
            if route is None:
                return UnprocessableError("Header.Subject: not handled here")
            with span("route", kind=SpanKind.CONSUMER, parent=event.traceparent):
                return records(route, envelope, event.data, self._publisher, accepted_at)
        except RefusedError as error:
            return UnprocessableError(error.detail)
        except Exception as error:  # noqa: BLE001 - a bug that one message meets must not touch the others
            return error
