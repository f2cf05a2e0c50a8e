"""What the gateway answers: JSON, or ``application/problem+json`` (RFC 9457) with a reason code."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from services.gateway.asked import Asked
from services.gateway.domain import PENDING, STATUS, Reason, RefusedError, state_of
from shared.events import utc_text

PATH: Final = "/v1/verifications"
_ACCEPTED: Final = 202
# A client waits so long after trouble that names no better time.
_RETRY_SECONDS: Final = {
    Reason.NOT_STORED: 5.0,
    Reason.INTERNAL: 5.0,
    Reason.CLIENT_RATE: 1.0,
    Reason.ADDRESS_RATE: 1.0,
}
RETRIED: Final = frozenset(STATUS[reason] for reason in _RETRY_SECONDS)

Header = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """One answer; ``reason`` is the metric's label."""

    status: int
    reason: str
    headers: tuple[Header, ...]
    body: bytes


def accepted(verification_id: str) -> HttpAnswer:
    """Return the answer to a request whose event is stored, the same for every repeat."""
    location = (b"location", f"{PATH}/{verification_id}".encode())
    return _encoded(_ACCEPTED, "accepted", (location,), {"verification_id": verification_id})


def found(asked: Asked) -> HttpAnswer:
    """Return the answer to a client that looks."""
    state = state_of(asked.outcome)
    document = {"verification_id": asked.verification_id, "state": state}
    if state != PENDING:
        document["decided_at"] = utc_text(datetime.fromtimestamp(asked.decided_at, UTC))
    return _encoded(200, "found", ((b"cache-control", b"no-store"),), document)


def problem(error: RefusedError, *, allow: str = "") -> HttpAnswer:
    """Return the refusal; ``allow`` are the path's methods, for a method that is none of them."""
    reason = error.reason
    headers: list[Header] = []
    if reason in _RETRY_SECONDS:
        seconds = error.retry_after_seconds or _RETRY_SECONDS[reason]
        headers.append((b"retry-after", b"%d" % max(1, math.ceil(seconds))))
    if reason is Reason.UNAUTHENTIC:
        headers.append((b"www-authenticate", b"Bearer"))
    if reason is Reason.METHOD:
        headers.append((b"allow", allow.encode()))
    document = {
        "status": STATUS[reason],
        "title": reason.value.replace("_", " "),
        "reason": reason.value,
        "detail": error.detail,
    }
    return _encoded(STATUS[reason], reason.value, tuple(headers), document, b"application/problem+json")


def _encoded(
    status: int, reason: str, headers: tuple[Header, ...], document: dict[str, Any], kind: bytes = b"application/json"
) -> HttpAnswer:
    body = orjson.dumps(document)
    head = ((b"content-type", kind), (b"content-length", b"%d" % len(body)), *headers)
    return HttpAnswer(status, reason, head, body)
