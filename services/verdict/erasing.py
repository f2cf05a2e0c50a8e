"""A person who wants to be forgotten: what is under way ends as "no answer", everything is removed, a line is left."""

import logging
from collections.abc import Callable
from datetime import datetime

from services.verdict.announcing import Announcing
from shared.audit import AuditTrail
from shared.erasure import Erasure, erasure_id
from shared.events import Outcome, PersonErasureRequested
from shared.queries import Queries
from shared.received import Received
from shared.tables import VERIFICATIONS
from shared.verification import ENDED
from shared.verifications import Verifications

log = logging.getLogger(__name__)


class Erasing:
    """Handles ``person.erasure.requested``."""

    def __init__(
        self,
        *,
        verifications: Verifications,
        queries: Queries,
        announcing: Announcing,
        erasure: Erasure,
        audit: AuditTrail,
        clock: Callable[[], datetime],
    ) -> None:
        self._verifications = verifications
        self._queries = queries
        self._announcing = announcing
        self._erasure = erasure
        self._audit = audit
        self._clock = clock

    async def on_requested(self, received: Received[PersonErasureRequested]) -> None:
        """Erase a person. A repeat of an event that was done does nothing: the person may have been enrolled anew."""
        person = received.data.person
        entry = erasure_id(received.event.source, received.event.id)
        if await self._audit.has(entry):
            return
        for key in await self._queries.keys_of_person(VERIFICATIONS, person):
            await self._end(str(key["verification_id"]))
        erased = await self._erasure.erase(person)
        await self._audit.append(erased.entry(entry, "request"))
        log.info("erased", extra={"erasure": entry, "removed": erased.total, "looks": erased.looks})

    async def _end(self, verification_id: str) -> None:
        """Whoever waits for an answer is told that there is none; its line in the audit trail is there by then."""
        found = await self._verifications.get(verification_id)
        if found is None:
            return
        if found.state not in ENDED:
            found = await self._verifications.decide(found, Outcome.ERROR, self._clock())
        await self._announcing.announce(found)
