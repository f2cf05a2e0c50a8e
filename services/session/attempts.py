"""An attempt's life as the page drives it: a session on the person's click, "done" as a hint."""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime

from services.session.domain import attempt_end
from services.session.liveness import LivenessSessions
from shared.broker import Publisher
from shared.delays import publish_at
from shared.events import CaptureCompleted, DeadlinePassed, SessionCreated
from shared.stores import ConditionFailedError
from shared.telemetry import SpanKind, span
from shared.verification import Attempt, State, Verification
from shared.verifications import Verifications

log = logging.getLogger(__name__)


class Attempts:
    """Begins attempts and notes that they are done."""

    def __init__(
        self,
        *,
        verifications: Verifications,
        publisher: Publisher,
        sessions: LivenessSessions,
        attempt_seconds: float,
        clock: Callable[[], datetime],
    ) -> None:
        self._verifications = verifications
        self._publisher = publisher
        self._sessions = sessions
        self._attempt_seconds = attempt_seconds
        self._clock = clock

    async def begin(self, verification: Verification) -> Attempt:
        """Return the running attempt, or a new one with a session of its own.

        A second click, a second tab and a click repeated after a crash get the same attempt; its events are published
        again with the same ids. Raises UnavailableError; ConditionFailedError when the verification has ended.
        """
        if verification.attempt_open:
            attempt = await self._running(verification)
        else:
            attempt = await self._new(verification)
        expires_at = datetime.fromtimestamp(attempt.expires_at, UTC)
        number, step = attempt.attempt, str(attempt.attempt)
        identifier = verification.verification_id
        await asyncio.gather(
            publish_at(
                self._publisher, DeadlinePassed(verification_id=identifier, attempt=number), expires_at, "attempt", step
            ),
            self._publisher.publish(
                SessionCreated(
                    verification_id=identifier, attempt=number, provider=attempt.provider, expires_at=expires_at
                ),
                step,
            ),
        )
        log.info("session created", extra={"verification_id": identifier, "attempt": number})
        return attempt

    async def _running(self, verification: Verification) -> Attempt:
        attempt = await self._verifications.attempt(verification.verification_id, verification.attempt)
        if attempt is None:
            raise ConditionFailedError
        return attempt

    async def _new(self, verification: Verification) -> Attempt:
        number = verification.attempt + 1
        now = self._clock()
        session_id = await self._sessions.create(f"{verification.verification_id}-{number}")
        attempt = Attempt(
            verification_id=verification.verification_id,
            attempt=number,
            provider=self._sessions.name,
            provider_session_id=session_id,
            created_at=int(now.timestamp()),
            expires_at=int(attempt_end(now, verification.expires_at, self._attempt_seconds).timestamp()),
            person=verification.person,
            photo_key=verification.photo_key,
            photo_version=verification.photo_version,
            photo_sha256=verification.photo_sha256,
            requester=verification.requester,
            locator=verification.locator,
            forget_at=verification.forget_at,
        )
        try:
            await self._verifications.begin(attempt)
        except ConditionFailedError:
            # Another tab was first; both get the session that it made.
            current = await self._verifications.get(verification.verification_id)
            if current is None or not current.attempt_open:
                raise
            return await self._running(current)
        return attempt

    async def done(self, verification_id: str) -> Verification | None:
        """Note the page's "done" and tell the verdict; a repeat tells it again with the same id. Returns the record.

        Raises UnavailableError.
        """
        verification = await self._verifications.capture(verification_id)
        if verification is not None and verification.state is State.CAPTURED:
            number = verification.attempt
            with span("scan page done", kind=SpanKind.SERVER, parent=verification.traceparent or None):
                await self._publisher.publish(
                    CaptureCompleted(verification_id=verification_id, attempt=number), str(number)
                )
            log.info("capture completed", extra={"verification_id": verification_id, "attempt": number})
        return verification
