"""From a request to a prompt: look the locator up, write the verification down, tell the wallet, set the deadline."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

from services.session.prompts import Prompt
from services.session.tokens import Tokens
from shared.broker import Publisher
from shared.delays import publish_at
from shared.events import DeadlinePassed, VerificationRequested
from shared.people import People
from shared.received import Received
from shared.telemetry import current_traceparent
from shared.verification import ENDED, FORGET_AFTER_SECONDS, State, Verification, Way
from shared.verifications import Verifications

log = logging.getLogger(__name__)


class Prompting:
    """Handles ``verification.requested``."""

    def __init__(
        self,
        *,
        people: People,
        verifications: Verifications,
        publisher: Publisher,
        tokens: Tokens,
        prompts: Mapping[Way, Prompt],
        public_url: str,
        verification_seconds: float,
        clock: Callable[[], datetime],
    ) -> None:
        self._people = people
        self._verifications = verifications
        self._publisher = publisher
        self._tokens = tokens
        self._prompts = prompts
        self._public_url = public_url
        self._verification_seconds = verification_seconds
        self._clock = clock

    async def on_requested(self, received: Received[VerificationRequested]) -> None:
        """Prompt the person. An unknown locator has nobody to prompt and ends at the deadline, like a person who never
        comes; the call of a hosted function gets its page for everybody, and nobody's ends in a failure like that of a
        wrong person. So whoever asks cannot tell known and unknown apart (rule 9).
        """  # noqa: D205 - one sentence of two lines
        verification = await self._verifications.create(await self._verification(received.data))
        if verification.state in ENDED:
            return
        log.info("requested", extra={"verification_id": verification.verification_id, "state": verification.state})
        await asyncio.gather(self._set_deadline(verification), self._prompt(verification))

    async def _verification(self, data: VerificationRequested) -> Verification:
        now = self._clock()
        person = await self._people.find(data.locator, now)
        if person and data.chat and person.wallet_domain != data.chat.broker:
            person = None  # a chat is believed from the person's own broker alone
        expires_at = int((now + timedelta(seconds=data.deadline_seconds or self._verification_seconds)).timestamp()) + 1
        return Verification(
            verification_id=data.verification_id,
            state=State.PROMPTED if person or data.hook else State.REQUESTED,
            locator=data.locator,
            expires_at=expires_at,
            created_at=int(now.timestamp()),
            requester=data.requester.domain if data.requester else "",
            generation=data.requester.generation if data.requester else "",
            correlation=data.requester.correlation if data.requester else "",
            purpose=data.purpose or "",
            traceparent=current_traceparent() or "",
            person=person.person if person else "",
            wallet_domain=person.wallet_domain if person else "",
            wallet_id=person.wallet_id if person else "",
            photo_key=person.photo.key if person else "",
            photo_version=person.photo.version if person else "",
            photo_sha256=person.photo.sha256 if person else "",
            enrolled_at=person.enrolled_at if person else int(now.timestamp()),
            chat=data.chat.chat if data.chat else "",
            chat_key=data.chat.public_key if data.chat else "",
            hook=data.hook or "",
            forget_at=expires_at + FORGET_AFTER_SECONDS,
        )

    async def _set_deadline(self, verification: Verification) -> None:
        await publish_at(
            self._publisher,
            DeadlinePassed(verification_id=verification.verification_id),
            datetime.fromtimestamp(verification.expires_at, UTC),
            "verification",
        )

    async def _prompt(self, verification: Verification) -> None:
        if verification.state is State.REQUESTED:
            return
        identifier = verification.verification_id
        url = f"{self._public_url}/scan/{self._tokens.make(identifier)}"
        expires = datetime.fromtimestamp(verification.expires_at, UTC)
        message = self._prompts[verification.way].message(verification, url, expires)
        await self._publisher.publish(message, "open popup", identifier)
