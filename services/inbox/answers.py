"""What the door says, as bytes: ``application/problem+json`` (RFC 9457) with the metrics' reason code."""

import math
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from http import HTTPStatus
from typing import Final

import orjson

from services.inbox.domain import STATUS, Reason

_JSON: Final = b"application/json"
_PROBLEM: Final = b"application/problem+json"
_SERVER_TROUBLE: Final = 500
# A sender waits so long after what is our trouble and names no better time.
_RETRY_SECONDS: Final = 5.0

_DETAIL: Final = {
    Reason.MALFORMED: "the request is no HTTP/1.1 that is understood here",
    Reason.NOT_FOUND: "messages are posted to /inbox",
    Reason.METHOD: "messages are posted",
    Reason.SLOW: "the request did not come in time",
    Reason.TOO_LARGE: "the message is too large",
    Reason.ENCODING: "a message is sent without content encoding",
    Reason.EXPECTATION: "no other expectation than 100-continue is met here",
    Reason.HEAD: "the headers are too large or too many",
    Reason.CONNECTIONS: "too many connections from this address",
    Reason.OVERLOADED: "too much to do now",
    Reason.INTERNAL: "the message cannot be handled now",
}


class Malformed(StrEnum):
    """What is wrong with a request that is no good HTTP; the word is the detail of the answer."""

    SYNTAX = "the request is no HTTP/1.1"
    UPGRADE = "no other protocol is spoken here"
    VERSION = "the version is neither HTTP/1.1 nor HTTP/1.0"
    HOST = "header Host is missing"
    REPEATED = "a header stands twice that may stand once"
    LENGTH = "Content-Length is no length"
    BOTH_LENGTHS = "Content-Length and Transfer-Encoding exclude each other"
    TRANSFER = "no other Transfer-Encoding than chunked, and in HTTP/1.1 alone"


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer. ``closes``: the connection is no use after it. ``reason`` is None for an accepted message.

    ``bodiless``: to a HEAD request, which is answered without the body (RFC 9112 §6.3): it would be read as an answer.
    """

    status: int
    reason: Reason | None
    body: bytes
    headers: bytes = b""
    closes: bool = False
    bodiless: bool = False

    def encode(self, date: bytes, *, close: bool) -> bytes:
        """Return the bytes on the wire; ``date`` is a whole header line."""
        return b"".join(
            (
                _STATUS_LINES[self.status],
                b"content-type: ",
                _JSON if self.reason is None else _PROBLEM,
                b"\r\ncontent-length: %d\r\n" % len(self.body),
                self.headers,
                date,
                b"connection: close\r\n\r\n" if close else b"\r\n",
                b"" if self.bodiless else self.body,
            )
        )


_STATUS_LINES: Final = {
    status: f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n".encode() for status in {200, *STATUS.values()}
}


def reply(body: bytes) -> Answer:
    """Return the answer 200 with the JSON of a synchronous subject."""
    return Answer(200, None, body)


def problem(
    reason: Reason, detail: str | None = None, *, retry_after_seconds: float | None = None, allow: bytes = b"POST"
) -> Answer:
    """Return the refusal for ``reason``; a 429 or 503 says when to try again (whole seconds), a 405 what may be."""
    status = STATUS[reason]
    if retry_after_seconds is None and status > _SERVER_TROUBLE:
        retry_after_seconds = _RETRY_SECONDS
    elif retry_after_seconds is None and status == HTTPStatus.TOO_MANY_REQUESTS:
        retry_after_seconds = 1.0
    headers = b""
    if retry_after_seconds is not None:
        headers = b"retry-after: %d\r\n" % max(1, math.ceil(retry_after_seconds))
    if reason is Reason.METHOD:
        headers = b"allow: %s\r\n" % allow
    return Answer(status, reason, _document(reason, detail or _DETAIL[reason]), headers)


# Junk comes in kinds: what is said of one piece is nearly always what was said of the one before.
@lru_cache(maxsize=256)
def _document(reason: Reason, detail: str) -> bytes:
    return orjson.dumps(
        {
            "status": STATUS[reason],
            "title": reason.value.replace("_", " "),
            "reason": reason.value,
            "detail": detail,
        }
    )
