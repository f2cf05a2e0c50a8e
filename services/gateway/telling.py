"""What a verdict leads to: the outcome is noted for who looks, and a webhook is asked for, each once."""

import logging

from services.gateway.asked import AskedTable
from shared.broker import Publisher
from shared.events import VerdictReached, WebhookRequested
from shared.received import Received

log = logging.getLogger(__name__)


class Telling:
    """Handles verdicts."""

    def __init__(self, *, table: AskedTable, publisher: Publisher) -> None:
        self._table = table
        self._publisher = publisher

    async def on_verdict(self, received: Received[VerdictReached]) -> None:
        """Note an outcome that a client has asked for; what others have asked for is passed over.

        A repeat after a crash publishes the same event again; after it was noted that the client is told, nothing.
        """
        data = received.data
        asked = await self._table.get(data.verification_id)
        if asked is None or asked.told:
            return
        await self._table.decided(data.verification_id, data.outcome, int(data.decided_at.timestamp()))
        webhook = WebhookRequested(
            client=asked.client,
            verification_id=data.verification_id,
            outcome=data.outcome,
            decided_at=data.decided_at,
        )
        await self._publisher.publish(webhook, data.verification_id)
        await self._table.told(data.verification_id)
        log.info("decided", extra={"client": asked.client, "verification_id": data.verification_id})
