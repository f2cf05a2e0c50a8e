"""Order per order key: the receiver's first successes come as they were asked for, whatever fails meanwhile."""

import heapq
import itertools
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.async_post.connect_to import PublicDestinations
from services.async_post.delivery import HttpDelivery
from services.async_post.generations import Generations
from services.async_post.order import Order
from services.async_post.sender import Sender
from services.async_post.signer import Signer
from shared.deliveries import Answer
from shared.events import PostRequested, PostSettled, PostSigned
from shared.generation import Generation
from shared.keys import SigningKey
from shared.received import Received
from tests.support.fixed_ring import FixedRing
from tests.support.received import received, to_its_end
from tests.support.recording import RecordingPublisher

BEGAN = datetime(2026, 11, 23, tzinfo=UTC).timestamp()
KEY = SigningKey.generate("pw1")


@dataclass(frozen=True)
class Asked:
    """A message of an order key to a receiver, ``after`` seconds behind the one before."""

    to: str
    order_key: str | None
    after: float


@dataclass(frozen=True)
class Outage:
    """A receiver answers nobody but 503 from one second to another."""

    to: str
    begins: float
    lasts: float


MESSAGES = st.lists(
    st.builds(
        Asked,
        to=st.sampled_from(["a.example", "b.example"]),
        order_key=st.sampled_from(["one", "two", "three"]),
        after=st.sampled_from([0.0, 0.01, 0.5, 4.0, 40.0]),
    ),
    min_size=2,
    max_size=40,
)
OUTAGES = st.lists(
    st.builds(
        Outage,
        to=st.sampled_from(["a.example", "b.example"]),
        begins=st.sampled_from([0.0, 1.0, 30.0, 200.0]),
        lasts=st.sampled_from([0.5, 10.0, 100.0, 3000.0]),
    ),
    max_size=3,
)


@dataclass
class World(HttpDelivery):
    """Signer and sender under a clock of the test's own; what waits in Kafka comes back late by chance."""

    ring: FixedRing
    outages: list[Outage]
    chance: random.Random
    flaky: float = 0.0
    now: float = BEGAN
    delivered: list[PostRequested] = field(default_factory=list)
    tries: int = 0
    moves: int = 0

    def __post_init__(self) -> None:
        HttpDelivery.__init__(self, PublicDestinations(), timeout_seconds=1)
        self.publisher = RecordingPublisher()
        self.waiting: list[tuple[float, int, PostRequested]] = []
        self.numbers = itertools.count()
        self.sender = Sender(
            delivery=self, publisher=self.publisher, give_up_seconds=1e9, most_in_flight_per_domain=16,
            clock=self.clock, chance=self.chance, monotonic=lambda: self.now, gathering_seconds=0,
        )  # fmt: skip
        self.signer = Signer(
            domain="identity.example", keys=self.ring, generations=Generations(), publisher=self.publisher,
            clock=self.clock,
        )  # fmt: skip

    def clock(self) -> datetime:
        return datetime.fromtimestamp(self.now, UTC)

    async def post(self, receiver: str, generation: Generation, message: str) -> Answer:
        """See HttpDelivery."""
        self.tries += 1
        since = self.now - BEGAN
        away = any(one.to == receiver and one.begins <= since < one.begins + one.lasts for one in self.outages)
        return Answer(503 if away or self.chance.random() < self.flaky else 200)

    def ask(self, request: PostRequested, moment: float) -> None:
        heapq.heappush(self.waiting, (moment, next(self.numbers), request))

    async def run(self) -> None:
        """Until nothing waits any more."""
        offsets = itertools.count()
        while self.waiting:
            moment, _, request = heapq.heappop(self.waiting)
            self.moves += 1
            self.now = max(self.now, moment)
            self.publisher.sent.clear()
            assert await self.signer.sign([received(request, offset=next(offsets), id=str(self.now))]) == [None]
            signed = self.publisher.of(PostSigned)[-1].data
            assert isinstance(signed, PostSigned)
            self.publisher.sent.clear()
            await self.handle(received(signed))
            for sent in self.publisher.sent:
                if isinstance(sent.data, PostSettled):
                    assert sent.data.outcome == "delivered"
                    self.delivered.append(signed.request)
                else:
                    assert isinstance(sent.data, PostRequested)
                    late = self.chance.choice([0.0, 0.0, 0.05, 1.5])
                    self.ask(sent.data, (sent.due or self.now) + late)

    async def handle(self, signed: Received[PostSigned]) -> None:
        await to_its_end(self.sender.send(signed))


async def outcome(world: World, messages: list[Asked]) -> dict[tuple[str, str | None], list[int]]:
    """Ask for all and return the numbers of the messages of each order key as they were delivered."""
    moment = BEGAN
    for number, asked in enumerate(messages):
        moment += asked.after
        fields: dict[str, Any] = {"to": asked.to, "order_key": asked.order_key}
        world.ask(PostRequested(**fields, subject="A@B", body={"number": number}), moment)
    await world.run()
    found: dict[tuple[str, str | None], list[int]] = {}
    for request in world.delivered:
        found.setdefault((request.to, request.order_key), []).append(request.body["number"])
    return found


@settings(max_examples=25, deadline=None)
@given(messages=MESSAGES, outages=OUTAGES, flaky=st.sampled_from([0.0, 0.2]), seed=st.integers(0, 1000))
async def test_first_successes_of_an_order_key_come_in_the_order_of_its_requests_also_after_an_outage(
    messages: list[Asked], outages: list[Outage], flaky: float, seed: int
) -> None:
    world = World(FixedRing(None, KEY), outages, random.Random(seed), flaky)
    found = await outcome(world, messages)
    for numbers in found.values():
        assert numbers == sorted(numbers)
    assert sum(map(len, found.values())) == len(messages)
    assert len(world.sender._order) == 0


async def test_a_message_that_is_tried_again_holds_up_its_own_order_key_alone() -> None:
    messages = [Asked("a.example", "one", 0.0), Asked("a.example", "one", 0.1), Asked("a.example", "two", 0.1)]
    world = World(FixedRing(None, KEY), [Outage("a.example", 0.0, 0.05)], random.Random(1))
    await outcome(world, messages)
    assert [request.body["number"] for request in world.delivered] == [2, 0, 1]


async def test_without_an_order_key_nothing_waits_for_another() -> None:
    messages = [Asked("a.example", None, 0.0), Asked("a.example", None, 0.1)]
    world = World(FixedRing(None, KEY), [Outage("a.example", 0.0, 0.05)], random.Random(1))
    await outcome(world, messages)
    assert [request.body["number"] for request in world.delivered] == [1, 0]


async def test_followers_of_a_message_that_waits_long_are_not_stirred_meanwhile() -> None:
    """Each of 50 goes away with the first and comes back behind it: a few moves, not one a second."""
    messages = [Asked("a.example", "one", 0.0)] + [Asked("a.example", "one", 0.01)] * 50
    world = World(FixedRing(None, KEY), [Outage("a.example", 0.0, 35.0)], random.Random(1))
    found = await outcome(world, messages)
    assert found == {("a.example", "one"): list(range(51))}
    assert world.tries < 60


async def test_a_waiting_message_costs_no_more_when_there_are_many_and_a_healthy_one_nothing() -> None:
    """Ten times as many for a dead receiver: moves for each of them, and the sender's memory, stay as they are."""
    moves = {}
    for count in (30, 300):
        world = World(FixedRing(None, KEY), [Outage("a.example", 0.0, 3600.0)], random.Random(1))
        world.sender._order = Order(most=20, clock=lambda world=world: world.now)  # type: ignore[misc] # for the bound
        waiting = [Asked("a.example", f"key-{number}", 0.0) for number in range(count)]
        found = await outcome(world, [*waiting, Asked("b.example", "one", 1.0)])
        assert sum(map(len, found.values())) == count + 1
        assert world.delivered[0].to == "b.example"
        assert (len(world.sender._order), len(world.sender._breakers), len(world.sender._places)) == (0, 0, 0)
        moves[count] = world.moves / count
    assert moves[300] < 1.5 * moves[30], moves


def request(position: int, order_key: str | None = "one") -> PostRequested:
    return PostRequested(to="a.example", subject="A@B", body={}, order_key=order_key, position=position)


def test_who_is_earlier_than_all_that_are_away_need_not_wait() -> None:
    order = Order(clock=lambda: 0.0)
    assert order.blocked_until(request(5)) is None
    order.away(request(5), 10.0)
    assert order.blocked_until(request(4)) is None
    assert order.blocked_until(request(5)) is None
    assert order.blocked_until(request(6)) == 10.0
    assert order.blocked_until(request(6, "two")) is None
    order.away(request(4), 30.0)
    assert order.blocked_until(request(6)) == 30.0
    order.ended(request(4))
    order.ended(request(5))
    assert order.blocked_until(request(6)) is None
    assert len(order) == 0


def test_what_is_away_is_bounded_and_a_message_beyond_it_is_told_so() -> None:
    order = Order(most=2, clock=lambda: 0.0)
    assert [order.away(request(number), 1.0) for number in (1, 2, 3, 2)] == [True, True, False, True]
    assert not order.away(request(1, "two"), 1.0)
    assert len(order) == 2
    order.forget()
    assert len(order) == 0
    assert order.blocked_until(request(9)) is None


@pytest.mark.parametrize(("now", "waits"), [(600.0, True), (612.0, False)])
def test_a_message_that_never_comes_back_holds_up_nobody_for_ever(now: float, waits: bool) -> None:
    moment = 0.0
    order = Order(clock=lambda: moment)
    order.away(request(1), 10.0)
    moment = now
    assert (order.blocked_until(request(2)) is not None) is waits
    assert len(order) == (1 if waits else 0)
