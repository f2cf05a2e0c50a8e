"""The Host's side of a chat: a prompt's content, served once, and the wallet's reply, a hint (protocol §7).

Both messages come from Anonymous, so the door has checked no signature: they are verified here, with the key of the
chat that the prompt was sent into. Every refusal looks the same: who has not the key learns nothing about a prompt.
"""

import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from services.session.attempts import Attempts
from services.session.context import Fingerprints, read_context
from services.session.prompts import EMOJI, WEB_VIEW
from services.session.tokens import Tokens
from shared.envelope import Envelope, EnvelopeError, parse
from shared.errors import FacescanError
from shared.events import utc_text
from shared.keys import KeyRecordError, parse_key_record
from shared.verification import ENDED, Verification, Way
from shared.verifications import Verifications

log = logging.getLogger(__name__)

PROMPTED: Final = "Prompted@Host"
REPLY: Final = "Reply@Host"
_YES: Final = frozenset({"OK", "YES"})
_NO: Final = frozenset({"CANCEL", "NO"})


class NoPromptError(FacescanError):
    """Raised when a message is not the wallet's about a prompt of ours, or comes too late, or for a second time."""

    def __init__(self, why: str) -> None:
        super().__init__("there is no such prompt for the sender of this message")
        self.why = why


class Host:
    """Answers ``Prompted@Host`` and ``Reply@Host``. All methods raise NoPromptError and UnavailableError."""

    def __init__(
        self,
        *,
        verifications: Verifications,
        attempts: Attempts,
        tokens: Tokens,
        fingerprints: Fingerprints,
        domain: str,
        public_url: str,
        clock: Callable[[], datetime],
    ) -> None:
        self._verifications = verifications
        self._attempts = attempts
        self._tokens = tokens
        self._fingerprints = fingerprints
        self._domain = domain
        self._public_url = public_url
        self._clock = clock

    async def prompted(self, message: bytes) -> Mapping[str, Any]:
        """Return the content of the prompt that a signed message asks for: once, or again for the same message."""
        envelope, verification = await self._open(message, PROMPTED)
        if verification.state in ENDED or verification.expired(self._clock()):
            raise NoPromptError("over")
        identifier = verification.verification_id
        try:
            told = read_context(envelope.body.get("Context"))
        except ValueError as error:
            raise NoPromptError("context") from error
        context = self._fingerprints.context(told, verification.person) if told else None
        device = self._fingerprints.device(told.device) if told and told.device else ""
        now = await self._verifications.fetch(identifier, envelope.correlation, context, device)
        if now is None or now.fetched_by != envelope.correlation:
            raise NoPromptError("served before")
        log.info("prompt served", extra={"verification_id": identifier})
        return {
            "Format": WEB_VIEW,
            "Emoji": EMOJI,
            "Text": _text(verification.requester or self._domain, verification.purpose),
            "URL": f"{self._public_url}/scan/{self._tokens.make(identifier)}",
            "Expires": utc_text(datetime.fromtimestamp(verification.expires_at, UTC)),
        }

    async def replied(self, message: bytes) -> None:
        """Take the wallet's reply for what it is: a hint to look at the result, or that the person wants no check."""
        envelope, verification = await self._open(message, REPLY)
        result = envelope.body.get("Result", "OK")
        if result in _YES:
            if verification.browser:
                await self._attempts.done(verification.verification_id, verification.browser)
        elif result not in _NO:
            raise NoPromptError("result")
        elif verification.state not in ENDED and not verification.expired(self._clock()):
            await self._attempts.decline(verification)

    async def _open(self, message: bytes, subject: str) -> tuple[Envelope, Verification]:
        try:
            envelope = parse(message)
            prompt = str(UUID(str(envelope.body.get("Prompt"))))
        except (EnvelopeError, ValueError) as error:
            raise NoPromptError("not a message about a prompt") from error
        if envelope.receiver != self._domain or envelope.subject != subject:
            raise NoPromptError("not for here")
        verification = await self._verifications.get(prompt)
        if verification is None or verification.way is not Way.CHAT or not verification.known:
            raise NoPromptError("unknown")
        if envelope.body.get("Chat", verification.chat) != verification.chat:
            raise NoPromptError("another chat")
        try:
            key = parse_key_record(verification.chat_key)
        except KeyRecordError as error:
            raise NoPromptError("key") from error
        if not envelope.hash_matches() or not envelope.signed_by(key):
            raise NoPromptError("signature")
        return envelope, verification


def _text(requester: str, purpose: str) -> str:
    return f"{requester} asks whether it is you: {purpose}" if purpose else f"{requester} asks whether it is you"
