"""The gateway's HTTP: ``POST /v1/verifications`` and ``GET /v1/verifications/{id}``, as an ASGI application."""

import logging
import re
import time
from collections.abc import Callable
from typing import Any, Final

from prometheus_client import Counter, Histogram
from pydantic import ValidationError

from services.gateway.answers import PATH, HttpAnswer, accepted, found, problem
from services.gateway.asking import Asking
from services.gateway.client_store import CurrentClients
from services.gateway.domain import Ask, Reason, RefusedError
from shared.addresses import Addresses
from shared.errors import UnavailableError
from shared.problems import first_problem
from shared.rates import Buckets
from shared.request_bodies import SlowError, TooLargeError, headers_of, read_body, throw_away
from shared.strict_json import JsonBounds, JsonError, JsonProblem, parse_json
from shared.telemetry import SpanKind, span

log = logging.getLogger(__name__)

ANSWERED: Final = Counter("facescan_gateway_answered_total", "Requests of clients, by answer.", ["reason"])
ANSWER_SECONDS: Final = Histogram(
    "facescan_gateway_answer_seconds",
    "From a request to its answer.",
    buckets=(0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5),
)

MOST_BODY_BYTES: Final = 4096
# Read and thrown away of a longer one, so that its sender sees the answer and no broken connection.
_MOST_READ_BYTES: Final = 256 * 1024
_BOUNDS: Final = JsonBounds(most_depth=2, most_values=16)
_KEY: Final = re.compile(rb"[!-~]{1,255}\Z")
_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")
# Said before a body was read to its end: the connection is no use then.
_UNREAD: Final = frozenset(
    reason.value
    for reason in (
        Reason.UNAUTHENTIC,
        Reason.NOT_FOUND,
        Reason.METHOD,
        Reason.MEDIA_TYPE,
        Reason.TOO_LARGE,
        Reason.SLOW,
        Reason.KEY,
        Reason.ADDRESS_RATE,
        Reason.CLIENT_RATE,
    )
)


class Gateway:
    """Answers clients. Whoever has no token learns nothing, and no body of theirs is looked at."""

    def __init__(
        self,
        asking: Asking,
        clients: CurrentClients,
        *,
        client_rate: Buckets,
        address_rate: Buckets,
        addresses: Addresses,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._asking = asking
        self._clients = clients
        self._client_rate = client_rate
        self._address_rate = address_rate
        self._addresses = addresses
        self._clock = clock

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            return
        began = self._clock()
        answer = await self._answer(scope, receive)
        ANSWERED.labels(answer.reason).inc()
        ANSWER_SECONDS.observe(self._clock() - began)
        headers = list(answer.headers)
        if answer.reason in _UNREAD:
            headers.append((b"connection", b"close"))
            await throw_away(receive, headers_of(scope).get(b"content-length", [b""])[0])
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})

    async def _answer(self, scope: Any, receive: Any) -> HttpAnswer:
        path, method = scope["path"], scope["method"]
        allow = "POST" if path == PATH else "GET"
        try:
            headers = headers_of(scope)
            client = self._let_in(scope, headers, allow)
            with span(f"{method} {PATH}", kind=SpanKind.SERVER, parent=_text(headers, b"traceparent") or None):
                if path == PATH:
                    return await self._ask(client, headers, receive)
                return await self._look(client, path.removeprefix(f"{PATH}/"))
        except RefusedError as error:
            return problem(error, allow=allow)
        except UnavailableError as error:
            log.warning("not stored", extra={"why": str(error)})
            return problem(RefusedError(Reason.NOT_STORED, "cannot say now: ask again with the same Idempotency-Key"))
        except Exception:
            log.exception("a bug at the gateway")
            return problem(RefusedError(Reason.INTERNAL, "a bug here: ask again with the same Idempotency-Key"))

    def _let_in(self, scope: Any, headers: dict[bytes, list[bytes]], allow: str) -> str:
        """Return the client, from the head alone. Raises RefusedError."""
        self._enter(scope, headers)
        if scope["path"] != PATH and not scope["path"].startswith(f"{PATH}/"):
            raise RefusedError(Reason.NOT_FOUND, f"here is {PATH} alone")
        client = self._known(headers)
        if scope["method"] != allow:
            raise RefusedError(Reason.METHOD, f"the method is {allow}")
        return client

    def _enter(self, scope: Any, headers: dict[bytes, list[bytes]]) -> None:
        peer = scope["client"][0] if scope.get("client") else "0.0.0.0"  # noqa: S104 - stands for nobody known
        address = self._addresses.client(peer, headers.get(b"x-forwarded-for", []))
        if wait := self._address_rate.take(address):
            raise RefusedError(Reason.ADDRESS_RATE, "too many requests from this address", retry_after_seconds=wait)

    def _known(self, headers: dict[bytes, list[bytes]]) -> str:
        given = headers.get(b"authorization", [])
        scheme, _, token = given[0].partition(b" ") if len(given) == 1 else (b"", b"", b"")
        client = self._clients.now.authentic(token.strip().decode("latin-1"))
        if client is None or scheme.lower() != b"bearer":
            raise RefusedError(Reason.UNAUTHENTIC, "Authorization: the bearer token is missing or wrong")
        if wait := self._client_rate.take(client):
            raise RefusedError(Reason.CLIENT_RATE, "too many requests of this client", retry_after_seconds=wait)
        return client

    async def _ask(self, client: str, headers: dict[bytes, list[bytes]], receive: Any) -> HttpAnswer:
        keys = headers.get(b"idempotency-key", [])
        if len(keys) != 1 or not _KEY.match(keys[0]):
            raise RefusedError(Reason.KEY, "Idempotency-Key: must stand once, 1 to 255 visible characters of ASCII")
        media_type = _text(headers, b"content-type").partition(";")[0].strip().lower()
        if media_type != "application/json" or b"content-encoding" in headers:
            raise RefusedError(Reason.MEDIA_TYPE, "Content-Type: application/json, without content encoding")
        ask = _parsed(await _body(receive, headers))
        return accepted(await self._asking.ask(client, keys[0].decode(), ask))

    async def _look(self, client: str, identifier: str) -> HttpAnswer:
        asked = await self._asking.look(client, identifier) if _ID.match(identifier) else None
        if asked is None:
            raise RefusedError(Reason.NOT_FOUND, "no verification of yours has this id")
        return found(asked)


def _text(headers: dict[bytes, list[bytes]], name: bytes) -> str:
    return headers.get(name, [b""])[0].decode("latin-1")


async def _body(receive: Any, headers: dict[bytes, list[bytes]]) -> bytes:
    """Return the body. Raises RefusedError when it is too long, too slow, or breaks off."""
    length = headers.get(b"content-length", [b""])[0]
    try:
        return await read_body(receive, length, most_bytes=MOST_BODY_BYTES, most_read_bytes=_MOST_READ_BYTES)
    except TooLargeError as error:
        raise RefusedError(Reason.TOO_LARGE, str(error)) from error
    except SlowError as error:
        raise RefusedError(Reason.SLOW, str(error)) from error


def _parsed(body: bytes) -> Ask:
    try:
        document = parse_json(body, _BOUNDS)
    except JsonError as error:
        reason = Reason.NOT_JSON if error.problem is JsonProblem.MALFORMED else Reason.INVALID
        raise RefusedError(reason, str(error)) from error
    try:
        return Ask.model_validate(document)
    except ValidationError as error:
        raise RefusedError(Reason.INVALID, first_problem(error, "the request")) from error
