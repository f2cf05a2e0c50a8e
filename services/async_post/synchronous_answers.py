"""What the synchronous Post's call answers: JSON, or ``application/problem+json`` (RFC 9457) with a reason code."""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import orjson

from services.async_post.synchronous import Outcome, Posted


class Refusal(StrEnum):
    """Why a call posted nothing; the words are reason codes and metric labels too."""

    UNAUTHENTIC = "unauthentic"
    NOT_FOUND = "not_found"
    METHOD = "method_not_allowed"
    MEDIA_TYPE = "media_type"
    TOO_LARGE = "too_large"
    SLOW = "too_slow"
    NOT_JSON = "not_json"
    INVALID = "invalid"
    BUSY = "busy"
    NO_KEY = "no_key"
    INTERNAL = "internal"


Reason = Outcome | Refusal

STATUS: Final[dict[Reason, int]] = {
    Outcome.REPLIED: 200,
    Outcome.DELIVERED: 200,
    Outcome.REFUSED: 502,
    Outcome.BLOCKED_ADDRESS: 502,
    Outcome.BAD_REPLY: 502,
    Outcome.UNAVAILABLE: 503,
    Outcome.DEADLINE: 504,
    Refusal.NOT_JSON: 400,
    Refusal.UNAUTHENTIC: 401,
    Refusal.NOT_FOUND: 404,
    Refusal.METHOD: 405,
    Refusal.SLOW: 408,
    Refusal.TOO_LARGE: 413,
    Refusal.MEDIA_TYPE: 415,
    Refusal.INVALID: 422,
    Refusal.INTERNAL: 500,
    Refusal.BUSY: 503,
    Refusal.NO_KEY: 503,
}
_RETRY_SECONDS: Final[dict[Reason, float]] = {Outcome.UNAVAILABLE: 5.0, Refusal.BUSY: 1.0, Refusal.NO_KEY: 5.0}
# A receiver's own wish is passed on within bounds, as the sender honours it.
_MOST_RETRY_SECONDS: Final = 3600.0
_HEADERS: Final[dict[Reason, list[tuple[bytes, bytes]]]] = {
    Refusal.METHOD: [(b"allow", b"POST")],
    Refusal.UNAUTHENTIC: [(b"www-authenticate", b"Bearer")],
}


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """One answer; ``reason`` is the metric's label."""

    reason: Reason
    headers: list[tuple[bytes, bytes]]
    body: bytes

    @property
    def status(self) -> int:
        """The HTTP status."""
        return STATUS[self.reason]


def answer(posted: Posted) -> HttpAnswer:
    """Return the answer for a post that was tried."""
    more: dict[str, Any] = {"correlation": posted.correlation, "receiver_status": posted.status}
    if posted.outcome in (Outcome.REPLIED, Outcome.DELIVERED):
        document = {"outcome": posted.outcome.value, **more, "response": posted.response}
        return _encoded(posted.outcome, [(b"content-type", b"application/json")], document)
    return _problem(
        posted.outcome, posted.detail, more | {"trouble": posted.trouble or None}, posted.retry_after_seconds
    )


def refusal(reason: Refusal, detail: str) -> HttpAnswer:
    """Return the answer for a call after which nothing was posted."""
    return _problem(reason, detail, {}, None)


def _problem(reason: Reason, detail: str, more: dict[str, Any], wish_seconds: float | None) -> HttpAnswer:
    headers = [(b"content-type", b"application/problem+json"), *_HEADERS.get(reason, [])]
    if reason in _RETRY_SECONDS:
        seconds = _RETRY_SECONDS[reason] if wish_seconds is None else min(wish_seconds, _MOST_RETRY_SECONDS)
        headers.append((b"retry-after", b"%d" % max(1, math.ceil(seconds))))
    document = {
        "status": STATUS[reason],
        "title": reason.value.replace("_", " "),
        "reason": reason.value,
        "detail": detail,
    }
    return _encoded(reason, headers, document | more)


def _encoded(reason: Reason, headers: list[tuple[bytes, bytes]], document: dict[str, Any]) -> HttpAnswer:
    body = orjson.dumps(document)
    return HttpAnswer(reason, [*headers, (b"content-length", b"%d" % len(body))], body)
