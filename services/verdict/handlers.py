"""From a hint or a deadline to a verdict: fetch at once, keep, judge, compare, decide once, announce."""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime
from typing import Final

from services.verdict.announcing import Announcing
from services.verdict.comparison import Faces
from services.verdict.domain import Liveness, Match, judge, outcome_of, outcome_without_check
from services.verdict.evidence import EvidenceStore, Picture
from shared.consuming import Received
from shared.errors import RetryLaterError, UnavailableError, UnprocessableError
from shared.events import CaptureCompleted, DeadlinePassed, Outcome
from shared.liveness import Finding
from shared.liveness_providers import Providers
from shared.stores import ConditionFailedError
from shared.verification import ENDED, Attempt, State, Verification
from shared.verifications import Verifications

log = logging.getLogger(__name__)

# The hint may be there before the provider has finished; it has seconds, not minutes.
_STILL_RUNNING_SECONDS: Final = 1.0
# At the verification's deadline a check that is being judged gets this many more looks.
_GRACE_LOOKS: Final = 5
_GRACE_SECONDS: Final = 3.0


class Verdicts:
    """Handles ``capture.completed`` and ``deadline.passed``."""

    def __init__(
        self,
        *,
        verifications: Verifications,
        providers: Providers,
        evidence: EvidenceStore,
        faces: Faces,
        announcing: Announcing,
        least_confidence_percent: float,
        most_attempts: int,
        clock: Callable[[], datetime],
    ) -> None:
        self._verifications = verifications
        self._providers = providers
        self._evidence = evidence
        self._faces = faces
        self._announcing = announcing
        self._least_confidence_percent = least_confidence_percent
        self._most_attempts = most_attempts
        self._clock = clock

    async def on_capture(self, received: Received[CaptureCompleted]) -> None:
        """Judge an attempt whose page says "done". The subject is the attempt's own record, never the event's."""
        data = received.data
        verification, attempt = await self._subject(data.verification_id, data.attempt)
        if verification.state in ENDED:
            await self._announcing.announce(verification)
            if verification.state is State.DECIDED:
                # What came between the decision and its announcement kept the evidence too.
                await self._forget_left(attempt)
        elif verification.attempt == attempt.attempt and verification.attempt_open:
            await self._judge_in_time(verification, attempt, was_captured=True)

    async def on_deadline(self, received: Received[DeadlinePassed]) -> None:
        """End what is still open: an attempt whose page went silent, or the whole verification."""
        data = received.data
        if data.attempt is not None:
            verification, attempt = await self._subject(data.verification_id, data.attempt)
            if (
                verification.attempt == attempt.attempt
                and verification.attempt_open
                and verification.state not in ENDED
            ):
                captured = verification.state is State.CAPTURED
                await self._judge_in_time(verification, attempt, was_captured=captured, last_look=True)
            return
        found = await self._verifications.get(data.verification_id)
        if found is None:
            raise UnprocessableError("verification_id: no such verification")
        if found.state is State.CAPTURED and found.attempt_open and received.attempt <= _GRACE_LOOKS:
            raise RetryLaterError("the last check is being judged", _GRACE_SECONDS)
        # A check that was done and could still not be judged by now met trouble of ours.
        stuck = found.state is State.CAPTURED and found.attempt_open
        if found.state not in ENDED:
            outcome = Outcome.ERROR if stuck else outcome_without_check(found)
            found = await self._verifications.decide(found, outcome, self._clock())
        await self._announcing.announce(found)
        if stuck and (last := await self._verifications.attempt(found.verification_id, found.attempt)):
            await self._forget_left(last)

    async def _subject(self, verification_id: str, number: int) -> tuple[Verification, Attempt]:
        verification, attempt = await self._verifications.subject(verification_id, number)
        if verification is None or attempt is None:
            raise UnprocessableError("verification_id, attempt: no such attempt")
        return verification, attempt

    async def _judge_in_time(
        self, verification: Verification, attempt: Attempt, *, was_captured: bool, last_look: bool = False
    ) -> None:
        """Judge; in an outage beyond the verification's time answer that there was no answer (rule 10).

        Its deadline cannot do that: it has the same key, and so waits behind the record that waits for the provider.
        """
        try:
            await self._judge(verification, attempt, was_captured=was_captured, last_look=last_look)
        except UnavailableError:
            if self._clock().timestamp() < verification.expires_at + _GRACE_LOOKS * _GRACE_SECONDS:
                raise
            decided = await self._verifications.decide(verification, Outcome.ERROR, self._clock())
            await self._announcing.announce(decided)
            await self._forget_left(attempt)

    async def _judge(
        self, verification: Verification, attempt: Attempt, *, was_captured: bool, last_look: bool = False
    ) -> None:
        provider = self._providers.named(attempt.provider)
        result, _ = await asyncio.gather(
            provider.result(attempt.provider_session_id, self._least_confidence_percent),
            self._evidence.prepare(attempt),
        )
        picture: Picture | None = None
        if result.picture:
            # Before anything else: three minutes after its creation the provider forgets the session.
            picture = await self._evidence.save(attempt, result)
        elif result.finding is Finding.EXPIRED and (kept := await self._evidence.find(attempt)):
            result, picture = kept
        match judge(result, was_captured=was_captured):
            case Liveness.LIVE if result.same_person is not None:
                same = Match.SAME if result.same_person else Match.OTHER
                await self._conclude(verification, attempt, outcome_of(same))
            case Liveness.LIVE if result.picture:
                outcome = outcome_of(await self._faces.compare(result.picture, attempt))
                await self._conclude(verification, attempt, outcome)
            case Liveness.NOT_LIVE:
                await self._conclude(verification, attempt, Outcome.FAILURE)
            case Liveness.RUNNING if not last_look and self._clock().timestamp() < attempt.expires_at:
                raise RetryLaterError("the check is still running", _STILL_RUNNING_SECONDS)
            case Liveness.LOST:
                await self._end_attempt(verification, attempt, trouble=True)
            case _:
                await self._end_attempt(verification, attempt, trouble=False)
        if picture is not None:
            await self._forget(picture)

    async def _conclude(self, verification: Verification, attempt: Attempt, outcome: Outcome | None) -> None:
        if outcome is None:
            await self._end_attempt(verification, attempt, trouble=False)
            return
        try:
            decided = await self._verifications.decide(verification, outcome, self._clock(), attempt)
        except ConditionFailedError as error:
            await self._forget_left(attempt)
            raise UnprocessableError("this liveness session has decided another verification") from error
        log.info("decided", extra={"verification_id": verification.verification_id, "attempt": attempt.attempt})
        await self._announcing.announce(decided)

    async def _end_attempt(self, verification: Verification, attempt: Attempt, *, trouble: bool) -> None:
        """Note that the attempt came to nothing; the last one ends the verification."""
        identifier = verification.verification_id
        log.info("attempt ended", extra={"verification_id": identifier, "attempt": attempt.attempt})
        try:
            ended = await self._verifications.end_attempt(identifier, attempt.attempt, trouble=trouble)
        except ConditionFailedError:
            return  # ended or decided before
        if attempt.attempt >= self._most_attempts:
            decided = await self._verifications.decide(ended, outcome_without_check(ended), self._clock())
            await self._announcing.announce(decided)

    async def _forget_left(self, attempt: Attempt) -> None:
        """Remove what an earlier look has kept and could not remove."""
        try:
            kept = await self._evidence.place(attempt)
        except UnavailableError:
            return  # as below
        if kept is not None:
            await self._forget(kept)

    async def _forget(self, picture: Picture) -> None:
        try:
            await self._evidence.forget(picture)
        except UnavailableError:
            # The bucket's lifecycle rule removes it within a day; the verdict stands and must not wait for that.
            log.warning("evidence not yet removed", extra={"key": picture.key})
