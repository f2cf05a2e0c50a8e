"""From an answer of the person's to what follows: looked at once, counted when wrong, decided with what was scanned.

The session service collects and cannot open; only here is the answer opened, and the person's secret beside it.
"""

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Final

from services.verdict.announcing import Announcing
from services.verdict.policy import Conclusion, Proof, conclude_answer
from services.verdict.proofs import Asked, Proofs, shown_in
from shared.answer_box import AnswerBox
from shared.consuming import Consuming
from shared.enrolled_factors import Asking, Checked, EnrolledFactors
from shared.errors import RetryLaterError, UnprocessableError
from shared.events import Outcome, ProofGiven
from shared.failure_tallies import FailureTallies
from shared.received import Received, event_decoder
from shared.service import Service
from shared.stores import ConditionFailedError, Item, Put, Update
from shared.verification import ENDED, Attempt, State, Verification
from shared.verifications import Verifications, decision

log = logging.getLogger(__name__)

_LOOKS: Final = 5
_AGAIN_SECONDS: Final = 1.0


class Answering:
    """Handles ``proof.given``: the event is a hint, what counts is the verification's record."""

    def __init__(
        self,
        *,
        verifications: Verifications,
        proofs: Proofs,
        factors: EnrolledFactors,
        box: AnswerBox,
        failures: FailureTallies,
        announcing: Announcing,
        most_wrong: int,
        clock: Callable[[], datetime],
    ) -> None:
        self._verifications = verifications
        self._proofs = proofs
        self._factors = factors
        self._box = box
        self._failures = failures
        self._announcing = announcing
        self._most_wrong = most_wrong
        self._clock = clock

    async def on_given(self, received: Received[ProofGiven]) -> None:
        """Look at the answer that the record holds, if it holds one. Raises UnavailableError."""
        for _ in range(_LOOKS):
            found = await self._verifications.get(received.data.verification_id)
            if found is None:
                raise UnprocessableError("verification_id: no such verification")
            attempt = await self._verifications.attempt(found.verification_id, found.attempt)
            if found.state in ENDED:
                return await self._announcing.announce(found, attempt)
            if found.state is not State.ANSWERED or attempt is None:
                return None
            try:
                settled = await self._settle(found, attempt)
            except ConditionFailedError:
                continue  # another look was first, or the person's history or factor is not the one looked at
            log.info("answer looked at", extra={"verification_id": found.verification_id})
            if settled.state in ENDED:
                await self._announcing.announce(settled, attempt)
            return None
        raise RetryLaterError("the person's history keeps moving", _AGAIN_SECONDS)

    async def _settle(self, found: Verification, attempt: Attempt) -> Verification:
        """Write what follows from the answer. Raises ConditionFailedError."""
        asking = Asking.read(found.asks)
        checked, asked = await self._check(found, asking), await self._proofs.asked(found, self._clock())
        shown = shown_in(found)
        factors = " ".join(sorted(shown.factors | {asking.factor})) if checked.right else found.factors
        wrong = found.wrong_answers + (not checked.right)
        values: Item = {"factors": factors, "wrong_answers": wrong}
        if not checked.right:
            # Before the write: a crash between the two counts once, whichever comes again.
            answer = f"{found.verification_id}-answer-{wrong}"
            await self._failures.count(attempt.whoms.split(), answer, int(self._clock().timestamp()))
        match conclude_answer(asked.proof, shown, asking.factor, right=checked.right, most_wrong=self._most_wrong):
            case Conclusion.ASK:
                next_asking = asked.asking if checked.right else asking
                values = {**values, "state": State.ASKED, "asks": str(next_asking)}
            case Conclusion.ONCE_MORE:
                values = {**values, "state": State.OPENED}
            case Conclusion.SUCCESS:
                return await self._decide(found, asked, checked, values, Outcome.SUCCESS)
            case _:
                return await self._decide(found, asked, checked, values, Outcome.FAILURE)
        return await self._verifications.settle_answer(found, values, checked.also)

    async def _check(self, found: Verification, asking: Asking) -> Checked:
        answer = await self._box.open(found.verification_id, found.answer)
        if answer is None:
            return Checked(right=False)
        return await self._factors.check(found.person, asking, answer, found.given_at)

    async def _decide(
        self, found: Verification, asked: Asked, checked: Checked, values: Item, outcome: Outcome
    ) -> Verification:
        now = self._clock()
        also: list[Put | Update] = [*checked.also]
        # What is refused while locked out is no failure more, and a failed check was remembered when it failed.
        if asked.proof is not Proof.LOCKED and not found.refused:
            also.append(self._proofs.remember(found, asked, outcome, now))
        decided = {**values, **decision(outcome, int(now.timestamp()))}
        return await self._verifications.settle_answer(found, decided, also)


def look_at_answers(service: Service, answering: Answering, drain_seconds: float) -> None:
    """Let the service read that answers were given."""
    service.read(
        Consuming(
            topic=ProofGiven.topic,
            group="facescan.verdict.answers",
            decode=event_decoder(ProofGiven),
            publisher=service.publisher,
            handle=answering.on_given,
            drain_seconds=drain_seconds,
        ),
        ProofGiven,
        "Looks at the answer to what was asked besides the check.",
    )
