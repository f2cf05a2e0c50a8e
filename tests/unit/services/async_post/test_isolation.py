"""Receivers that hang, and one order key with thousands of messages: what the others notice, in the reader itself."""

import asyncio
import random
import time
from collections.abc import Callable
from statistics import quantiles

from services.async_post.connect_to import PublicDestinations
from services.async_post.delivery import HttpDelivery
from services.async_post.sender import MOST_IN_LANE, Sender, lane
from shared.clock import now_utc
from shared.consuming import Consuming, event_decoder
from shared.deliveries import Answer
from shared.events import PostRequested, PostSigned
from shared.generation import Generation
from tests.support.received import received
from tests.support.recording import RecordingPublisher

PLACES = 4
# More than a loaded machine adds to a delivery of no time, less than what others' trouble would.
NOTICED_SECONDS = 2.0
HANGING_SECONDS = 30.0


class TimedDelivery(HttpDelivery):
    """Takes as long as ``seconds_of`` says of a receiver; ``late`` is each one's time from asked to answered."""

    def __init__(self, seconds_of: Callable[[str], float]) -> None:
        super().__init__(PublicDestinations(), timeout_seconds=10)
        self._seconds_of = seconds_of
        self.late: dict[str, list[float]] = {}
        self.order: list[str] = []

    async def post(self, receiver: str, generation: Generation, message: str) -> Answer:
        """See HttpDelivery."""
        seconds = self._seconds_of(receiver)
        await asyncio.sleep(seconds)
        asked, _, name = message.partition(" ")
        self.late.setdefault(receiver, []).append(time.monotonic() - float(asked) - seconds)
        self.order.append(name)
        return Answer(200)


class Reading:
    """The sender behind its reader, as the service has them, with few places."""

    def __init__(self, delivery: TimedDelivery, most_in_flight: int) -> None:
        self.publisher = RecordingPublisher()
        self._offsets = iter(range(10**6))
        self.sender = Sender(
            delivery=delivery,
            publisher=self.publisher,
            give_up_seconds=1e5,
            most_in_flight_per_domain=PLACES,
            clock=now_utc,
            chance=random.Random(1),
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
        signed = PostSigned(request=request, message=message, signed_at=now_utc(), generation=Generation.NLWEB)
        await self.consuming.take([received(signed, offset=offset).record])

    def held(self) -> int:
        return len(self.publisher.of(PostRequested))


async def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.01)


async def healthy_p95(hanging: int, receivers: int = 40, seconds: float = 3.0) -> tuple[float, Reading]:
    """Return the p95 of the receivers that do not hang, under 200 messages a second to all in turn."""
    delivery = TimedDelivery(lambda to: HANGING_SECONDS if int(to[1:].split(".")[0]) < hanging else 0.0)
    reading = Reading(delivery, most_in_flight=40)
    began, count = time.monotonic(), 0
    while (now := time.monotonic()) < began + seconds:
        while count < (now - began) * 200:
            count += 1
            await reading.take(f"r{count % receivers}.example", str(count), began + count / 200)
        await asyncio.sleep(0.005)
    return quantiles([one for late in delivery.late.values() for one in late], n=20)[-1], reading


async def test_a_tenth_of_the_receivers_hangs_and_the_others_do_not_notice() -> None:
    """The reader has places for 40 messages, which those that hang would fill in two seconds."""
    quiet, _ = await healthy_p95(hanging=0)
    troubled, reading = await healthy_p95(hanging=4)
    assert troubled < max(2 * quiet, NOTICED_SECONDS), (quiet, troubled)
    assert len(reading.sender._places) == 4
    assert reading.held() > 0
    assert len(reading.consuming._open) < 40


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
