"""Which messages of an order key are away: held, or waiting to be tried again. Until they have ended, later ones wait.

A message is known by where it stood in the log when it was asked for. All of one receiver's are in one partition, and
so at one replica, which has this in memory: what is away when the partition moves or the process ends is forgotten.
"""

import time
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

# Each costs 40 bytes, each order key 250. Beyond it, messages are not put into order any more.
MOST_AWAY: Final = 20_000
# A message that has not come back for so long after its time has got lost; the others need not wait for it.
_PATIENCE_SECONDS: Final = 600.0


class Ordered(Protocol):
    """What is known of a message here: PostRequested, or what was read of one."""

    @property
    def to(self) -> str:
        """The receiving domain."""

    @property
    def order_key(self) -> str | None:
        """Its order key."""

    @property
    def position(self) -> int | None:
        """Where it stood in the log."""


@dataclass(slots=True)
class _Away:
    """Of one order key: positions in rising order, when the first comes back, and when the last one does."""

    positions: list[int] = field(default_factory=list)
    first_until: float = 0.0
    last_until: float = 0.0


class Order:
    """Times are epoch seconds."""

    def __init__(self, *, most: int = MOST_AWAY, clock: Callable[[], float] = time.time) -> None:
        self._most = most
        self._clock = clock
        self._keys: dict[int, _Away] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def blocked_until(self, request: Ordered) -> float | None:
        """Return when the message that this one must wait for comes back; None when it need not wait."""
        if request.order_key is None or request.position is None or not self._keys:
            return None
        key = _key(request)
        away = self._keys.get(key)
        if away is None or away.positions[0] >= request.position:
            return None
        if self._clock() > away.last_until + _PATIENCE_SECONDS:
            self._count -= len(self._keys.pop(key).positions)
            return None
        return away.first_until

    def away(self, request: Ordered, until: float) -> bool:
        """Note that a message is away until then; False when so many are that it is not noted."""
        if request.order_key is None or request.position is None:
            return True
        key = _key(request)
        away = self._keys.get(key)
        if away is None:
            if self._count >= self._most:
                return False
            away = self._keys[key] = _Away()
        place = bisect_left(away.positions, request.position)
        if place == len(away.positions) or away.positions[place] != request.position:
            if self._count >= self._most:
                return False
            away.positions.insert(place, request.position)
            self._count += 1
        if place == 0:
            away.first_until = until
        away.last_until = max(away.last_until, until)
        return True

    def ended(self, request: Ordered) -> None:
        """Note that nothing will be tried for a message any more."""
        if request.order_key is None or request.position is None or not self._keys:
            return
        key = _key(request)
        away = self._keys.get(key)
        if away is None:
            return
        place = bisect_left(away.positions, request.position)
        if place < len(away.positions) and away.positions[place] == request.position:
            del away.positions[place]
            self._count -= 1
            if place == 0:
                away.first_until = 0.0  # the next one is on its way
        if not away.positions:
            del self._keys[key]

    def forget(self) -> None:
        """Forget all: another replica may have them now."""
        self._keys.clear()
        self._count = 0


def _key(request: Ordered) -> int:
    # A number for the two names, in a fifth of the memory; two keys that share one wait for each other now and then.
    return hash((request.to, request.order_key))
