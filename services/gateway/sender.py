"""Delivers webhooks: at least once, on the post's schedule, each client by itself (rules 3, 5, 11).

Webhooks of one client have no order. A try is signed anew, with a fresh time and under the same id. What is not tried
now, because its client's breaker is open or its places are taken, waits in Kafka's delay topics.
"""

import logging
import random
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final, Protocol

from prometheus_client import Counter, Histogram

from services.gateway.client_store import CurrentClients
from services.gateway.clients import Webhook
from services.gateway.domain import meaning, webhook_id
from services.gateway.webhook import body, signed_headers
from shared.breakers import Breakers
from shared.broker import Publisher
from shared.delays import publish_at
from shared.deliveries import Answer, Meaning, next_try, retry_after
from shared.errors import UnprocessableError
from shared.events import WebhookRequested
from shared.outbound import OutboundClient, OutboundError, Target
from shared.places import Places
from shared.received import Received
from shared.telemetry import SpanKind, current_traceparent, span

log = logging.getLogger(__name__)

GROUP: Final = "facescan.gateway.webhooks"

WEBHOOKS: Final = Counter("facescan_webhooks_total", "Webhooks tried, by what the answer means.", ["meaning"])
GIVEN_UP: Final = Counter("facescan_webhooks_given_up_total", "Webhooks given up, by why.", ["reason"])
HELD: Final = Counter("facescan_webhooks_held_total", "Webhooks held in Kafka untried, by why.", ["why"])
SECONDS: Final = Histogram(
    "facescan_webhook_seconds",
    "Time of one webhook.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
_MOST_ANSWER_BYTES: Final = 16 * 1024
# Longer than a try may take: after it, a probe that has not reported is taken for lost.
_PROBE_PATIENCE_SECONDS: Final = 90.0


class Targets(Protocol):
    """Finds where a URL leads."""

    def __call__(self, url: str) -> Target:
        """Return the target. Raises OutboundError for what must not be posted to."""


class WebhookDelivery:
    """One webhook over HTTP."""

    def __init__(self, client: OutboundClient, target: Targets, *, timeout_seconds: float) -> None:
        self._client = client
        self._target = target
        self._timeout_seconds = timeout_seconds

    async def post(self, url: str, headers: dict[str, str], contents: bytes) -> Answer:
        """Post and return the answer; trouble is an answer without a status."""
        sent = {"content-type": "application/json", "user-agent": "facescan", **headers}
        if (traceparent := current_traceparent()) is not None:
            sent["traceparent"] = traceparent
        try:
            reply = await self._client.request(
                "POST",
                self._target(url),
                headers=sent,
                body=contents,
                timeout_seconds=self._timeout_seconds,
                most_body_bytes=_MOST_ANSWER_BYTES,
            )
        except OutboundError as error:
            log.info("no answer", extra={"trouble": error.trouble.value, "why": str(error)})
            return Answer(None, error.trouble.value)
        return Answer(reply.status, retry_after_seconds=retry_after(reply.headers.get("retry-after")))

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()


class WebhookSender:
    """Handles ``webhook.requested``."""

    def __init__(
        self,
        *,
        delivery: WebhookDelivery,
        clients: CurrentClients,
        publisher: Publisher,
        give_up_seconds: float,
        most_in_flight_per_client: int,
        clock: Callable[[], datetime],
        chance: random.Random,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._delivery = delivery
        self._clients = clients
        self._publisher = publisher
        self._give_up_seconds = give_up_seconds
        self._per_client = most_in_flight_per_client
        self._places = Places(most_in_flight_per_client)
        self._breakers = Breakers(probe_patience_seconds=_PROBE_PATIENCE_SECONDS)
        self._clock = clock
        self._chance = chance
        self._monotonic = monotonic

    async def send(self, received: Received[WebhookRequested]) -> None:
        """Deliver one webhook, or see to it that it is tried again.

        Raises UnprocessableError for one that is given up, which makes it a dead letter, and UnavailableError.
        """
        data, now = received.data, self._clock()
        webhook = self._clients.now.webhook(data.client)
        if webhook is None:
            return  # the client looks for itself, or is none any more
        data = data.model_copy(update={"first_requested_at": data.first_requested_at or now})
        give_up_at = (data.first_requested_at or now) + timedelta(seconds=self._give_up_seconds)
        if now >= give_up_at:
            raise self._given_up(data, "time", None)
        if not self._breakers.admit(data.client, self._monotonic()):
            await self._hold(received, data, "breaker", give_up_at)
            return
        place = await self._places.take(data.client)
        if not place:
            rest = self._places.hold_seconds(data.client, data.client, self._monotonic(), at_once=self._per_client)
            await self._hold(received, data, "slow", give_up_at, rest)
            return
        try:
            answer = await self._post(webhook, data)
        finally:
            SECONDS.observe(self._places.give_back(data.client, place))
        await self._end(data, answer, give_up_at)

    async def _post(self, webhook: Webhook, data: WebhookRequested) -> Answer:
        contents = body(data.verification_id, data.outcome, data.decided_at)
        identifier = webhook_id(data.client, data.verification_id)
        headers = signed_headers(identifier, self._clock(), contents, webhook.secrets)
        with span("POST webhook", kind=SpanKind.CLIENT):
            return await self._delivery.post(webhook.url, headers, contents)

    async def _end(self, data: WebhookRequested, answer: Answer, give_up_at: datetime) -> None:
        what = meaning(answer)
        WEBHOOKS.labels(what.value).inc()
        extra = {**_ids(data), "status": answer.status, "trouble": answer.trouble}
        if what is not Meaning.TRY_AGAIN:
            self._breakers.answered(data.client)
            if what is Meaning.REFUSED:
                raise self._given_up(data, "refused", answer)
            log.info("told", extra=extra)
            return
        if self._breakers.failed(data.client, self._monotonic()):
            log.warning("client left alone", extra=extra)
        moment = next_try(data.attempt, self._clock(), give_up_at, answer, self._chance)
        if moment is None:
            raise self._given_up(data, "attempts", answer)
        log.info("webhook is tried again", extra={**extra, "at": moment.isoformat()})
        again = data.model_copy(update={"attempt": data.attempt + 1})
        await publish_at(self._publisher, again, moment, data.verification_id, str(again.attempt))

    async def _hold(
        self,
        received: Received[WebhookRequested],
        data: WebhookRequested,
        why: str,
        give_up_at: datetime,
        least_seconds: float = 0.0,
    ) -> None:
        """Put a webhook that was not tried back into Kafka; the same attempt comes back."""
        HELD.labels(why).inc()
        seconds = max(self._breakers.hold_seconds(data.client, self._monotonic()), least_seconds)
        moment = min(self._clock() + timedelta(seconds=seconds), give_up_at)
        # The place in the log is part of the id: it may be held more than once for one attempt.
        await publish_at(self._publisher, data, moment, "held", received.position)

    @staticmethod
    def _given_up(data: WebhookRequested, reason: str, answer: Answer | None) -> UnprocessableError:
        GIVEN_UP.labels(reason).inc()
        last = f", last answer {answer.status or answer.trouble}" if answer else ""
        log.warning("webhook given up", extra={**_ids(data), "reason": reason})
        return UnprocessableError(f"webhook of {data.client} given up: {reason}{last}")


def _ids(data: WebhookRequested) -> dict[str, object]:
    return {"client": data.client, "verification_id": data.verification_id, "attempt": data.attempt}


def lane(received: Received[WebhookRequested]) -> str:
    """Webhooks have no order: each goes by itself."""
    return received.position
