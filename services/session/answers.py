"""What the person answers to what is asked besides the check: sealed at once, kept, and told to be there.

What is right is the verdict's to say: this service cannot open what it has sealed, nor the person's secret (ADR 25).
"""

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Final

from shared.answer_box import AnswerBox
from shared.broker import Publisher
from shared.events import ProofGiven
from shared.telemetry import SpanKind, span
from shared.verification import State, Verification
from shared.verifications import Verifications

log = logging.getLogger(__name__)

MOST_SIGNS: Final = 200
# A page that waits longer than this tells again: a crash may have been between the answer and its event.
_TELL_AGAIN_SECONDS: Final = 5


class Answers:
    """Takes answers."""

    def __init__(
        self, *, box: AnswerBox, verifications: Verifications, publisher: Publisher, clock: Callable[[], datetime]
    ) -> None:
        self._box = box
        self._verifications = verifications
        self._publisher = publisher
        self._clock = clock

    async def give(self, verification: Verification, browser: str, text: str) -> Verification:
        """Keep an answer, if one is waited for, and tell the verdict; return the record. Raises UnavailableError."""
        if verification.state is State.ASKED:
            sealed = await self._box.close(verification.verification_id, text[:MOST_SIGNS])
            noted = await self._verifications.answer(verification.verification_id, browser, sealed, self._clock())
            verification = noted or verification
        await self._tell(verification)
        return verification

    async def tell_again(self, verification: Verification) -> None:
        """Tell the verdict again of an answer that nobody has looked at, if there is one. Raises UnavailableError."""
        if verification.given_at and self._clock().timestamp() > verification.given_at + _TELL_AGAIN_SECONDS:
            await self._tell(verification)

    async def _tell(self, verification: Verification) -> None:
        if verification.state is not State.ANSWERED:
            return
        number = verification.wrong_answers + len(verification.factors.split()) + 1
        with span("scan page answered", kind=SpanKind.SERVER, parent=verification.traceparent or None):
            given = ProofGiven(verification_id=verification.verification_id, number=number)
            await self._publisher.publish(given, str(number))
        log.info("answer given", extra={"verification_id": verification.verification_id})
