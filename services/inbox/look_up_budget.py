"""How many look-ups strangers may cause: token buckets for each owner of names, and one over all of them."""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spent:
    """No look-up is allowed now, but in ``wait_seconds``. ``by_owner``: its own bucket is empty, else that of all."""

    by_owner: bool
    wait_seconds: float


class LookUpBudget:
    """``burst`` look-ups at once for one owner (a sender's domain), then ``per_second``, within one rate for all.

    Bounded: of at most ``most_owners`` it remembers what they spent. Whoever would make it forget one of them has to
    spend from the overall bucket for each of the others.
    """

    def __init__(
        self,
        *,
        burst: float = 10.0,
        per_second: float = 0.5,
        overall_per_second: float = 200.0,
        most_owners: int = 10_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._burst = burst
        self._per_second = per_second
        self._overall_per_second = overall_per_second
        self._most_owners = most_owners
        self._clock = clock
        self._overall = (overall_per_second, clock())
        self._owners: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, owner: str) -> Spent | None:
        """Take one look-up from the owner's bucket and the overall one; return which is empty, if one is."""
        now = self._clock()
        tokens, overall = self._left(owner, now)
        spent = self._spent(tokens, overall)
        self._owners[owner] = (tokens - (spent is None), now)
        self._owners.move_to_end(owner)
        self._overall = (overall - (spent is None), now)
        if len(self._owners) > self._most_owners:
            self._owners.popitem(last=False)
        return spent

    def spent(self, owner: str) -> Spent | None:
        """Return what ``take`` would return now, and take nothing."""
        return self._spent(*self._left(owner, self._clock()))

    def _left(self, owner: str, now: float) -> tuple[float, float]:
        tokens, at = self._owners.get(owner, (self._burst, now))
        overall, since = self._overall
        return (
            min(self._burst, tokens + (now - at) * self._per_second),
            min(self._overall_per_second, overall + (now - since) * self._overall_per_second),
        )

    def _spent(self, tokens: float, overall: float) -> Spent | None:
        if tokens >= 1 and overall >= 1:
            return None
        if tokens < 1:
            return Spent(by_owner=True, wait_seconds=(1 - tokens) / self._per_second)
        return Spent(by_owner=False, wait_seconds=(1 - overall) / self._overall_per_second)
