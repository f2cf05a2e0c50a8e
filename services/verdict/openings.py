"""From an opened page to a verdict without a scan, where a success of a moment ago stands for it."""

import logging
from collections.abc import Callable
from datetime import datetime

from services.verdict.announcing import Announcing
from services.verdict.policy import Proof
from services.verdict.proofs import Proofs
from shared.errors import UnprocessableError
from shared.events import VerificationOpened
from shared.received import Received
from shared.verification import ENDED, State
from shared.verifications import Verifications

log = logging.getLogger(__name__)


class Openings:
    """Handles ``verification.opened``: the event is a hint, what counts is the verification's record."""

    def __init__(
        self,
        *,
        verifications: Verifications,
        proofs: Proofs,
        announcing: Announcing,
        clock: Callable[[], datetime],
    ) -> None:
        self._verifications = verifications
        self._proofs = proofs
        self._announcing = announcing
        self._clock = clock

    async def on_opened(self, received: Received[VerificationOpened]) -> None:
        """Decide at once if nothing is asked; otherwise the page goes on to the check."""
        found = await self._verifications.get(received.data.verification_id)
        if found is None:
            raise UnprocessableError("verification_id: no such verification")
        now = self._clock()
        if found.state in ENDED:
            await self._announcing.announce(found)
            return
        if found.state is not State.OPENED or found.attempt or found.expired(now):
            return
        if (await self._proofs.asked(found, now)).proof is not Proof.NOTHING:
            return
        decided = await self._verifications.skip(found, now)
        if decided is not None:
            log.info("decided without a scan", extra={"verification_id": found.verification_id})
            await self._announcing.announce(decided)
