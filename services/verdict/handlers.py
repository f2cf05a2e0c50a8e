"""From a hint or a deadline to a verdict: fetch at once, keep, judge, compare, decide once, announce."""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime
from typing import Final, NoReturn

from services.verdict.announcing import Announcing
from services.verdict.comparison import Faces
from services.verdict.domain import Liveness, Match, judge, outcome_without_check
from services.verdict.evidence import EvidenceStore, Picture
from services.verdict.policy import Conclusion, Proof, conclude
from services.verdict.proofs import Asked, Proofs, shown_in
from shared.errors import RetryLaterError, UnavailableError, UnprocessableError
from shared.events import CaptureCompleted, DeadlinePassed, Outcome
from shared.failure_tallies import FailureTallies
from shared.liveness import Finding
from shared.liveness_providers import Providers
from shared.received import Received
from shared.stores import ConditionFailedError
from shared.verification import ENDED, Attempt, State, Verification
from shared.verifications import Verifications

log = logging.getLogger(__name__)

# The hint may be there before the provider has finished; it has seconds, not minutes.
_STILL_RUNNING_SECONDS: Final = 1.0
# At the verification's deadline a check that is being judged gets this many more looks.
_GRACE_LOOKS: Final = 5
_GRACE_SECONDS: Final = 3.0
# When the provider has forgotten a session (Rekognition, CreateFaceLivenessSession): a look that comes later came too
# late, and what it does not find is no silence of the person's.
_FORGOTTEN_SECONDS: Final = 180
_LOOKS_AT_HISTORY: Final = 5
_LOOKS_TO_ERASE: Final = 60
_ERASE_AGAIN_SECONDS: Final = 30.0


class Verdicts:
    """Handles ``capture.completed`` and ``deadline.passed``."""

    def __init__(
        self,
        *,
        verifications: Verifications,
        providers: Providers,
        evidence: EvidenceStore,
        faces: Faces,
        proofs: Proofs,
        failures: FailureTallies,
        announcing: Announcing,
        most_attempts: int,
        clock: Callable[[], datetime],
    ) -> None:
        self._verifications = verifications
        self._providers = providers
        self._evidence = evidence
        self._faces = faces
        self._proofs = proofs
        self._failures = failures
        self._announcing = announcing
        self._most_attempts = most_attempts
        self._clock = clock

    async def on_capture(self, received: Received[CaptureCompleted]) -> None:
        """Judge an attempt whose page says "done". The subject is the attempt's own record, never the event's."""
        data = received.data
        verification, attempt = await self._subject(data.verification_id, data.attempt)
        if verification.state in ENDED:
            await self._announcing.announce(verification, attempt)
            if verification.state is State.DECIDED:
                # What came between the decision and its announcement kept the evidence too.
                await self._forget_left(attempt)
            await self._erase(attempt, received.attempt)
        elif verification.attempt == attempt.attempt and verification.attempt_open:
            await self._judge_in_time(verification, attempt, was_captured=True)
            await self._erase(attempt, received.attempt)

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
                await self._erase(attempt, received.attempt)
            elif received.attempt > 1:
                await self._erase(attempt, received.attempt)  # what could not be done the time before
            return
        found = await self._verifications.get(data.verification_id)
        if found is None:
            raise UnprocessableError("verification_id: no such verification")
        # A check that was done, or an answer, and could still not be judged after this met trouble of ours.
        stuck = found.state is State.ANSWERED or (found.state is State.CAPTURED and found.attempt_open)
        if stuck and received.attempt <= _GRACE_LOOKS:
            raise RetryLaterError("the last check is being judged", _GRACE_SECONDS)
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
            await self._announcing.announce(decided, attempt)
            await self._forget_left(attempt)

    async def _judge(
        self, verification: Verification, attempt: Attempt, *, was_captured: bool, last_look: bool = False
    ) -> None:
        provider = self._providers.named(attempt.provider)
        terms = self._proofs.terms(verification)
        result, _ = await asyncio.gather(
            provider.result(attempt.provider_session_id, terms.least_confidence_percent),
            self._evidence.prepare(attempt),
        )
        picture: Picture | None = None
        if result.picture:
            # Before anything else: three minutes after its creation the provider forgets the session.
            picture = await self._evidence.save(attempt, result)
        elif result.finding is Finding.EXPIRED and (kept := await self._evidence.find(attempt)):
            result, picture = kept
        now = self._clock().timestamp()
        lost_by_us = was_captured or now >= attempt.created_at + _FORGOTTEN_SECONDS
        match judge(result, was_captured=lost_by_us):
            case Liveness.LIVE if result.same_person is not None:
                await self._settle(verification, attempt, Match.SAME if result.same_person else Match.OTHER)
            case Liveness.LIVE if result.picture:
                await self._compare(verification, attempt, result.picture, terms.least_similarity_percent)
            case Liveness.NOT_LIVE:
                await self._settle(verification, attempt, Match.OTHER)
            case Liveness.RUNNING if not last_look and now < attempt.expires_at:
                raise RetryLaterError("the check is still running", _STILL_RUNNING_SECONDS)
            case Liveness.LOST:
                await self._end_attempt(verification, attempt, trouble=True)
            case _:
                await self._end_attempt(verification, attempt, trouble=False)
        if picture is not None:
            await self._forget(picture)

    async def _compare(
        self, verification: Verification, attempt: Attempt, picture: bytes, least_similarity_percent: float
    ) -> None:
        match, asked = await asyncio.gather(
            self._faces.compare(picture, attempt, least_similarity_percent),
            self._proofs.asked(verification, self._clock()),
        )
        await self._settle(verification, attempt, match, asked)

    async def _settle(
        self, verification: Verification, attempt: Attempt, match: Match, asked: Asked | None = None
    ) -> None:
        """Do what the policy concludes; asked again when another verification of the person decides meanwhile."""
        if match is Match.SAME and not attempt.person:
            match = Match.OTHER  # a hosted function is answered for nobody's locator, too, and never with yes (ADR 19)
        for _ in range(_LOOKS_AT_HISTORY):
            asked = asked or await self._proofs.asked(verification, self._clock())
            match conclude(match, asked.proof, shown_in(verification)):
                case Conclusion.ASK:
                    if await self._ask(verification, attempt, asked, passed=match is Match.SAME):
                        return None
                    decided = None
                case Conclusion.ONCE_MORE:
                    return await self._ask_once_more(verification, attempt)
                case Conclusion.NO_USE:
                    return await self._end_attempt(verification, attempt, trouble=False)
                case Conclusion.SUCCESS:
                    decided = await self._decide(verification, attempt, Outcome.SUCCESS, asked)
                case Conclusion.FAILURE:
                    decided, _ = await asyncio.gather(
                        self._decide(verification, attempt, Outcome.FAILURE, asked), self._count(attempt)
                    )
            if decided is not None:
                return await self._announcing.announce(decided, attempt)
            asked = None
        raise RetryLaterError("the person's history keeps moving", _STILL_RUNNING_SECONDS)

    async def _decide(
        self, verification: Verification, attempt: Attempt, outcome: Outcome, asked: Asked
    ) -> Verification | None:
        """Decide and remember, in one write; None when the history is not the one that was looked at."""
        now = self._clock()
        # What was refused while locked out is no failure more: it would lock out for ever.
        forgotten = asked.proof is Proof.LOCKED or not verification.known
        also = [] if forgotten else [self._proofs.remember(verification, asked, outcome, now)]
        try:
            decided = await self._verifications.decide(verification, outcome, now, attempt, also)
        except ConditionFailedError as error:
            if list(error.reasons[:2]) == ["None", "None"]:
                return None
            await self._used_before(attempt, error)
        log.info("decided", extra={"verification_id": verification.verification_id, "attempt": attempt.attempt})
        return decided

    async def _ask(self, verification: Verification, attempt: Attempt, asked: Asked, *, passed: bool) -> bool:
        """Ask for the proof's factor; False when the history is not the one that was looked at.

        A check that failed is remembered and counted here: who does not answer has failed all the same.
        """
        now = self._clock()
        remember = self._proofs.remember(verification, asked, Outcome.FAILURE, now)
        refused = [] if passed else [remember]
        if not passed:
            await self._count(attempt)
        try:
            await self._verifications.ask(verification, attempt, str(asked.asking), now, refused=refused)
        except ConditionFailedError as error:
            if list(error.reasons[:2]) == ["None", "None"]:
                return False
            found = await self._verifications.get(verification.verification_id)
            if found is not None and found.attempt_open and found.state not in ENDED:
                await self._used_before(attempt, error)
            return True  # asked before
        log.info("asked", extra={"verification_id": verification.verification_id, "attempt": attempt.attempt})
        return True

    async def _count(self, attempt: Attempt) -> None:
        """Count a failed check, once however often it is judged."""
        check = f"{attempt.verification_id}-{attempt.attempt}"
        await self._failures.count(attempt.whoms.split(), check, int(self._clock().timestamp()))

    async def _ask_once_more(self, verification: Verification, attempt: Attempt) -> None:
        """Note a success that is not enough: the page offers the next check, as after one without a result."""
        try:
            await self._verifications.pass_attempt(verification, attempt, self._clock())
        except ConditionFailedError as error:
            now = await self._verifications.get(verification.verification_id)
            if now is not None and now.attempt_open and now.state not in ENDED:
                await self._used_before(attempt, error)
            return  # noted before
        log.info("once more", extra={"verification_id": verification.verification_id, "attempt": attempt.attempt})

    async def _used_before(self, attempt: Attempt, error: ConditionFailedError) -> NoReturn:
        await self._forget_left(attempt)
        raise UnprocessableError("this liveness session has been used before") from error

    async def _end_attempt(self, verification: Verification, attempt: Attempt, *, trouble: bool) -> None:
        """Note that the attempt came to nothing; the last one ends the verification."""
        identifier = verification.verification_id
        log.info("attempt ended", extra={"verification_id": identifier, "attempt": attempt.attempt})
        if not trouble:
            await self._count(attempt)
        try:
            ended = await self._verifications.end_attempt(identifier, attempt.attempt, trouble=trouble)
        except ConditionFailedError:
            return  # ended or decided before
        if ended.tries_used >= self._most_attempts:
            decided = await self._verifications.decide(ended, outcome_without_check(ended), self._clock())
            await self._announcing.announce(decided, attempt)

    async def _erase(self, attempt: Attempt, look: int) -> None:
        """Let the provider forget the session: it has served. What cannot be done now is done later."""
        try:
            await self._providers.named(attempt.provider).erase(attempt.provider_session_id)
        except UnavailableError as error:
            if look < _LOOKS_TO_ERASE:
                raise RetryLaterError("the provider could not erase the session yet", _ERASE_AGAIN_SECONDS) from error
            # It forgets by itself after a while (docs/providers.md).
            log.warning("session not erased", extra={"verification_id": attempt.verification_id, "why": str(error)})

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
