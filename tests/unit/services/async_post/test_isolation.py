"""Receivers that hang, and one order key with thousands of messages: what the others notice, in the reader itself."""

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import quantiles
from typing import Any, cast

from services.async_post.connect_to import PublicDestinations
from services.async_post.delivery import HttpDelivery
from services.async_post.sender import MOST_IN_LANE, Sender, lane
from shared.clock import now_utc
from shared.consuming import Consuming
from shared.deliveries import Answer
from shared.events import PostRequested, PostSigned
from shared.generation import Generation
from shared.received import event_decoder
from tests.support.received import received
from tests.support.recording import RecordingPublisher

PLACES = 4
HEALTHY_SECONDS = 0.02
SEND_TIMEOUT_SECONDS = 10.0


class TimedDelivery(HttpDelivery):
    """Takes as long as ``seconds_of`` says of a receiver; ``late`` is each one's time from asked to answered."""

    def __init__(self, seconds_of: Callable[[str], float], monotonic: Callable[[], float] = time.monotonic) -> None:
        super().__init__(PublicDestinations(), timeout_seconds=SEND_TIMEOUT_SECONDS)
        self._seconds_of = seconds_of
        self._monotonic = monotonic
        self.late: dict[str, list[float]] = {}
        self.order: list[str] = []

    async def post(self, receiver: str, generation: Generation, message: str) -> Answer:
        """See HttpDelivery."""
        seconds = self._seconds_of(receiver)
        await asyncio.sleep(seconds)
        if seconds >= SEND_TIMEOUT_SECONDS:
            return Answer(None, "timeout")
        asked, _, name = message.partition(" ")
        self.late.setdefault(receiver, []).append(self._monotonic() - float(asked))
        self.order.append(name)
        return Answer(200)


class Reading:
    """The sender behind its reader, as the service has them, with few places."""

    def __init__(
        self,
        delivery: TimedDelivery,
        most_in_flight: int,
        clock: Callable[[], datetime] = now_utc,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self.publisher = RecordingPublisher()
        self._offsets = iter(range(10**6))
        self.sender = Sender(
            delivery=delivery,
            publisher=self.publisher,
            give_up_seconds=1e5,
            most_in_flight_per_domain=PLACES,
            clock=clock,
            chance=random.Random(1),
            monotonic=monotonic,
        )
        self.consuming = Consuming(
            topic=PostSigned.topic,
            group="g",
            decode=event_decoder(PostSigned),
            publisher=self.publisher,
            handle=self.sender.send,
            lane=lane,
            max_in_flight=most_in_flight,
            most_in_lane=MOST_IN_LANE,
            overflow=self.sender.put_off,
        )

    async def take(self, to: str, order_key: str, due: float, name: str = "") -> None:
        """Give the reader one message, as if it were signed now; its time counts from when it was due."""
        offset = next(self._offsets)
        request = PostRequested(
            to=to, subject="A@B", body={}, correlation=str(offset), order_key=order_key, position=offset
        )
        message = f"{due} {name}"
        signed = PostSigned(request=request, message=message, signed_at=self._clock(), generation=Generation.NLWEB)
        await self.consuming.take([received(signed, offset=offset).record])

    def held(self) -> int:
        return len(self.publisher.of(PostRequested))


async def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.01)


class Clock(asyncio.SelectorEventLoop):
    """A loop whose time passes only while nothing is to be done, so that a busy machine makes nobody late."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0

    def time(self) -> float:
        """See BaseEventLoop."""
        return self._now

    def _run_once(self) -> None:
        if not self._ready and self._scheduled:  # type: ignore[attr-defined] # the standard library's own
            self._now = max(self._now, self._scheduled[0].when())  # type: ignore[attr-defined]
        super()._run_once()  # type: ignore[misc]


@dataclass(frozen=True)
class Seen:
    """The p95 of the healthy receivers, and what the others cost: holds for each message, the most in hand."""

    p95_seconds: float
    holds_per_message: float
    most_in_hand: int
    places: int


async def seen(clock: Clock, hanging: int, receivers: int = 200, seconds: float = 20.0) -> Seen:
    """Send 400 messages a second to all in turn; what is held comes back when its time has come."""
    epoch = datetime(2026, 1, 1, tzinfo=UTC)
    delivery = TimedDelivery(
        lambda to: SEND_TIMEOUT_SECONDS if int(to[1:].split(".")[0]) < hanging else HEALTHY_SECONDS, clock.time
    )
    reading = Reading(delivery, 400, lambda: epoch + timedelta(seconds=clock.time()), clock.time)
    count = most = held = 0

    async def bring_back() -> None:
        nonlocal held
        while True:
            waiting, reading.publisher.sent = reading.publisher.sent, []
            for sent in waiting:
                if sent.target == PostRequested.topic and sent.due is not None:
                    held += 1
                    clock.call_at(sent.due - epoch.timestamp(), returning.append, sent.data)
            due, returning[:] = list(returning), []
            for request in due:
                await reading.take(request.to, request.order_key, clock.time())
            await asyncio.sleep(0.01)

    returning: list[Any] = []
    back = clock.create_task(bring_back())
    while count < seconds * 400:
        count += 1
        await reading.take(f"r{count % receivers}.example", str(count), clock.time())
        most = max(most, reading.consuming.in_hand)
        await asyncio.sleep(1 / 400)
    back.cancel()
    late = [one for to, ones in delivery.late.items() if int(to[1:].split(".")[0]) >= hanging for one in ones]
    of_hanging = max(1, count * hanging // receivers)
    return Seen(quantiles(late, n=20)[-1], held / of_hanging, most, len(reading.sender._places))


def test_a_tenth_of_the_receivers_hangs_and_the_others_do_not_notice() -> None:
    """The reader has 400 places, which those that hang would fill in ten seconds of twenty."""
    with asyncio.Runner(loop_factory=Clock) as runner:
        clock = cast("Clock", runner.get_loop())
        quiet, troubled = runner.run(seen(clock, hanging=0)), runner.run(seen(clock, hanging=20))
    assert troubled.p95_seconds <= 2 * quiet.p95_seconds, (quiet, troubled)
    # At first each receiver fills its places, and then its breaker's probe alone is under way.
    assert troubled.most_in_hand < quiet.most_in_hand + 20 * 2 * PLACES, (quiet, troubled)
    assert troubled.places <= 20 + quiet.most_in_hand, troubled
    # What waits for them goes round a few times and not each second: that was the others' trouble.
    assert 0 < troubled.holds_per_message < 3.5, troubled


async def test_thousands_of_messages_of_one_order_key_keep_no_other_waiting_and_stay_in_order() -> None:
    delivery = TimedDelivery(lambda to: 0.01 if to == "hot.example" else 0.0)
    reading, began = Reading(delivery, most_in_flight=200), time.monotonic()
    for number in range(2500):
        await reading.take("hot.example", "one", time.monotonic(), str(number))
        if not number % 100:
            await reading.take("other.example", str(number), began, "other")
    await until(lambda: len(delivery.late.get("other.example", [])) == 25)
    # In its lane alone, the hot key would have needed 25 s.
    assert max(delivery.late["other.example"]) < 10.0
    assert reading.held() > 2000
    await until(lambda: not reading.consuming._open)
    hot = [int(name) for name in delivery.order if name != "other"]
    assert hot == sorted(hot)
    assert hot[:MOST_IN_LANE] == list(range(MOST_IN_LANE))
    # Each is noted as away, so that none that comes later overtakes it, and comes back when its turn is near.
    assert len(reading.sender._order) == reading.held()
    dues = [sent.due or 0.0 for sent in reading.publisher.of(PostRequested)]
    assert max(dues) - min(dues) > 2.0
