"""What is held: messages that cannot be tried now, put into Kafka's delay topics until it may be otherwise.

What waits for a receiver that is away comes back again and again. It is looked at as early as can be, before it is
signed and even before it leaves the delay topics, so that all others pay little for it, however much of it waits.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

import orjson
from prometheus_client import Counter

from services.async_post.order import Order
from shared.breakers import Breakers
from shared.broker import Publisher, Record
from shared.delays import event_at, whole_rung
from shared.events import PostRequested
from shared.places import Places

HELD: Final = Counter("facescan_deliveries_held_total", "Messages held in Kafka untried, by why.", ["why"])
UNORDERED: Final = Counter(
    "facescan_deliveries_unordered_total", "Messages that went away unnoted, so that a later one may overtake them."
)
# Longer than a delivery may take: after it, a probe that has not reported is taken for lost.
_PROBE_PATIENCE_SECONDS: Final = 90.0
# A rung of the ladder is left at once when the time until which a record is held lies just behind its end.
_BEHIND_RUNG_SECONDS: Final = 0.02


class _Waiting(NamedTuple):
    """What the order of messages needs to know of one that is in a delay topic."""

    to: str
    order_key: str | None
    position: int | None


class Holds:
    """Knows which receivers cannot be tried now, and for how long to hold what is for them."""

    def __init__(
        self,
        *,
        publisher: Publisher,
        give_up_seconds: float,
        most_in_flight_per_domain: int,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float],
    ) -> None:
        self.places = Places(most_in_flight_per_domain, monotonic=monotonic)
        self.order = Order(clock=lambda: clock().timestamp())
        self.breakers = Breakers(probe_patience_seconds=_PROBE_PATIENCE_SECONDS)
        self._publisher = publisher
        self._give_up_seconds = give_up_seconds
        self._per_domain = most_in_flight_per_domain
        self._clock = clock
        self._monotonic = monotonic
        # Since when this replica has the partitions that it has now.
        self._since = monotonic()

    def forget(self) -> None:
        """Forget what was away, and rely on no breaker that is not met again: the partitions are given anew.

        What is said here of a receiver holds up whatever passes by, not only what this replica delivers. A receiver
        that another one delivers to by now may answer there long before the pause that was seen here is over.
        """
        self.order.forget()
        self._since = self._monotonic()

    def give_up_at(self, request: PostRequested, now: datetime) -> datetime:
        """Return when nothing will be tried any more."""
        return request.deadline or (request.first_requested_at or now) + timedelta(seconds=self._give_up_seconds)

    def note_away(self, request: PostRequested | _Waiting, until: float) -> None:
        """Note that a message is away until then (epoch seconds), so that later ones of its order key wait."""
        if not self.order.away(request, until):
            UNORDERED.inc()

    def slow_rest(self, receiver: str) -> float:
        """Return for how many seconds to hold a message for a receiver that has no place free."""
        rest = self.places.hold_seconds(receiver, receiver, self._monotonic(), at_once=self._per_domain)
        # One that says nothing at all is waited for in whole rungs: each part of a sum would cost as much as a return.
        return float(whole_rung(rest)) if self.places.silent(receiver) else rest

    def record(self, request: PostRequested, position: str, why: str, least_seconds: float = 0.0) -> Record:
        """Return the record that holds a message, which is noted as away. ``position`` is where it was read."""
        until = self._until(request.to, why, least_seconds, self.give_up_at(request, self._clock()))
        self.note_away(request, until.timestamp())
        # The place in the log is part of the id: it may be held more than once for one attempt.
        return event_at(self._publisher, request, until, "held", position)

    def unsigned(self, request: PostRequested, position: str) -> Record | None:
        """Return the record that holds a message that could not be tried now; None when it may be signed and tried."""
        trouble = self._trouble(request.to)
        if trouble is None:
            return None
        now = self._clock()
        return None if now >= self.give_up_at(request, now) else self.record(request, position, *trouble)

    def again(self, record: Any) -> float | None:
        """Return until when a request in a delay topic goes on waiting there (epoch seconds); None when it is to go.

        Whatever is not plainly a request that was held goes, to be judged by whoever reads it.
        """
        try:
            receiver = (record.key or b"").decode()
            trouble = self._trouble(receiver)
            if trouble is None:
                return None
            waiting, give_up_at = self._read(receiver, record.value)
        except (KeyError, TypeError, ValueError, OverflowError):
            return None
        if self._clock() >= give_up_at:
            return None
        until = self._until(receiver, *trouble, give_up_at).timestamp()
        self.note_away(waiting, until)
        return until

    def _read(self, receiver: str, value: bytes) -> tuple[_Waiting, datetime]:
        # Not the event's own model: to look at a message must cost less than to let it go and hold it anew.
        data = orjson.loads(value)
        if data["to"] != receiver:
            raise ValueError("another receiver's")
        position, order_key, deadline = data["position"], data.get("order_key"), data.get("deadline")
        if not isinstance(position, int) or not isinstance(order_key, str | None):
            raise TypeError("no request")
        if deadline is not None:
            give_up_at = datetime.fromisoformat(deadline)
        else:
            give_up_at = datetime.fromisoformat(data["first_requested_at"]) + timedelta(seconds=self._give_up_seconds)
        if give_up_at.tzinfo is None:
            raise ValueError("a time without a zone")
        return _Waiting(receiver, order_key, position), give_up_at

    def _trouble(self, receiver: str) -> tuple[str, float] | None:
        """Return why a receiver cannot be tried now, and the seconds to wait for that reason at least."""
        if self.breakers.blocked(receiver, self._monotonic(), known_since=self._since):
            return "breaker", 0.0
        if self.places.silent(receiver):
            return "slow", self.slow_rest(receiver)
        return None

    def _until(self, receiver: str, why: str, least_seconds: float, give_up_at: datetime) -> datetime:
        HELD.labels(why).inc()
        seconds = max(self.breakers.hold_seconds(receiver, self._monotonic()), least_seconds) + _BEHIND_RUNG_SECONDS
        # Back at its deadline at the latest: whoever asked is told then.
        return min(self._clock() + timedelta(seconds=seconds), give_up_at)
