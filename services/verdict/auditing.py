"""The audit trail's line of a verdict: who asked, on what ground, what was decided."""

from datetime import UTC, datetime

from shared.audit import AuditTrail, Entry
from shared.events import derived_id, utc_text
from shared.verification import Attempt, Verification
from shared.verifications import Verifications


class Auditing:
    """Notes verdicts, after the answer is on its way and before the verification counts as announced.

    A crash between the two repeats the event that decided, and so the note, which stands there once.
    """

    def __init__(self, verifications: Verifications, trail: AuditTrail) -> None:
        self._verifications = verifications
        self._trail = trail

    async def note(self, verification: Verification, attempt: Attempt | None = None) -> None:
        """Note a decided verification; ``attempt`` is its last one, looked up if not given. Raises UnavailableError."""
        if attempt is None and verification.attempt:
            attempt = await self._verifications.attempt(verification.verification_id, verification.attempt)
        await self._trail.append(verdict_entry(verification, attempt))


def verdict_entry(verification: Verification, attempt: Attempt | None) -> Entry:
    """Return what is noted of a verdict: the last attempt's consent; not the purpose, which is free text."""
    facts: dict[str, str | int] = {
        "verification_id": verification.verification_id,
        "requester": verification.requester or "a system of ours",
        "outcome": verification.outcome,
        "attempts": verification.attempt,
    }
    if attempt is not None:
        facts |= {
            "provider": attempt.provider,
            "consent_version": attempt.consent_version,
            "consent_language": attempt.consent_language,
            "consented_at": utc_text(datetime.fromtimestamp(attempt.created_at, UTC)),
        }
    entry = derived_id("verdict", verification.verification_id)
    return Entry(entry, "verification.decided", facts, datetime.fromtimestamp(verification.decided_at, UTC))
