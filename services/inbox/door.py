"""The front door: one route, bounded before parsing, answered 200 only when the log has the message (rules 7, 12)."""

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from prometheus_client import Counter, Histogram

from services.inbox.addresses import Addresses
from services.inbox.answers import Answer, problem, reply
from services.inbox.domain import Reason, RefusedError
from services.inbox.guard import Guard
from services.inbox.http_connection import Head
from services.inbox.intake import Intake
from services.inbox.json_bounds import JsonBounds, beyond
from services.inbox.opener import Opener
from services.inbox.quiet_log import QuietLog
from services.inbox.shedding import Load
from shared.envelope import ANONYMOUS, Envelope
from shared.telemetry import SpanKind, span

log = logging.getLogger(__name__)

ANSWERED: Final = Counter("facescan_inbox_answered_total", "Messages at the front door, by answer.", ["reason"])
ANSWER_SECONDS: Final = Histogram(
    "facescan_inbox_answer_seconds",
    "From a whole request to its answer.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5),
)

PATH: Final = b"/inbox"
MANIFEST_PATH: Final = b"/manifest"
_READS: Final = frozenset({b"GET", b"HEAD"})
# Looked up once: a metric's child by its label costs more than counting.
_COUNTERS: Final = {reason: ANSWERED.labels(reason.value) for reason in Reason}
_ACCEPTED_COUNTER: Final = ANSWERED.labels("accepted")
# What says that a signature was looked for and did not hold.
_FORGED: Final = frozenset(
    {Reason.SIGNATURE, Reason.KEY_ABSENT, Reason.KEY_MALFORMED, Reason.KEY_REVOKED, Reason.KEY_WEAK,
     Reason.KEY_UNSUPPORTED, Reason.INSECURE, Reason.BOGUS, Reason.UNDECIDED,
     Reason.LOOK_UPS}
)  # fmt: skip


class Door:
    """Answers ``POST /inbox``; the Application of the connections."""

    def __init__(
        self,
        opener: Opener,
        intake: Intake,
        *,
        guard: Guard,
        load: Load,
        addresses: Addresses,
        json_bounds: JsonBounds,
        manifest: bytes,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._opener = opener
        self._intake = intake
        self._manifest = reply(manifest)
        self._guard = guard
        self._load = load
        self._addresses = addresses
        self._json_bounds = json_bounds
        self._clock = clock
        self._refusals = QuietLog(log, clock)
        self.reserve = load.reserve
        self.release = load.release

    def refuse(self, head: Head) -> Answer | None:
        """Return the answer to a request that is answered by its head alone, else None."""
        if head.method != b"POST" or head.path != PATH:
            answer = self._elsewhere(head)
            if answer is not None:
                return replace(answer, bodiless=True) if head.method == b"HEAD" else answer
        if self._load.too_much:
            return problem(Reason.OVERLOADED)
        head.client = self._addresses.client(head.peer, head.forwarded)
        if wait := self._guard.enter(head.client):
            return problem(Reason.ADDRESS_RATE, "too many requests from this address", retry_after_seconds=wait)
        return None

    def _elsewhere(self, head: Head) -> Answer | None:
        """Return the answer to what is no message by its path or method."""
        path = head.path.partition(b"?")[0]
        if path == MANIFEST_PATH:
            if head.method in _READS:
                return self._manifest
            return problem(Reason.METHOD, "the manifest is fetched with GET", allow=b"GET, HEAD")
        if path != PATH:
            return problem(Reason.NOT_FOUND)
        return None if head.method == b"POST" else problem(Reason.METHOD)

    def count(self, reason: Reason | None) -> None:
        """Count an answer that was given without ``respond``."""
        if reason is not None:
            _COUNTERS[reason].inc()

    async def respond(self, head: Head, body: bytes) -> Answer:
        """Answer one whole request."""
        self._load.in_flight += 1
        try:
            return await self._take(head.client, body)
        except RefusedError as error:
            _COUNTERS[error.reason].inc()
            self._refusals.info("refused", error.reason.value, error.detail)
            return problem(error.reason, error.detail, retry_after_seconds=error.retry_after_seconds)
        finally:
            self._load.in_flight -= 1

    async def _take(self, client: str, body: bytes) -> Answer:
        if (broken := beyond(body, self._json_bounds)) is not None:
            raise RefusedError(Reason.COMPLEX, broken)
        started = self._clock()
        with span("POST /inbox", kind=SpanKind.SERVER):
            envelope = self._opener.read(body)
            await self._prove(client, envelope)
            answer = await self._intake.take(envelope, body)
        ANSWER_SECONDS.observe(self._clock() - started)
        _ACCEPTED_COUNTER.inc()
        log.info(
            "accepted",
            extra={"sender": envelope.sender, "correlation": envelope.correlation, "subject": envelope.subject},
        )
        return reply(answer)

    async def _prove(self, client: str, envelope: Envelope) -> None:
        # Nobody is proven as Anonymous: each address has a bucket of its own for it.
        sender = f"{ANONYMOUS} {client}" if envelope.sender == ANONYMOUS else envelope.sender
        self._guard.before_proof(client, sender)
        try:
            await self._opener.authenticate(envelope)
        except RefusedError as error:
            if error.reason in _FORGED:
                self._guard.failed(client, sender)
            raise
        finally:
            self._guard.decided(client)
        self._guard.proven(client, sender)
