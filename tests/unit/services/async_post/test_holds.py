"""What is held goes on waiting while its receiver is away, and leaves the delay topics when it may be tried."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.async_post.holds import Holds
from shared.breakers import FAILURES_TO_OPEN, PROBE_PAUSES_SECONDS
from shared.events import PostRequested
from tests.support.received import Record
from tests.support.recording import RecordingPublisher, Sent

START = datetime(2026, 11, 30, 12, tzinfo=UTC)
GIVE_UP_SECONDS = 3600.0
PLACES = 2
AWAY = "away.example"


@dataclass
class World:
    """Holds, with a clock that a test moves."""

    seconds: float = 0.0
    holds: Holds = field(init=False)

    def __post_init__(self) -> None:
        self.holds = Holds(
            publisher=RecordingPublisher(),
            give_up_seconds=GIVE_UP_SECONDS,
            most_in_flight_per_domain=PLACES,
            clock=lambda: self.now,
            monotonic=lambda: self.seconds,
        )

    @property
    def now(self) -> datetime:
        return START + timedelta(seconds=self.seconds)

    def goes_away(self, receiver: str = AWAY) -> None:
        """Let deliveries fail until the breaker opens."""
        for _ in range(FAILURES_TO_OPEN):
            self.holds.breakers.failed(receiver, self.seconds)

    def held(self, request: PostRequested, position: str = "t/0/1") -> Record:
        """Hold a message and return its record as it stands in its delay topic."""
        record = self.holds.unsigned(request, position)
        assert record is not None
        topic, key, value, headers = record
        return Record(topic, 0, 0, key, value, tuple(headers))


def request(**more: Any) -> PostRequested:
    fields: dict[str, Any] = {
        "to": AWAY, "subject": "LocatorVerified@Domain", "body": {"Result": "SUCCESS"},
        "first_requested_at": START, "position": 7,
    }  # fmt: skip
    return PostRequested(**{**fields, **more})


def due(record: Record) -> float:
    moment = Sent(record.topic, record.key, record.value, record.headers).due
    assert moment is not None
    return moment


def test_what_is_held_goes_on_waiting_until_its_receiver_may_be_tried() -> None:
    world = World()
    world.goes_away()
    record = world.held(request())
    world.seconds = PROBE_PAUSES_SECONDS[0] - 1
    again = world.holds.again(record)
    assert again is not None
    assert again > world.now.timestamp() + 1
    world.seconds = PROBE_PAUSES_SECONDS[0] + 1
    assert world.holds.again(record) is None, "the pause is over: one of them is the probe"
    world.holds.breakers.admit(AWAY, world.seconds)
    assert world.holds.again(record) is not None, "the probe is under way"
    world.holds.breakers.answered(AWAY)
    assert world.holds.again(record) is None


async def test_what_is_for_a_receiver_that_says_nothing_waits_for_whole_rungs() -> None:
    world = World()
    for _ in range(PLACES):
        await world.holds.places.take(AWAY)
    world.seconds = 12.0
    record = world.held(request())
    assert due(record) == pytest.approx(world.now.timestamp() + 30, abs=0.1)
    again = world.holds.again(record)
    assert again == pytest.approx(world.now.timestamp() + 30, abs=0.1)


@pytest.mark.parametrize("more", [{"deadline": START + timedelta(seconds=7)}, {}], ids=["its own", "everybody's"])
def test_it_is_back_at_its_deadline_and_waits_no_longer(more: dict[str, Any]) -> None:
    world = World()
    end = 7.0 if more else GIVE_UP_SECONDS
    world.goes_away()
    world.seconds = end - 3
    world.goes_away()
    world.holds.breakers.admit(AWAY, world.seconds)  # a probe that never reports
    record = world.held(request(**more))
    assert due(record) == pytest.approx((START + timedelta(seconds=end)).timestamp(), abs=0.01)
    assert world.holds.again(record) == pytest.approx((START + timedelta(seconds=end)).timestamp())
    world.seconds = end
    assert world.holds.again(record) is None


def test_later_ones_of_its_order_key_wait_for_as_long_as_it_does() -> None:
    world = World()
    world.goes_away()
    record = world.held(request(order_key="k"))
    later = request(order_key="k", position=8)
    assert world.holds.order.blocked_until(later) == pytest.approx(due(record), abs=0.001)
    world.seconds = PROBE_PAUSES_SECONDS[0] - 0.5
    again = world.holds.again(record)
    assert world.holds.order.blocked_until(later) == again
    assert again is not None
    assert again > due(record)
    assert len(world.holds.order) == 1


def test_a_receiver_that_answers_is_waited_for_no_longer_and_others_never_were() -> None:
    world = World()
    world.goes_away()
    record = world.held(request())
    other = request(to="shop.example")
    assert world.holds.unsigned(other, "t/0/1") is None
    key, value = other.to.encode(), other.to_json()
    assert world.holds.again(Record(record.topic, 0, 0, key, value)) is None


def test_what_was_seen_before_the_partitions_were_given_anew_holds_nothing_up() -> None:
    world = World()
    world.goes_away()
    record = world.held(request(order_key="k"))
    world.seconds = 1.0
    world.holds.forget()
    assert world.holds.again(record) is None, "it may be another replica's, and answer there"
    assert world.holds.unsigned(request(), "t/0/1") is None
    assert len(world.holds.order) == 0
    assert not world.holds.breakers.admit(AWAY, world.seconds), "who delivers still knows"
    world.seconds = PROBE_PAUSES_SECONDS[0] + 1
    world.holds.breakers.admit(AWAY, world.seconds)
    world.holds.breakers.failed(AWAY, world.seconds)
    assert world.holds.again(record) is not None, "it was met again"


_FIELDS = {
    "to": st.just(AWAY) | st.text(),
    "position": st.integers() | st.text(),
    "order_key": st.none() | st.integers(),
}
_TIMES = (
    st.text()
    | st.just("2026-11-30T12:00:00")
    | st.sampled_from(["2026-11-30T12:00:00Z", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00"])
    | st.integers()
)


@given(
    st.binary()
    | st.none()
    | st.fixed_dictionaries({}, optional={**_FIELDS, "deadline": _TIMES, "first_requested_at": _TIMES}).map(
        lambda fields: json.dumps(fields).encode()
    ),
    st.just(AWAY.encode()) | st.binary() | st.none(),
)
def test_garbage_that_looks_like_something_held_goes_to_whoever_judges_it(
    value: bytes | None, key: bytes | None
) -> None:
    world = World()
    world.goes_away()
    again = world.holds.again(Record("facescan.delay.1s", 0, 0, key, value))
    assert again is None or again > world.now.timestamp()
