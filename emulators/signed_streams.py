"""Signature Version 4 of a streaming session: the signed address that opens it, and the chain of signed chunks.

Source of the rules: "Authenticating requests: query parameters (AWS Signature Version 4)" for the address, and the
event stream signing of Amazon Transcribe's developer guide for the chunks.
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import unquote

import orjson

from emulators.event_stream import Frame, FrameError, decode, encode_header

if TYPE_CHECKING:
    from collections.abc import Callable

ACTION: Final = "rekognition:StartFaceLivenessSession"
_SERVICE: Final = "rekognition"
_SCOPE_PARTS: Final = 5
_CLOCK_SKEW: Final = datetime.timedelta(minutes=5)
_TIME_FORMAT: Final = "%Y%m%dT%H%M%SZ"
_EXPIRES: Final = re.compile(r"[0-9]{1,6}")


class SignatureError(ValueError):
    """Raised when an address or a chunk is not signed as it must be; the message names what is wrong."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Temporary credentials as they were handed out; `policy` is the session policy's JSON, or None."""

    secret: str
    token: str
    expires_at: datetime.datetime
    policy: str | None


class CredentialsStore(Protocol):
    """Knows the temporary credentials of the account."""

    def find(self, access_key: str) -> Credentials | None:
        """The credentials of this access key, if they were handed out."""


class SignedStream:
    """An accepted session's chain of signatures: each chunk signs the one before it, the first signs the address."""

    def __init__(self, key: bytes, scope: str, signature: str) -> None:
        self._key = key
        self._scope = scope
        self._before = signature

    def open(self, data: bytes) -> bytes:
        """The payload of the next chunk. Raises SignatureError, FrameError."""
        chunk = decode(data)
        date, signature = chunk.headers.get(":date"), chunk.headers.get(":chunk-signature")
        if not isinstance(date, datetime.datetime) or not isinstance(signature, bytes):
            raise SignatureError("a chunk lacks :date or :chunk-signature")
        expected = _hmac(self._key, self._to_sign(date, chunk.payload))
        if not hmac.compare_digest(expected, signature):
            raise SignatureError("the signature of a chunk is wrong")
        self._before = signature.hex()
        return chunk.payload

    def seal(self, payload: bytes, date: datetime.datetime) -> Frame:
        """The next chunk with its signature, as a client makes it; for tests."""
        signature = _hmac(self._key, self._to_sign(date, payload))
        self._before = signature.hex()
        return Frame({":date": date, ":chunk-signature": signature}, payload)

    def _to_sign(self, date: datetime.datetime, payload: bytes) -> str:
        lines = (
            "AWS4-HMAC-SHA256-PAYLOAD", date.strftime(_TIME_FORMAT), self._scope, self._before,
            hashlib.sha256(encode_header(":date", date)).hexdigest(), hashlib.sha256(payload).hexdigest(),
        )  # fmt: skip
        return "\n".join(lines)


def open_stream(
    path: str, host: str, store: CredentialsStore, now: Callable[[], datetime.datetime]
) -> tuple[dict[str, str], SignedStream]:
    """The parameters of a signed address and the chain that it begins; `path` is as it was sent, with its query.

    Checks signature, age, credentials and that their session policy allows the one action. Raises SignatureError.
    """
    bare, _, query = path.partition("?")
    pairs = [pair.partition("=")[::2] for pair in query.split("&") if pair]
    given = {name: unquote(value) for name, value in pairs}
    names = ("Algorithm", "Credential", "Date", "Expires", "SignedHeaders", "Signature")
    if missing := [name for name in names if not given.get(f"X-Amz-{name}")]:
        raise SignatureError(f"the address lacks X-Amz-{missing[0]}")
    if given["X-Amz-Algorithm"] != "AWS4-HMAC-SHA256" or given["X-Amz-SignedHeaders"] != "host":
        raise SignatureError("the address is not signed by AWS4-HMAC-SHA256 over its host alone")
    _check_age(given, now())
    access_key, _, scope = given["X-Amz-Credential"].partition("/")
    credentials = _credentials(store, access_key, given, now())
    key = _signing_key(credentials.secret, scope)
    unsigned = "&".join("=".join(pair) for pair in sorted(pairs) if pair[0] != "X-Amz-Signature")
    # A client that was told a port signs the host's name without it.
    canonical = ("GET", bare, unsigned, f"host:{host.rsplit(':', 1)[0]}\n", "host", hashlib.sha256(b"").hexdigest())
    hashed = hashlib.sha256("\n".join(canonical).encode()).hexdigest()
    expected = _hmac(key, "\n".join(("AWS4-HMAC-SHA256", given["X-Amz-Date"], scope, hashed))).hex()
    if not hmac.compare_digest(expected, given["X-Amz-Signature"]):
        raise SignatureError("the signature of the address is wrong")
    return given, SignedStream(key, scope, expected)


def _check_age(given: dict[str, str], now: datetime.datetime) -> None:
    try:
        signed_at = datetime.datetime.strptime(given["X-Amz-Date"], _TIME_FORMAT).replace(tzinfo=datetime.UTC)
    except ValueError:
        raise SignatureError("X-Amz-Date is no time") from None
    if not _EXPIRES.fullmatch(given["X-Amz-Expires"]):
        raise SignatureError("X-Amz-Expires is no number of seconds")
    lasts = datetime.timedelta(seconds=int(given["X-Amz-Expires"]))
    if signed_at - _CLOCK_SKEW > now or now > signed_at + lasts:
        raise SignatureError("the signed address has expired, or is of the future")


def _credentials(
    store: CredentialsStore, access_key: str, given: dict[str, str], now: datetime.datetime
) -> Credentials:
    credentials = store.find(access_key)
    if credentials is None or given.get("X-Amz-Security-Token") != credentials.token:
        raise SignatureError("the security token is invalid: no temporary credentials of this account")
    if now >= credentials.expires_at:
        raise SignatureError("the security token has expired")
    if not _allows(credentials.policy):
        raise SignatureError(f"the session policy does not allow {ACTION}")
    return credentials


def _allows(policy: str | None) -> bool:
    """Whether a session policy allows the action; without one the role's own policies count, which allow it."""
    if not policy:
        return True
    statements: Any = orjson.loads(policy).get("Statement", [])
    actions = [
        action
        for statement in (statements if isinstance(statements, list) else [statements])
        if statement.get("Effect") == "Allow"
        for action in (statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]])
    ]
    return bool({ACTION, "rekognition:*", "*"} & set(actions))


def _signing_key(secret: str, scope: str) -> bytes:
    parts = scope.split("/")
    if len(parts) != _SCOPE_PARTS - 1 or parts[2:] != [_SERVICE, "aws4_request"]:
        raise SignatureError("the credential's scope is not <date>/<region>/rekognition/aws4_request")
    key = f"AWS4{secret}".encode()
    for part in parts:
        key = _hmac(key, part)
    return key


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


__all__ = ["ACTION", "Credentials", "CredentialsStore", "FrameError", "SignatureError", "SignedStream", "open_stream"]
