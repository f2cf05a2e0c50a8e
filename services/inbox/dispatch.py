"""What an accepted message is published as: one record for each endpoint of its route (protocol §4)."""

from collections.abc import Sequence
from datetime import datetime

from services.inbox.endpoint_map import HttpEndpoint, Route, TopicEndpoint
from services.inbox.subjects import TRANSLATIONS
from shared.broker import Publisher, RecordHeader
from shared.envelope import Envelope
from shared.events import EndpointRequested, EventData, derived_id

Record = tuple[str, bytes | None, bytes | None, Sequence[RecordHeader]]


def records(
    route: Route, envelope: Envelope, message: bytes, publisher: Publisher, accepted_at: datetime
) -> list[Record]:
    """Return what is published for a message: (topic, key, value, headers) for each endpoint. Raises RefusedError.

    An event of ours goes to its topic at once. Whatever can be away by itself, a service or a topic of others, goes by
    way of ``endpoint.requested``, so that it holds up nobody else. Ids are the ones that this message always has.
    """
    made: list[Record] = []
    for name, endpoint in route.endpoints.items():
        data: EventData = (
            TRANSLATIONS[endpoint.event].event(envelope)
            if isinstance(endpoint, TopicEndpoint) and endpoint.event is not None
            else _request(name, endpoint, envelope, message, accepted_at)
        )
        event = publisher.event(data, *((envelope.identity,) if isinstance(data, EndpointRequested) else ()))
        made.append((data.topic, data.key().encode(), event.data, event.to_headers()))
    return made


def message_id(endpoint: str, envelope: Envelope) -> str:
    """Return the id by which an endpoint knows a message again."""
    return derived_id("endpoint", endpoint, envelope.identity)


def _request(
    name: str, endpoint: HttpEndpoint | TopicEndpoint, envelope: Envelope, message: bytes, accepted_at: datetime
) -> EndpointRequested:
    return EndpointRequested(
        endpoint=name,
        order_key=_order_key(endpoint.order_by if isinstance(endpoint, HttpEndpoint) else "sender", envelope),
        message_id=message_id(name, envelope),
        subject=envelope.subject,
        sender=envelope.sender,
        generation=envelope.generation,
        correlation=envelope.correlation,
        message=message.decode(),
        accepted_at=accepted_at,
    )


def _order_key(order_by: str, envelope: Envelope) -> str:
    if order_by == "sender":
        return envelope.sender
    value = envelope.body.get(order_by.removeprefix("Body.")) if order_by != "none" else None
    # Without the member there is nothing to be in order with.
    return f"{value}"[:200] if isinstance(value, str | int) and not isinstance(value, bool) else envelope.identity
