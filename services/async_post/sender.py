"""The sender: posts signed messages, settles them, or sends them back to be signed again later (rules 3, 6)."""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final, Literal, NamedTuple

from prometheus_client import Counter, Histogram

from services.async_post.delivery import HttpDelivery
from services.async_post.domain import STALE_SECONDS, meaning
from services.async_post.gathering import WAIT_SECONDS, Gathering
from services.async_post.holds import Holds
from shared.broker import Publisher, Record
from shared.dead_letters import Side, put_aside
from shared.delays import publish_at
from shared.deliveries import Answer, Meaning, next_try
from shared.events import PostRequested, PostSettled, PostSigned
from shared.generation import Generation
from shared.received import Received
from shared.telemetry import current_traceparent

log = logging.getLogger(__name__)

GROUP: Final = "facescan.async_post.sender"

DELIVERIES: Final = Counter("facescan_deliveries_total", "Deliveries tried, by what the answer means.", ["meaning"])
DELIVERY_SECONDS: Final = Histogram(
    "facescan_delivery_seconds",
    "Time of one delivery.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)


_MEANINGS: Final = {what: DELIVERIES.labels(what.value) for what in Meaning}
BREAKERS: Final = Counter("facescan_breakers_total", "Breakers of receivers that opened or closed.", ["to"])
for _way in ("open", "closed"):
    BREAKERS.labels(_way)  # what counts from nothing is there before the first
# So much after the message that they wait for, its followers come back.
_BEHIND_FIRST_SECONDS: Final = 0.2
# So many of one lane may wait in the reader's memory; the others do in Kafka.
MOST_IN_LANE: Final = 64


class Sender:
    """Delivers messages over HTTP."""

    def __init__(
        self,
        *,
        delivery: HttpDelivery,
        publisher: Publisher,
        give_up_seconds: float,
        most_in_flight_per_domain: int,
        clock: Callable[[], datetime],
        chance: random.Random,
        monotonic: Callable[[], float] = time.monotonic,
        gathering_seconds: float = WAIT_SECONDS,
    ) -> None:
        self._delivery = delivery
        self._publisher = publisher
        self.holds = Holds(
            publisher=publisher,
            give_up_seconds=give_up_seconds,
            most_in_flight_per_domain=most_in_flight_per_domain,
            clock=clock,
            monotonic=monotonic,
        )
        self._places, self._order, self._breakers = self.holds.places, self.holds.order, self.holds.breakers
        self._monotonic = monotonic
        self._clock = clock
        self._chance = chance
        self._settling = Gathering(publisher, self._settled, gathering_seconds)
        # With thousands for receivers that hang, one by one they cost as much as delivering to all the others.
        self._holding: Gathering[Record] = Gathering(publisher, list, gathering_seconds)

    async def send(self, received: Received[PostSigned]) -> asyncio.Future[None] | None:
        """Deliver one message, or see to it that it is tried again, or give it up. Raises UnavailableError.

        What comes back is done when the outcome is in the log; the next message need not wait for that.
        """
        data = received.data
        request, now = data.request, self._clock()
        give_up_at = self.holds.give_up_at(request, now)
        if now >= give_up_at:
            return await self._settle(received, "given_up", "deadline", None)
        blocked_until = self._order.blocked_until(request)
        if blocked_until is not None:
            return self._hold(received, "order", blocked_until + _BEHIND_FIRST_SECONDS - now.timestamp())
        if (now - data.signed_at).total_seconds() > STALE_SECONDS:
            # It waited too long for us: receivers would drop it as stale. It was not tried, so it is the same attempt.
            self.holds.note_away(request, now.timestamp())
            await self._publisher.publish(request, "signed again", received.position)
            return None
        if not self._breakers.admit(request.to, self._monotonic()):
            return self._hold(received, "breaker")
        place = await self._places.take(request.to)
        if not place:
            return self._hold(received, "slow", self.holds.slow_rest(request.to))
        try:
            answer = await self._delivery.post(request.to, _generation(data), data.message)
        finally:
            DELIVERY_SECONDS.observe(self._places.give_back(request.to, place))
        return await self._end(received, answer, give_up_at)

    async def _end(
        self, received: Received[PostSigned], answer: Answer, give_up_at: datetime
    ) -> asyncio.Future[None] | None:
        request, what = received.data.request, meaning(answer)
        _MEANINGS[what].inc()
        self._learn(request.to, answer, what)
        match what:
            case Meaning.DELIVERED:
                return await self._settle(received, "delivered", "ok", answer)
            case Meaning.REFUSED:
                return await self._settle(received, "given_up", "refused", answer)
            case Meaning.TRY_AGAIN:
                moment = next_try(request.attempt, self._clock(), give_up_at, answer, self._chance)
                if moment is None:
                    return await self._settle(received, "given_up", "attempts", answer)
                await self._again(request, moment, answer)
                return None

    def _learn(self, receiver: str, answer: Answer, what: Meaning) -> None:
        if what is Meaning.TRY_AGAIN:
            if self._breakers.failed(receiver, self._monotonic()):
                BREAKERS.labels("open").inc()
                log.warning(
                    "receiver left alone",
                    extra={"to": receiver, "status": answer.status, "trouble": answer.trouble},
                )
        elif self._breakers.answered(receiver):
            BREAKERS.labels("closed").inc()
            log.info("receiver answers again", extra={"to": receiver})

    async def put_off(self, received: Received[PostSigned]) -> asyncio.Future[None]:
        """Hold a message whose lane is full, so that its fellows do not fill the reader."""
        to = received.data.request.to
        return self._hold(received, "lane", self._places.hold_seconds(to, lane(received), self._monotonic(), at_once=1))

    def _hold(self, received: Received[PostSigned], why: str, least_seconds: float = 0.0) -> asyncio.Future[None]:
        """Put a message that was not tried back into Kafka, to be signed again when it comes back."""
        return self._holding.add(self.holds.record(received.data.request, received.position, why, least_seconds))

    async def _again(self, request: PostRequested, moment: datetime, answer: Answer) -> None:
        retry = request.model_copy(update={"attempt": request.attempt + 1})
        log.info(
            "delivery is tried again",
            extra={**_ids(request), "at": moment.isoformat(), "status": answer.status, "trouble": answer.trouble},
        )
        self.holds.note_away(request, moment.timestamp())
        await publish_at(self._publisher, retry, moment, request.correlation or "", str(retry.attempt))

    async def _settle(
        self,
        received: Received[PostSigned],
        outcome: Literal["delivered", "given_up"],
        reason: str,
        answer: Answer | None,
    ) -> asyncio.Future[None]:
        request = received.data.request
        status = answer.status if answer else None
        if outcome == "given_up":
            why = f"given up: {reason}" + (f", last answer {status or answer.trouble}" if answer else "")
            await put_aside(self._publisher, received.record, side=Side.THEIRS, group=GROUP, reason=why)
        self._order.ended(request)
        return self._settling.add(_End(request, outcome, reason, status, current_traceparent()))

    def _settled(self, ends: Sequence["_End"]) -> Sequence[Record]:
        """Return the records that tell whoever asked. Made for many at a time: that takes half as long for each."""
        records = []
        for request, outcome, reason, status, traceparent in ends:
            correlation = request.correlation or ""
            settled = PostSettled(
                to=request.to,
                subject=request.subject,
                correlation=correlation,
                outcome=outcome,
                reason=reason,
                http_status=status,
                attempts=request.attempt,
                order_key=request.order_key,
            )
            log.info(outcome, extra={**_ids(request), "reason": reason, "status": status})
            event = self._publisher.event(settled, correlation, traceparent=traceparent)
            records.append((settled.topic, request.to.encode(), event.data, event.to_headers()))
        return records

    def forget(self) -> None:
        """Forget what was away: the partitions are given anew."""
        self.holds.forget()

    async def close(self) -> None:
        """Stop waiting for the broker; what is not settled then is read again."""
        await self._settling.close()
        await self._holding.close()


class _End(NamedTuple):
    """How a message ended, and the trace that it ended in."""

    request: PostRequested
    outcome: Literal["delivered", "given_up"]
    reason: str
    status: int | None
    traceparent: str | None


def _ids(request: PostRequested) -> dict[str, object]:
    return {
        "to": request.to,
        "subject": request.subject,
        "correlation": request.correlation,
        "attempt": request.attempt,
    }


def _generation(data: PostSigned) -> Generation:
    # Records written before post.signed had one are of the request's, whose default was NLWeb.
    return data.generation or data.request.generation or Generation.NLWEB


def lane(received: Received[PostSigned]) -> str:
    """Messages to one domain with one order key go one after the other; without one each goes by itself."""
    request = received.data.request
    return f"{request.to}\n{request.order_key}" if request.order_key else received.position
