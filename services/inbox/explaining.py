"""What would happen to a message, step by step: the inbox's own checks in their own order, with nothing stored."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from services.inbox.domain import STATUS, Reason, RefusedError, sender_kind
from services.inbox.endpoint_map import MANIFEST_SUBJECT, HttpEndpoint, Route, TopicEndpoint
from services.inbox.endpoint_reload import DEFAULT_FILE, CurrentMap
from services.inbox.key_cache import KeyCache
from services.inbox.opener import Opener
from services.inbox.settings import InboxSettings
from shared.clock import now_utc
from shared.envelope import Envelope, parse
from shared.strict_json import JsonBounds

# The steps of reading, in the order of the checks, by the reasons that end them.
_READING: Final[Sequence[tuple[str, frozenset[Reason]]]] = (
    ("schema", frozenset({Reason.NOT_JSON, Reason.DUPLICATE_NAME, Reason.VERSION, Reason.SCHEMA})),
    ("receiver", frozenset({Reason.RECEIVER})),
    ("window", frozenset({Reason.WINDOW})),
    ("subject", frozenset({Reason.SUBJECT})),
    ("sender", frozenset({Reason.UNSIGNED})),
    ("body", frozenset({Reason.BODY})),
    ("hash", frozenset({Reason.SIGNATURE})),
)


@dataclass(frozen=True, slots=True)
class Step:
    """One step: whether the message passes it, and what was found. ``reason`` is the code of a refusal."""

    name: str
    ok: bool
    detail: str
    reason: Reason | None = None

    @property
    def status(self) -> int:
        """The HTTP status of the answer if this step ends the message, else 200."""
        return STATUS[self.reason] if self.reason is not None else 200

    def document(self) -> dict[str, Any]:
        """Return the step as JSON values."""
        found: dict[str, Any] = {"step": self.name, "ok": self.ok, "detail": self.detail}
        return found if self.reason is None else {**found, "reason": self.reason.value, "status": self.status}


async def explain_message(data: bytes, settings: InboxSettings, *, offline: bool) -> list[Step]:
    """Return the steps that a message passes, the first refusal being the last.

    ``offline`` asks no resolver and says so. Raises ConfigurationError for a broken endpoint map.
    """
    endpoints = CurrentMap(settings.endpoint_map or DEFAULT_FILE)
    resolver = settings.open_resolver(settings.dns_resolver)
    opener = Opener(
        domain=settings.domain,
        window_seconds=settings.window_seconds,
        subjects=endpoints,
        keys=KeyCache(resolver),
        registered=None,
        clock=now_utc,
        json_bounds=settings.json_bounds,
    )
    steps = [_bounds(data, settings)]
    if not steps[0].ok:
        return steps
    try:
        envelope = opener.read(data)
    except RefusedError as error:
        if error.reason is Reason.COMPLEX:
            return [Step("bounds", ok=False, detail=error.detail, reason=error.reason)]
        return steps + _read_until(data, error, settings.json_bounds)
    route = endpoints.find(envelope.subject)
    steps += _read_whole(envelope, route)
    if offline:
        steps.append(Step("key", ok=True, detail="not asked for (offline), nor the signature checked"))
    else:
        try:
            await opener.authenticate(envelope)
        except RefusedError as error:
            name = "signature" if error.reason is Reason.SIGNATURE else "key"
            return [*steps, Step(name, ok=False, detail=error.detail, reason=error.reason)]
        finally:
            await resolver.close()
        steps.append(Step("key", ok=True, detail="the sender's key was found and the signature is its own"))
    return [*steps, *_behind(envelope, route)]


def _bounds(data: bytes, settings: InboxSettings) -> Step:
    if len(data) > settings.largest_body_bytes:
        detail = f"{len(data)} bytes, and {settings.largest_body_bytes} are allowed"
        return Step("bounds", ok=False, detail=detail, reason=Reason.TOO_LARGE)
    return Step("bounds", ok=True, detail=f"{len(data)} bytes")


def _read_until(data: bytes, error: RefusedError, json_bounds: JsonBounds) -> list[Step]:
    steps: list[Step] = []
    for name, reasons in _READING:
        if error.reason in reasons:
            return [*steps, Step(name, ok=False, detail=error.detail, reason=error.reason)]
        steps.append(Step(name, ok=True, detail=_found(name, parse(data, json_bounds))))
    return [*steps, Step("other", ok=False, detail=error.detail, reason=error.reason)]


def _read_whole(envelope: Envelope, route: Route | None) -> list[Step]:
    steps = [Step(name, ok=True, detail=_found(name, envelope)) for name, _ in _READING]
    return [
        Step("subject", ok=True, detail=f"{envelope.subject}, by the route {route.pattern}")
        if step.name == "subject" and route is not None
        else step
        for step in steps
    ]


def _found(step: str, envelope: Envelope) -> str:
    match step:
        case "schema":
            return f"generation {envelope.generation.value}"
        case "receiver":
            return envelope.receiver
        case "window":
            return f"{(now_utc() - envelope.timestamp).total_seconds():.1f} s old"
        case "subject":
            return envelope.subject
        case "sender":
            return f"{envelope.sender} ({sender_kind(envelope)})"
        case _:
            return "as it must be"


def _behind(envelope: Envelope, route: Route | None) -> list[Step]:
    """Return what follows the door: the claim by which copies are dropped, and each endpoint."""
    if envelope.subject == MANIFEST_SUBJECT or route is None:
        return [Step("endpoint", ok=True, detail="answered at once with this domain's manifest")]
    steps = [Step("claim", ok=True, detail=f"copies are known by {envelope.identity}")]
    for name, endpoint in route.endpoints.items():
        if isinstance(endpoint, TopicEndpoint):
            where = f"event {endpoint.event}" if endpoint.event is not None else f"topic {endpoint.topic}"
        elif isinstance(endpoint, HttpEndpoint):
            where = f"POST {endpoint.url}, in order by {endpoint.order_by}"
        steps.append(Step("endpoint", ok=True, detail=f"{name}: {where}"))
    if route.replies is not None:
        name, handler = route.replies
        steps.append(Step("endpoint", ok=True, detail=f"{name}: POST {handler.url}, whose reply is the answer"))
    return steps
