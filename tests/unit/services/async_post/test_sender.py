"""How a delivery ends: settled, tried again, given up, or signed again because it waited too long."""

import asyncio
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.async_post.connect_to import PublicDestinations
from services.async_post.delivery import HttpDelivery
from services.async_post.sender import GROUP, Sender, lane
from shared.breakers import FAILURES_TO_OPEN
from shared.dead_letters import PREFIX
from shared.deliveries import Answer
from shared.errors import UnavailableError
from shared.events import PostRequested, PostSettled, PostSigned
from shared.generation import Generation
from shared.places import SLOW_SECONDS
from shared.received import Received
from shared.topics import DEAD_THEIRS
from tests.support.received import received, to_its_end
from tests.support.recording import RecordingPublisher

NOW = datetime.now(UTC)


class ScriptedDelivery(HttpDelivery):
    """Answers as a test wants; ``posted`` is what was delivered, ``most`` how many were under way at once."""

    def __init__(self, answer: Answer | Callable[[str], Answer] = Answer(200)) -> None:  # noqa: B008 - it is frozen
        super().__init__(PublicDestinations(), timeout_seconds=1)
        self.answer = answer
        self.posted: list[tuple[str, Generation, str]] = []
        self.under_way: dict[str, int] = {}
        self.most: dict[str, int] = {}
        self.go = asyncio.Event()
        self.go.set()

    async def post(self, receiver: str, generation: Generation, message: str) -> Answer:
        """See HttpDelivery."""
        self.posted.append((receiver, generation, message))
        self.under_way[receiver] = self.under_way.get(receiver, 0) + 1
        self.most[receiver] = max(self.most.get(receiver, 0), self.under_way[receiver])
        try:
            await self.go.wait()
        finally:
            self.under_way[receiver] -= 1
        return self.answer if isinstance(self.answer, Answer) else self.answer(receiver)


def sender(delivery: HttpDelivery, publisher: RecordingPublisher, now: datetime = NOW, per_domain: int = 16) -> Sender:
    return Sender(
        delivery=delivery,
        publisher=publisher,
        give_up_seconds=27 * 3600.0,
        most_in_flight_per_domain=per_domain,
        clock=lambda: now,
        chance=random.Random(1),
    )


def signed(
    *, signed_at: datetime = NOW, generation: Generation | None = Generation.NLWEB, **more: Any
) -> Received[PostSigned]:
    fields: dict[str, Any] = {
        "to": "shop.example",
        "subject": "LocatorVerified@Domain",
        "body": {"Result": "SUCCESS"},
        "correlation": "125a5c75-cb72-43d2-9695-37026dfcaa48",
        "first_requested_at": NOW,
        "order_key": "v-1",
    }
    request = PostRequested(**{**fields, **more})
    return received(PostSigned(request=request, message="the signed text", signed_at=signed_at, generation=generation))


def settled(publisher: RecordingPublisher) -> PostSettled:
    (sent,) = publisher.of(PostSettled)
    assert isinstance(sent.data, PostSettled)
    return sent.data


def retry(publisher: RecordingPublisher) -> PostRequested:
    (sent,) = publisher.of(PostRequested)
    assert isinstance(sent.data, PostRequested)
    return sent.data


async def test_a_delivered_message_is_settled(publisher: RecordingPublisher) -> None:
    delivery = ScriptedDelivery(Answer(202))
    await to_its_end(sender(delivery, publisher).send(signed()))
    assert delivery.posted == [("shop.example", Generation.NLWEB, "the signed text")]
    end = settled(publisher)
    assert (end.outcome, end.reason, end.http_status, end.attempts) == ("delivered", "ok", 202, 1)
    assert (end.to, end.order_key) == ("shop.example", "v-1")
    assert len(publisher.sent) == 1


async def test_a_message_goes_where_its_generation_is_taken(publisher: RecordingPublisher) -> None:
    delivery = ScriptedDelivery()
    sending = sender(delivery, publisher)
    for generation in (Generation.POLLYWEB, Generation.NLWEB, None):
        await to_its_end(sending.send(signed(generation=generation)))
    assert [generation for _, generation, _ in delivery.posted] == ["pollyweb", "nlweb", "nlweb"]


@pytest.mark.parametrize("status", [302, 400, 401, 404, 410, 422])
async def test_a_refused_message_is_given_up_and_kept_with_its_exact_bytes(
    publisher: RecordingPublisher, status: int
) -> None:
    given = signed()
    await to_its_end(sender(ScriptedDelivery(Answer(status)), publisher).send(given))
    end = settled(publisher)
    assert (end.outcome, end.reason, end.http_status) == ("given_up", "refused", status)
    (dead,) = [sent for sent in publisher.sent if sent.topic == DEAD_THEIRS]
    assert (dead.key, dead.value) == (given.record.key, given.record.value)
    headers = dict(dead.headers)
    assert headers[f"{PREFIX}group"] == GROUP.encode()
    assert headers[f"{PREFIX}reason"] == f"given up: refused, last answer {status}".encode()


@pytest.mark.parametrize(
    "answer", [Answer(500), Answer(429), Answer(None, "timeout"), Answer(None, "certificate_expired")]
)
async def test_a_message_that_may_succeed_later_goes_back_to_be_signed_again(
    publisher: RecordingPublisher, answer: Answer
) -> None:
    given = signed()
    await to_its_end(sender(ScriptedDelivery(answer), publisher).send(given))
    again = retry(publisher)
    assert again.attempt == 2
    assert again.model_copy(update={"attempt": 1}) == given.data.request
    (sent,) = publisher.sent
    assert sent.due == pytest.approx(NOW.timestamp() + 5.25, abs=0.3)


async def test_a_wrong_certificate_is_not_tried_again(publisher: RecordingPublisher) -> None:
    await to_its_end(sender(ScriptedDelivery(Answer(None, "certificate")), publisher).send(signed()))
    assert (settled(publisher).outcome, settled(publisher).http_status) == ("given_up", None)


async def test_a_receiver_that_keeps_failing_is_left_alone_and_its_messages_are_held_untried(
    publisher: RecordingPublisher,
) -> None:
    delivery = ScriptedDelivery(Answer(503))
    sending = sender(delivery, publisher)
    for number in range(40):
        await to_its_end(sending.send(signed(order_key=str(number))))
    assert len(delivery.posted) == FAILURES_TO_OPEN
    held = [sent.data for sent in publisher.of(PostRequested)[FAILURES_TO_OPEN:]]
    assert len(held) == 40 - FAILURES_TO_OPEN
    assert {data.attempt for data in held if isinstance(data, PostRequested)} == {1}
    assert {data.correlation for data in held if isinstance(data, PostRequested)} == {signed().data.request.correlation}
    assert len({sent.event.id for sent in publisher.of(PostRequested)}) == len(held) + 1
    await to_its_end(sending.send(signed(to="quick.example")))
    assert delivery.posted[-1][0] == "quick.example"


async def test_a_receiver_that_does_not_let_go_of_its_places_has_the_rest_held_and_costs_no_memory(
    publisher: RecordingPublisher,
) -> None:
    delivery = ScriptedDelivery()
    delivery.go.clear()
    sending = sender(delivery, publisher, per_domain=2)
    under_way = [asyncio.create_task(to_its_end(sending.send(signed(order_key=str(number))))) for number in range(20)]
    done, waiting = await asyncio.wait(under_way, timeout=SLOW_SECONDS * 3)
    assert (len(done), len(waiting)) == (18, 2)
    assert len(publisher.of(PostRequested)) == 18
    began = asyncio.get_running_loop().time()
    await to_its_end(sending.send(signed()))
    assert asyncio.get_running_loop().time() - began < SLOW_SECONDS / 2
    delivery.go.set()
    await asyncio.gather(*under_way)
    assert len(publisher.of(PostSettled)) == 2
    assert len(sending._places) == 0


async def test_a_receiver_s_wish_is_kept(publisher: RecordingPublisher) -> None:
    await to_its_end(sender(ScriptedDelivery(Answer(429, retry_after_seconds=300)), publisher).send(signed()))
    assert publisher.sent[0].due == pytest.approx(NOW.timestamp() + 300, abs=1)


async def test_every_try_is_an_event_of_its_own_and_a_repeated_try_the_same(publisher: RecordingPublisher) -> None:
    sending = sender(ScriptedDelivery(Answer(500)), publisher)
    for attempt in (1, 1, 2):
        await to_its_end(sending.send(signed(attempt=attempt)))
    first, again, second = (sent.event.id for sent in publisher.sent)
    assert first == again != second


async def test_after_the_last_try_a_message_is_given_up(publisher: RecordingPublisher) -> None:
    await to_its_end(sender(ScriptedDelivery(Answer(None, "dns")), publisher).send(signed(attempt=9)))
    end = settled(publisher)
    assert (end.outcome, end.reason, end.http_status, end.attempts) == ("given_up", "attempts", None, 9)
    dead = dict(publisher.sent[0].headers)
    assert dead[f"{PREFIX}reason"] == b"given up: attempts, last answer dns"


async def test_a_message_that_waited_for_us_is_signed_again_and_not_counted_as_tried(
    publisher: RecordingPublisher,
) -> None:
    delivery, given = ScriptedDelivery(), signed(signed_at=NOW - timedelta(seconds=61))
    await to_its_end(sender(delivery, publisher).send(given))
    assert delivery.posted == []
    assert retry(publisher) == given.data.request
    assert publisher.sent[0].due is None


async def test_a_message_within_the_receivers_window_is_sent_as_it_is(publisher: RecordingPublisher) -> None:
    await to_its_end(sender(ScriptedDelivery(), publisher).send(signed(signed_at=NOW - timedelta(seconds=59))))
    assert settled(publisher).outcome == "delivered"


@pytest.mark.parametrize("seconds", [0.0, 1.0, 1e6])
async def test_after_its_deadline_a_message_is_given_up_untried(publisher: RecordingPublisher, seconds: float) -> None:
    delivery = ScriptedDelivery()
    await to_its_end(sender(delivery, publisher).send(signed(deadline=NOW - timedelta(seconds=seconds))))
    assert delivery.posted == []
    assert (settled(publisher).outcome, settled(publisher).reason) == ("given_up", "deadline")


async def test_a_try_that_would_come_after_the_deadline_is_not_waited_for(publisher: RecordingPublisher) -> None:
    await to_its_end(sender(ScriptedDelivery(Answer(500)), publisher).send(signed(deadline=NOW + timedelta(seconds=3))))
    assert settled(publisher).reason == "attempts"


async def test_without_a_deadline_the_first_request_s_time_counts(publisher: RecordingPublisher) -> None:
    await to_its_end(sender(ScriptedDelivery(), publisher).send(signed(first_requested_at=NOW - timedelta(hours=27))))
    assert settled(publisher).reason == "deadline"


async def test_an_outage_of_the_broker_after_the_delivery_delays_the_outcome_and_repeats_no_delivery(
    publisher: RecordingPublisher,
) -> None:
    publisher.refusals, delivery = 1, ScriptedDelivery()
    await to_its_end(sender(delivery, publisher).send(signed()))
    assert settled(publisher).outcome == "delivered"
    assert len(delivery.posted) == 1


async def test_an_outage_of_the_broker_is_raised_when_a_message_is_to_be_tried_again(
    publisher: RecordingPublisher,
) -> None:
    publisher.refusals = 1
    with pytest.raises(UnavailableError):
        await to_its_end(sender(ScriptedDelivery(Answer(500)), publisher).send(signed()))


async def test_what_is_not_settled_at_the_end_is_cancelled_so_that_it_is_read_again(
    publisher: RecordingPublisher,
) -> None:
    publisher.refusals = 1000
    sending = sender(ScriptedDelivery(), publisher)
    rest = await sending.send(signed())
    assert rest is not None
    await asyncio.sleep(0.05)
    await sending.close()
    assert rest.cancelled()
    assert publisher.sent == []


async def test_a_slow_receiver_takes_only_its_own_places(publisher: RecordingPublisher) -> None:
    delivery = ScriptedDelivery()
    delivery.go.clear()
    sending = sender(delivery, publisher, per_domain=2)
    slow = [asyncio.create_task(to_its_end(sending.send(signed(order_key=str(number))))) for number in range(10)]
    await asyncio.sleep(0)
    other = asyncio.create_task(to_its_end(sending.send(signed(to="quick.example"))))
    while len(delivery.posted) < 3:  # noqa: ASYNC110 - one turn of the loop after another
        await asyncio.sleep(0)
    assert delivery.most == {"shop.example": 2, "quick.example": 1}
    delivery.go.set()
    await asyncio.gather(*slow, other)
    assert len(publisher.of(PostSettled)) == 11
    assert delivery.most == {"shop.example": 2, "quick.example": 1}


async def test_a_delivery_that_fails_in_an_unknown_way_gives_its_place_back(publisher: RecordingPublisher) -> None:
    def fail(_: str) -> Answer:
        raise ZeroDivisionError

    delivery = ScriptedDelivery(fail)
    sending = sender(delivery, publisher, per_domain=1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            await to_its_end(sending.send(signed()))
    delivery.answer = Answer(200)
    async with asyncio.timeout(1):
        await to_its_end(sending.send(signed()))


def test_messages_of_one_order_key_to_one_domain_share_a_lane_and_others_have_their_own() -> None:
    one, same = signed(), signed()
    assert lane(one) == lane(same)
    lanes = {lane(one), lane(signed(order_key="v-2")), lane(signed(to="other.example")), lane(signed(order_key=None)),
             lane(signed(order_key=None))}  # fmt: skip
    assert len(lanes) == 5
