"""Telling everybody, once it is decided: the event for systems of ours, the wallet's pop-up, the domain that asked."""

import asyncio
import logging
from datetime import UTC, datetime
from typing import Any, Final

from prometheus_client import Counter

from services.verdict.auditing import Auditing
from shared.broker import Publisher
from shared.events import Outcome, PostRequested, VerdictReached, derived_id, utc_text
from shared.generation import Generation
from shared.verification import Attempt, State, Verification, Way
from shared.verifications import Verifications

log = logging.getLogger(__name__)

VERDICTS: Final = Counter("facescan_verdicts_total", "Verifications announced, by outcome.", ["outcome"])
for _outcome in Outcome:
    VERDICTS.labels(_outcome.value)
# Ends the wait of the script that called the hosted function (protocol §7).
HOSTED_ANSWER: Final = "Handled@Talker"


class Announcing:
    """Announces decided verifications; a repeat announces the same ids again and changes nothing."""

    def __init__(
        self,
        *,
        verifications: Verifications,
        publisher: Publisher,
        auditing: Auditing,
        close_subject: str,
        answer_subject: str,
        answer_seconds: float,
    ) -> None:
        self._verifications = verifications
        self._auditing = auditing
        self._publisher = publisher
        self._close_subject = close_subject
        self._answer_subject = answer_subject
        self._answer_seconds = answer_seconds
        self._told: set[str] = set()  # no more than are in flight

    async def announce(self, verification: Verification, attempt: Attempt | None = None) -> None:
        """Tell everybody, then note that; ``attempt`` is the last one, where it is at hand.

        Raises UnavailableError; then it is announced again later.
        """
        if verification.state is State.ANNOUNCED:
            return
        identifier = verification.verification_id
        if identifier not in self._told:
            await self._tell(verification)
            # While the audit trail or the table is away this comes again and again: nobody need be told each time.
            self._told.add(identifier)
        await self._auditing.note(verification, attempt)
        await self._verifications.announced(identifier)
        self._told.discard(identifier)
        VERDICTS.labels(verification.outcome).inc()
        log.info("announced", extra={"verification_id": identifier, "outcome": verification.outcome})

    async def _tell(self, verification: Verification) -> None:
        identifier = verification.verification_id
        verdict = VerdictReached(
            verification_id=identifier,
            outcome=Outcome(verification.outcome),
            decided_at=datetime.fromtimestamp(verification.decided_at, UTC),
        )
        messages = [message for message in (self._answer(verification), self._close(verification)) if message]
        await asyncio.gather(
            self._publisher.publish(verdict),
            *(self._publisher.publish(message, message.subject, identifier) for message in messages),
        )

    def _answer(self, verification: Verification) -> PostRequested | None:
        """The signed answer: success or failure (or error, ask again), and nothing else (rule 9).

        The nonce is one verdict's own, and the expiry bounds its use: an answer shown twice or late is told from a new.
        """
        if not verification.requester:
            return None
        expires = datetime.fromtimestamp(verification.decided_at + self._answer_seconds, UTC)
        result = verification.outcome.upper()
        hosted = verification.way is Way.HOSTED
        body: dict[str, Any] = {
            "Request": verification.correlation,
            "Locator": verification.locator,
            "Result": result,
            "Nonce": verification.nonce,
            "Expires": utc_text(expires),
        }
        if hosted:
            # The second hook is one verdict's own already, and a script takes it once (protocol §7).
            body = {"Hook": verification.second_hook, "Response": result}
        return PostRequested(
            to=verification.requester,
            subject=HOSTED_ANSWER if hosted else self._answer_subject,
            body=body,
            generation=Generation(verification.generation),
            correlation=derived_id("answer", verification.verification_id),
            order_key=verification.verification_id,
        )

    def _close(self, verification: Verification) -> PostRequested | None:
        if not verification.wallet_domain or verification.way is not Way.POPUP:
            return None  # what shows the page in a chat, or for a hosted function, closes it when the answer comes
        return PostRequested(
            to=verification.wallet_domain,
            subject=self._close_subject,
            body={"Wallet": verification.wallet_id, "Popup": verification.verification_id},
            generation=Generation.NLWEB,
            correlation=derived_id("close popup", verification.verification_id),
            order_key=verification.verification_id,
        )
