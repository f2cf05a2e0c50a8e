"""Asking and looking: what a client may do. A repeat under one Idempotency-Key is the same verification."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from datetime import datetime
from typing import Final

from services.gateway.asked import Asked, AskedTable
from services.gateway.domain import Ask, Reason, RefusedError, fingerprint, verification_id
from shared.broker import Publisher
from shared.errors import UnavailableError
from shared.events import VerificationRequested

log = logging.getLogger(__name__)

# The client's producer asks a broker that is away for ever: whoever waits is told to come back.
_PUBLISH_SECONDS: Final = 5.0


class Asking:
    """Handles the requests of known clients."""

    def __init__(self, *, table: AskedTable, publisher: Publisher, clock: Callable[[], datetime]) -> None:
        self._table = table
        self._publisher = publisher
        self._clock = clock

    async def ask(self, client: str, key: str, ask: Ask) -> str:
        """Ask for a verification; return its id once the event is in every in-sync replica's log.

        The item is written first: a verdict never finds none. A crash between both is mended by the client's repeat,
        which publishes the same event. Raises RefusedError, UnavailableError.
        """
        identifier = verification_id(client, key)
        wanted = Asked(identifier, client, fingerprint(key, ask), int(self._clock().timestamp()))
        found = await self._table.create(wanted)
        if found.fingerprint != wanted.fingerprint:
            raise RefusedError(Reason.KEY_REUSED, "Idempotency-Key: asked for something else before")
        if found.published:
            return identifier
        event = VerificationRequested(
            verification_id=identifier,
            locator=ask.locator,
            purpose=ask.purpose,
            deadline_seconds=ask.deadline_seconds,
        )
        try:
            async with asyncio.timeout(_PUBLISH_SECONDS):
                await self._publisher.publish(event)
        except TimeoutError as error:
            raise UnavailableError("Kafka did not acknowledge in time") from error
        log.info("asked", extra={"client": client, "verification_id": identifier})
        # It is asked for whatever becomes of this: a repeat would publish the same event once more.
        with contextlib.suppress(UnavailableError):
            await self._table.published(identifier)
        return identifier

    async def look(self, client: str, identifier: str) -> Asked | None:
        """Return what this client has asked under an id; None for unknown ids and those of others alike."""
        found = await self._table.get(identifier)
        return found if found is not None and found.client == client else None
