"""The front door: one HTTP route, bounded before parsing, answered 200 only when the log has the message (rule 7)."""

import asyncio
import logging
import time
from typing import Any, Final

import orjson
from prometheus_client import Counter, Histogram

from services.inbox.domain import Reason, RefusedError
from services.inbox.opener import Opener
from shared.broker import Publisher
from shared.cloudevents import CloudEvent
from shared.envelope import Envelope
from shared.errors import UnavailableError
from shared.events import INBOX_ACCEPTED_TOPIC, INBOX_ACCEPTED_TYPE, derived_id
from shared.telemetry import SpanKind, current_traceparent, span

log = logging.getLogger(__name__)

ANSWERED: Final = Counter("facescan_inbox_answered_total", "Messages at the front door, by answer.", ["reason"])
ANSWER_SECONDS: Final = Histogram(
    "facescan_inbox_answer_seconds",
    "From a whole request to its answer.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5),
)

_PATH: Final = "/inbox"
_RETRY_AFTER_SECONDS: Final = b"5"
# The producer itself never gives up (idempotence): less than the 10 s that senders wait, so that they hear of an
# outage. What is stored after all is a message whose copy, the sender's next try, is dropped.
_STORE_SECONDS: Final = 5.0
_SERVER_TROUBLE: Final = 500


class Door:
    """The ASGI application at ``POST /inbox``."""

    def __init__(self, opener: Opener, publisher: Publisher, *, largest_body_bytes: int) -> None:
        self._opener = opener
        self._publisher = publisher
        self._largest_body_bytes = largest_body_bytes

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        if scope["path"] != _PATH:
            await _answer(send, 404, _problem(404, "not_found", "messages are posted to /inbox"))
            return
        if scope["method"] != "POST":
            await _answer(send, 405, _problem(405, "method", "messages are posted"), (b"allow", b"POST"))
            return
        try:
            body = await self._body(scope, receive)
            if body is None:
                return  # the client went away
            started = time.perf_counter()
            with span("POST /inbox", kind=SpanKind.SERVER):
                envelope = await self._opener.open(body)
                await self._append(envelope, body)
            ANSWER_SECONDS.observe(time.perf_counter() - started)
        except RefusedError as error:
            await self._refuse(send, error)
            return
        ANSWERED.labels("accepted").inc()
        log.info(
            "accepted",
            extra={"sender": envelope.sender, "correlation": envelope.correlation, "subject": envelope.subject},
        )
        await _answer(send, 200, b"{}")

    async def _body(self, scope: Any, receive: Any) -> bytes | None:
        for name, value in scope["headers"]:
            if name == b"content-length" and int(value) > self._largest_body_bytes:
                raise self._too_large()
        chunks: list[bytes] = []
        length = 0
        while True:
            event = await receive()
            if event["type"] == "http.disconnect":
                return None
            chunk = event.get("body", b"")
            length += len(chunk)
            if length > self._largest_body_bytes:
                raise self._too_large()
            chunks.append(chunk)
            if not event.get("more_body", False):
                return b"".join(chunks)

    def _too_large(self) -> RefusedError:
        return RefusedError(Reason.TOO_LARGE, f"a message may have {self._largest_body_bytes} bytes")

    async def _append(self, envelope: Envelope, body: bytes) -> None:
        event = CloudEvent(
            id=derived_id(INBOX_ACCEPTED_TYPE, envelope.identity),
            source=self._publisher.source,
            type=INBOX_ACCEPTED_TYPE,
            subject=envelope.subject,
            data=body,
            traceparent=current_traceparent(),
        )
        try:
            async with asyncio.timeout(_STORE_SECONDS):
                await self._publisher.send(INBOX_ACCEPTED_TOPIC, envelope.identity.encode(), body, event.to_headers())
        except (UnavailableError, TimeoutError) as error:
            raise RefusedError(Reason.BROKER, "the message cannot be stored now") from error

    async def _refuse(self, send: Any, error: RefusedError) -> None:
        ANSWERED.labels(error.reason.value).inc()
        log.info("refused", extra={"reason": error.reason.value, "detail": error.detail})
        extra = [(b"retry-after", _RETRY_AFTER_SECONDS)] if error.status >= _SERVER_TROUBLE else []
        await _answer(send, error.status, _problem(error.status, error.reason.value, error.detail), *extra)


def _problem(status: int, reason: str, detail: str) -> bytes:
    """Return an ``application/problem+json`` document (RFC 9457) with the reason code as extension member."""
    return orjson.dumps({"status": status, "title": reason.replace("_", " "), "reason": reason, "detail": detail})


async def _answer(send: Any, status: int, body: bytes, *headers: tuple[bytes, bytes]) -> None:
    kind = b"application/json" if status == 200 else b"application/problem+json"  # noqa: PLR2004 - OK
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [(b"content-type", kind), (b"content-length", str(len(body)).encode()), *headers],
        }
    )
    await send({"type": "http.response.body", "body": body})
