"""The sender: posts signed messages, settles them, or sends them back to be signed again later (rules 3, 6)."""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final, Literal, NamedTuple

from prometheus_client import Counter, Histogram

from services.async_post.delivery import HttpDelivery
from services.async_post.domain import STALE_SECONDS, meaning
from services.async_post.gathering import WAIT_SECONDS, Gathering
from services.async_post.order import Order
from shared.breakers import Breakers
from shared.broker import Publisher, Record
from shared.dead_letters import Side, put_aside
from shared.delays import event_at, publish_at
from shared.deliveries import Answer, Meaning, next_try
from shared.events import PostRequested, PostSettled, PostSigned
from shared.generation import Generation
from shared.places import Places
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
HELD: Final = Counter("facescan_deliveries_held_total", "Messages held in Kafka untried, by why.", ["why"])
UNORDERED: Final = Counter(
    "facescan_deliveries_unordered_total", "Messages that went away unnoted, so that a later one may overtake them."
)
BREAKERS: Final = Counter("facescan_breakers_total", "Breakers of receivers that opened or closed.", ["to"])
for _way in ("open", "closed"):
    BREAKERS.labels(_way)  # what counts from nothing is there before the first
# Longer than a delivery may take: after it, a probe that has not reported is taken for lost.
_PROBE_PATIENCE_SECONDS: Final = 90.0
# A rung of the ladder is left at once when the time until which a record is held lies just behind its end.
_BEHIND_RUNG_SECONDS: Final = 0.02
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
        self._give_up_seconds = give_up_seconds
        self._per_domain = most_in_flight_per_domain
        self._places = Places(most_in_flight_per_domain, monotonic=monotonic)
        self._order = Order(clock=lambda: clock().timestamp())
        self._monotonic = monotonic
        self._breakers = Breakers(probe_patience_seconds=_PROBE_PATIENCE_SECONDS)
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
        give_up_at = self._give_up_at(request, now)
        if now >= give_up_at:
            return await self._settle(received, "given_up", "deadline", None)
        blocked_until = self._order.blocked_until(request)
        if blocked_until is not None:
            return self._hold(received, "order", give_up_at, blocked_until + _BEHIND_FIRST_SECONDS - now.timestamp())
        if (now - data.signed_at).total_seconds() > STALE_SECONDS:
            # It waited too long for us: receivers would drop it as stale. It was not tried, so it is the same attempt.
            self._note_away(request, now.timestamp())
            await self._publisher.publish(request, "signed again", received.position)
            return None
        if not self._breakers.admit(request.to, self._monotonic()):
            return self._hold(received, "breaker", give_up_at)
        place = await self._places.take(request.to)
        if not place:
            return self._hold(received, "slow", give_up_at, self._slow_rest(request))
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

    def held_unsigned(self, request: PostRequested, received: Received[PostRequested]) -> Record | None:
        """Return the record that holds a message that could not be tried now; None when it may be signed and tried.

        What waits for a receiver that is away comes back again and again: to sign it each time would cost all others
        more, the more of it waits.
        """
        if self._breakers.blocked(request.to, self._monotonic()):
            why, rest = "breaker", 0.0
        elif self._places.silent(request.to):
            why, rest = "slow", self._slow_rest(request)
        else:
            return None
        now = self._clock()
        give_up_at = self._give_up_at(request, now)
        return None if now >= give_up_at else self._held(request, received.position, why, give_up_at, rest)

    def _slow_rest(self, request: PostRequested) -> float:
        return self._places.hold_seconds(request.to, request.to, self._monotonic(), at_once=self._per_domain)

    async def put_off(self, received: Received[PostSigned]) -> asyncio.Future[None]:
        """Hold a message whose lane is full, so that its fellows do not fill the reader."""
        request, now = received.data.request, self._clock()
        rest = self._places.hold_seconds(request.to, lane(received), self._monotonic(), at_once=1)
        return self._hold(received, "lane", self._give_up_at(request, now), rest)

    def _give_up_at(self, request: PostRequested, now: datetime) -> datetime:
        return request.deadline or (request.first_requested_at or now) + timedelta(seconds=self._give_up_seconds)

    def _note_away(self, request: PostRequested, until: float) -> None:
        if not self._order.away(request, until):
            UNORDERED.inc()

    def _hold(
        self, received: Received[PostSigned], why: str, give_up_at: datetime, least_seconds: float = 0.0
    ) -> asyncio.Future[None]:
        """Put a message that was not tried back into Kafka, to be signed again when it comes back."""
        return self._holding.add(self._held(received.data.request, received.position, why, give_up_at, least_seconds))

    def _held(
        self, request: PostRequested, position: str, why: str, give_up_at: datetime, least_seconds: float = 0.0
    ) -> Record:
        HELD.labels(why).inc()
        seconds = max(self._breakers.hold_seconds(request.to, self._monotonic()), least_seconds) + _BEHIND_RUNG_SECONDS
        # Back at its deadline at the latest: whoever asked is told then.
        moment = min(self._clock() + timedelta(seconds=seconds), give_up_at)
        self._note_away(request, moment.timestamp())
        # The place in the log is part of the id: it may be held more than once for one attempt.
        return event_at(self._publisher, request, moment, "held", position)

    async def _again(self, request: PostRequested, moment: datetime, answer: Answer) -> None:
        retry = request.model_copy(update={"attempt": request.attempt + 1})
        log.info(
            "delivery is tried again",
            extra={**_ids(request), "at": moment.isoformat(), "status": answer.status, "trouble": answer.trouble},
        )
        self._note_away(request, moment.timestamp())
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
        self._order.forget()

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
