"""The front door: one route, bounded before parsing, answered 200 only when the log has the message (rules 7, 12)."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final

from opentelemetry.trace import Span, Status, StatusCode
from prometheus_client import Counter, Histogram

from services.inbox.answers import Answer, problem, reply
from services.inbox.domain import Reason, RefusedError
from services.inbox.guard import Guard
from services.inbox.http_application import Head
from services.inbox.intake import TAKEN, Intake
from services.inbox.opener import Doubt, Opener
from services.inbox.quiet_log import QuietLog
from services.inbox.shedding import Load
from shared.addresses import Addresses
from shared.envelope import ANONYMOUS, Envelope
from shared.telemetry import SpanKind, current_traceparent, open_span, traceparent_of, within

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
_TAKEN_ANSWER: Final = reply(TAKEN)
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
        manifest: bytes,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._opener = opener
        self._intake = intake
        self._manifest = reply(manifest)
        self._guard = guard
        self._load = load
        self._addresses = addresses
        self._clock = clock
        self._refusals = QuietLog(log, clock)
        self._tasks: set[asyncio.Task[None]] = set()
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

    def respond(self, head: Head, body: bytes, answered: Callable[[Answer], None]) -> Answer | None:
        """Answer one whole request, at once or later; see Application."""
        work = _Work(head.client, body, answered, self._clock(), open_span("POST /inbox", kind=SpanKind.SERVER))
        self._load.in_flight += 1
        try:
            return self._begin(work)
        except RefusedError as error:
            return self._refused(work, error)
        except Exception:
            self._end(work)
            raise

    def _begin(self, work: "_Work") -> Answer | None:
        """Do all that waits for nobody; what is to be waited for goes on by itself."""
        envelope = work.envelope = self._opener.read(work.body)
        # Nobody is proven as Anonymous: each address has a bucket of its own for it.
        work.sender = f"{ANONYMOUS} {work.client}" if envelope.sender == ANONYMOUS else envelope.sender
        self._guard.before_proof(work.client, work.sender)
        try:
            doubt = self._opener.prove(envelope)
        except RefusedError as error:
            self._charge(work, error)
            raise
        if doubt is not None:
            self._guard.wait(work.client)
        else:
            self._guard.proven(work.client, work.sender)
            if self._intake.append(envelope, work.body, traceparent_of(work.span), partial(self._stored, work)):
                return None
        task = asyncio.get_running_loop().create_task(self._go_on(work, envelope, doubt))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return None

    async def _go_on(self, work: "_Work", envelope: Envelope, doubt: Doubt | None) -> None:
        """Answer what waits for a key or for a reply."""
        try:
            with within(work.span):
                if doubt is not None:
                    await self._settle(work, envelope, doubt)
                answer = self._accepted(work, await self._intake.take(envelope, work.body, current_traceparent()))
        except RefusedError as error:
            answer = self._refused(work, error)
        except Exception:
            log.exception("a bug at the door")
            self._end(work)
            answer = problem(Reason.INTERNAL)
            self.count(Reason.INTERNAL)
        work.answered(answer)

    async def _settle(self, work: "_Work", envelope: Envelope, doubt: Doubt) -> None:
        try:
            await self._opener.settle(envelope, doubt)
        except RefusedError as error:
            self._charge(work, error)
            raise
        finally:
            self._guard.decided(work.client)
        self._guard.proven(work.client, work.sender)

    def _charge(self, work: "_Work", error: RefusedError) -> None:
        if error.reason in _FORGED:
            self._guard.failed(work.client, work.sender)

    def _stored(self, work: "_Work", error: RefusedError | None) -> None:
        """Answer a message that the log has, or has not."""
        work.answered(self._accepted(work, TAKEN) if error is None else self._refused(work, error))

    def _accepted(self, work: "_Work", body: bytes) -> Answer:
        self._end(work)
        ANSWER_SECONDS.observe(self._clock() - work.began)
        _ACCEPTED_COUNTER.inc()
        if (envelope := work.envelope) is not None:
            log.info(
                "accepted",
                extra={"sender": envelope.sender, "correlation": envelope.correlation, "subject": envelope.subject},
            )
        return _TAKEN_ANSWER if body is TAKEN else reply(body)

    def _refused(self, work: "_Work", error: RefusedError) -> Answer:
        self._end(work, type(error).__name__)
        _COUNTERS[error.reason].inc()
        self._refusals.info("refused", error.reason.value, error.detail)
        return problem(error.reason, error.detail, retry_after_seconds=error.retry_after_seconds)

    def _end(self, work: "_Work", failed: str | None = None) -> None:
        self._load.in_flight -= 1
        if work.span is not None:
            if failed is not None:
                work.span.set_status(Status(StatusCode.ERROR, failed))
            work.span.end()


class _Work:
    """One request that is being answered."""

    __slots__ = ("answered", "began", "body", "client", "envelope", "sender", "span")

    def __init__(
        self, client: str, body: bytes, answered: Callable[[Answer], None], began: float, opened: Span | None
    ) -> None:
        self.client = client
        self.body = body
        self.answered = answered
        self.began = began
        self.span = opened
        self.sender = ""
        self.envelope: Envelope | None = None
