"""The synchronous Post as an internal HTTP call: ``POST /post`` with a bearer token, as an ASGI application."""

import hashlib
import hmac
import logging
from typing import Any, Final

from prometheus_client import Counter
from pydantic import ValidationError

from services.async_post.synchronous import BusyError, PostCall, SynchronousPost
from services.async_post.synchronous_answers import HttpAnswer, Refusal, answer, refusal
from shared.errors import UnavailableError, UnprocessableError
from shared.problems import first_problem
from shared.request_bodies import SlowError, TooLargeError, headers_of, read_body
from shared.strict_json import JsonError, JsonProblem, parse_json

log = logging.getLogger(__name__)

ANSWERED: Final = Counter("facescan_sync_post_answered_total", "Calls of the synchronous Post, by answer.", ["reason"])
PATH: Final = "/post"
# What a message may be where it is received; a longer one would be refused there.
MOST_CALL_BYTES: Final = 64 * 1024
# Read and thrown away of a longer one, so that its sender sees the answer and no broken connection.
_MOST_READ_BYTES: Final = 1024 * 1024
# Said before a call was read to its end: the connection is no use then.
_UNREAD: Final = frozenset(
    {
        Refusal.UNAUTHENTIC,
        Refusal.NOT_FOUND,
        Refusal.METHOD,
        Refusal.MEDIA_TYPE,
        Refusal.TOO_LARGE,
        Refusal.SLOW,
    }
)
_LONGEST_DETAIL: Final = 300


class _RefusedError(Exception):
    def __init__(self, reason: Refusal, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class SynchronousPostCall:
    """Answers calls. Whoever has no token learns nothing, and no body of theirs is read."""

    def __init__(self, post: SynchronousPost, token: str) -> None:
        self._post = post
        self._token = _digest(token.encode())

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            return
        given = await self._answer(scope, receive)
        ANSWERED.labels(given.reason.value).inc()
        headers = [*given.headers, (b"connection", b"close")] if given.reason in _UNREAD else given.headers
        await send({"type": "http.response.start", "status": given.status, "headers": headers})
        await send({"type": "http.response.body", "body": given.body})

    async def _answer(self, scope: Any, receive: Any) -> HttpAnswer:
        try:
            headers = headers_of(scope)
            self._check_head(scope, headers)
            return answer(await self._post.post(_call(await _body(receive, headers))))
        except _RefusedError as error:
            return refusal(error.reason, str(error))
        except BusyError as error:
            return refusal(Refusal.BUSY, str(error))
        except UnavailableError as error:
            log.warning("nothing to sign with", extra={"why": str(error)})
            return refusal(Refusal.NO_KEY, "there is no key to sign with now")
        except UnprocessableError as error:
            return refusal(Refusal.INVALID, str(error)[:_LONGEST_DETAIL])
        except Exception:
            log.exception("synchronous post failed")
            return refusal(Refusal.INTERNAL, "a bug here; whether the message was posted is not known")

    def _check_head(self, scope: Any, headers: dict[bytes, list[bytes]]) -> None:
        if not self._authentic(headers.get(b"authorization", [])):
            raise _RefusedError(Refusal.UNAUTHENTIC, "Authorization: the bearer token is missing or wrong")
        if scope["path"] != PATH:
            raise _RefusedError(Refusal.NOT_FOUND, f"here is {PATH} alone")
        if scope["method"] != "POST":
            raise _RefusedError(Refusal.METHOD, "calls are posted")
        media_type = headers.get(b"content-type", [b""])[0].split(b";")[0].strip().lower()
        if media_type != b"application/json" or b"content-encoding" in headers:
            raise _RefusedError(Refusal.MEDIA_TYPE, "Content-Type: application/json, without content encoding")

    def _authentic(self, given: list[bytes]) -> bool:
        """Whether the one Authorization header holds the token; takes the same time for every wrong one."""
        if len(given) != 1:
            return False
        scheme, _, token = given[0].partition(b" ")
        # Digests, so that not even the token's length shows.
        return hmac.compare_digest(_digest(token.strip()), self._token) and scheme.lower() == b"bearer"


def _digest(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()


async def _body(receive: Any, headers: dict[bytes, list[bytes]]) -> bytes:
    length = headers.get(b"content-length", [b""])[0]
    try:
        return await read_body(receive, length, most_bytes=MOST_CALL_BYTES, most_read_bytes=_MOST_READ_BYTES)
    except TooLargeError as error:
        raise _RefusedError(Refusal.TOO_LARGE, str(error)) from error
    except SlowError as error:
        raise _RefusedError(Refusal.SLOW, str(error)) from error


def _call(body: bytes) -> PostCall:
    try:
        document = parse_json(body)
    except JsonError as error:
        reason = Refusal.NOT_JSON if error.problem is JsonProblem.MALFORMED else Refusal.INVALID
        raise _RefusedError(reason, str(error)) from error
    try:
        return PostCall.model_validate(document)
    except ValidationError as error:
        raise _RefusedError(Refusal.INVALID, first_problem(error, "the call")) from error
