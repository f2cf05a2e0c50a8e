"""A foreign domain's inbox: checks every message with its own eyes, drops copies, remembers what came.

Checks and answers follow the protocol: 200 for a valid message and for a copy of one, 401 for a wrong key or signature,
422 for a wrong schema, receiver or time, 503 when the key cannot be looked up now.
"""

from __future__ import annotations

import asyncio
import datetime
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from emulators import json_fields
from emulators.envelopes import MalformedMessageError, UnprovenMessageError, read_envelope, verify
from emulators.json_fields import FieldError, JsonObject
from emulators.keys_over_dns import ResolverUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from emulators.envelopes import Envelope
    from emulators.keys_over_dns import Resolver

WINDOW_SECONDS = 300.0
"""How far a Timestamp may lie in the past or the future."""

MOST_MESSAGES = 20_000
MOST_CLAIMS = 200_000
"""Bounds memory under load tests; the oldest are forgotten first."""

_REFUSED_FROM = 300


@dataclass(frozen=True, slots=True)
class Received:
    """One message as it came (`message` is None if it was no JSON object); `problem` says why it did not count."""

    received_at: float
    verified: bool
    problem: str | None
    duplicate: bool
    status: int
    message: JsonObject | None

    def as_json(self) -> JsonObject:
        """The form in which the listing shows it."""
        return {
            "received_at": self.received_at,
            "verified": self.verified,
            "problem": self.problem,
            "duplicate": self.duplicate,
            "status": self.status,
            "message": self.message,
        }


@dataclass(slots=True)
class Rehearsed:
    """Answers that a test has ordered for the next `count` messages."""

    status: int = 200
    count: int = 0
    delay_seconds: float = 0.0
    retry_after: str | None = None


class Mailbox:
    """The inbox of one domain; `handle` is called once for each new verified message."""

    def __init__(self, domain: str, resolver: Resolver, handle: Callable[[Envelope, float], None]) -> None:
        self._domain = domain.lower()
        self._resolver = resolver
        self._handle = handle
        self._claims: dict[tuple[str, str], None] = {}
        self._received: deque[Received] = deque(maxlen=MOST_MESSAGES)
        self._rehearsed = Rehearsed()

    def rehearse(self, rehearsed: Rehearsed) -> None:
        """Answer the next messages so; one with a status of 300 or more is not accepted and not claimed."""
        self._rehearsed = rehearsed

    def listing(self) -> list[JsonObject]:
        """Every remembered message, oldest first."""
        return [received.as_json() for received in self._received]

    async def receive(self, raw: bytes) -> tuple[int, dict[str, str], str | None]:
        """Take one message; the HTTP status to answer, extra headers, and the problem if there is one."""
        received_at = time.time()
        status, headers = 200, {}
        if self._rehearsed.count > 0:
            rehearsed = self._rehearsed
            rehearsed.count -= 1
            status = rehearsed.status
            if rehearsed.retry_after is not None:
                headers["Retry-After"] = rehearsed.retry_after
            await asyncio.sleep(rehearsed.delay_seconds)
        received, envelope = await self._examine(raw, received_at)
        if received.status == 200 and status >= _REFUSED_FROM:  # noqa: PLR2004 - HTTP's OK
            received = Received(received_at, True, f"answered {status} as ordered", False, status, received.message)
        elif envelope is not None:
            received = self._claim(received, envelope)
        self._received.append(received)
        return received.status, headers, received.problem

    async def _examine(self, raw: bytes, received_at: float) -> tuple[Received, Envelope | None]:
        """Everything but the claim; the envelope only if the message is true."""
        message: JsonObject | None = None
        envelope: Envelope | None = None
        status, problem = 200, None
        try:
            message = json_fields.read_object(raw)
            envelope = read_envelope(message)
            self._check_address(envelope, received_at)
            name = envelope.generation.key_name(envelope.sender, envelope.selector)
            verify(message, await self._resolver.key_record(name))
        except (FieldError, MalformedMessageError) as error:
            status, problem = 422, str(error)
        except UnprovenMessageError as error:
            status, problem = 401, str(error)
        except ResolverUnavailableError as error:
            status, problem = 503, str(error)
        verified = problem is None
        return Received(received_at, verified, problem, False, status, message), envelope if verified else None

    def _check_address(self, envelope: Envelope, received_at: float) -> None:
        if envelope.receiver != self._domain:
            raise MalformedMessageError(f"To is {envelope.receiver}, this is {self._domain}")
        age_seconds = received_at - parse_timestamp(envelope.timestamp)
        if abs(age_seconds) > WINDOW_SECONDS:
            raise MalformedMessageError(f"Timestamp is {age_seconds:.0f} s old, outside the window")

    def _claim(self, received: Received, envelope: Envelope) -> Received:
        """Whether the message is the first of its kind; there is no await between the look and the mark."""
        claim = (envelope.sender, envelope.correlation)
        if claim in self._claims:
            return Received(received.received_at, True, None, True, received.status, received.message)
        self._claims[claim] = None
        while len(self._claims) > MOST_CLAIMS:
            del self._claims[next(iter(self._claims))]
        self._handle(envelope, received.received_at)
        return received


def parse_timestamp(text: str) -> float:
    """Epoch seconds of an ISO 8601 time in UTC that ends in `Z`; raises MalformedMessageError."""
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None or not text.endswith("Z"):
        raise MalformedMessageError("Timestamp is no ISO 8601 time in UTC with Z")
    return moment.timestamp()


def format_timestamp(epoch_seconds: float) -> str:
    """The protocol's form of a time, with milliseconds."""
    moment = datetime.datetime.fromtimestamp(epoch_seconds, datetime.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def rehearsed_from(fields: dict[str, Any]) -> Rehearsed:
    """What POST /<domain>/respond orders."""
    retry_after = fields.get("retry_after")
    if retry_after is not None and (isinstance(retry_after, bool) or not isinstance(retry_after, (int, str))):
        raise FieldError("retry_after: seconds or an HTTP date is expected")
    return Rehearsed(
        status=json_fields.whole(fields, "status", 200, least=200, most=599),
        count=json_fields.whole(fields, "count", 1),
        delay_seconds=json_fields.number(fields, "delay_seconds", 0.0, most=600.0),
        retry_after=None if retry_after is None else str(retry_after),
    )
