"""How many deliveries one receiver may have under way, and who waits for a place: bounded in number and in time."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

# Longer than this no healthy receiver keeps a place, and nobody waits for one: what waits is held in Kafka instead.
SLOW_SECONDS: Final = 1.0


# For each place of a receiver so many may wait for one; more would fill the reader with one receiver's messages.
_WAITING_PER_PLACE: Final = 8
# What is held for want of a place comes back after this at the earliest, and one after the other.
_LEAST_HOLD_SECONDS: Final = 1.0
_LEAST_BETWEEN_SECONDS: Final = 0.002
_MOST_RETURNS: Final = 10_000


class _Receiver:
    __slots__ = ("began", "free", "seconds", "users")

    def __init__(self, places: int) -> None:
        self.free = asyncio.Semaphore(places)
        self.users = 0
        # What a delivery takes, the last ones counting most.
        self.seconds = 0.0
        # When each delivery under way began, the oldest first.
        self.began: dict[int, float] = {}


class Places:
    """Gives places of receivers; a receiver nobody delivers to has no state."""

    def __init__(
        self,
        per_receiver: int,
        slow_seconds: float = SLOW_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._per_receiver = per_receiver
        self._slow_seconds = slow_seconds
        self._monotonic = monotonic
        self._receivers: dict[str, _Receiver] = {}
        self._number = 0
        # When the next one of those that are held may come back.
        self._returns: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._receivers)

    async def take(self, receiver: str) -> int:
        """Return the number of a place, to be given back; 0 when the receiver is slow and has none."""
        known = self._receivers.get(receiver)
        if known is None:
            known = self._receivers[receiver] = _Receiver(self._per_receiver)
        known.users += 1
        taken = False
        try:
            taken = await self._taken(known)
        finally:
            if not taken:
                self._leave(receiver, known)
        if not taken:
            return 0
        number = self._number = self._number + 1
        known.began[number] = self._monotonic()
        return number

    def silent(self, receiver: str) -> bool:
        """Whether all places are taken by a receiver that does not answer: nobody would get one now."""
        known = self._receivers.get(receiver)
        return known is not None and known.free.locked() and self._silent(known)

    def _silent(self, known: _Receiver) -> bool:
        return bool(known.began) and self._monotonic() - next(iter(known.began.values())) > self._slow_seconds

    def give_back(self, receiver: str, number: int) -> float:
        """Let another have the place; return for how many seconds it was taken."""
        known = self._receivers[receiver]
        began = known.began.pop(number)
        known.free.release()
        seconds = self._monotonic() - began
        known.seconds += (seconds - known.seconds) * 0.2
        self._leave(receiver, known)
        return seconds

    def hold_seconds(self, receiver: str, lane: str, now: float, *, at_once: int) -> float:
        """Return for how long to hold a message of a lane that ``at_once`` of the receiver's places serve.

        What is held comes back as fast as it can be delivered, so that it is not held again and again. A receiver that
        has not answered for some seconds has it back after as many more, or all would go round each second.
        """
        known = self._receivers.get(receiver)
        between = max(_LEAST_BETWEEN_SECONDS, known.seconds / at_once if known else 0.0)
        silent = self._monotonic() - next(iter(known.began.values())) if known and known.began else 0.0
        moment = max(self._returns.pop(lane, 0.0), now + max(_LEAST_HOLD_SECONDS, silent)) + between
        self._returns[lane] = moment
        if len(self._returns) > _MOST_RETURNS:
            self._returns.popitem(last=False)
        return moment - now

    def _leave(self, receiver: str, known: _Receiver) -> None:
        known.users -= 1
        if not known.users:
            self._receivers.pop(receiver, None)

    async def _taken(self, known: _Receiver) -> bool:
        if not known.free.locked():
            await known.free.acquire()
            return True
        if known.users > self._per_receiver * (1 + _WAITING_PER_PLACE):
            return False
        if self._silent(known):
            return False
        try:
            async with asyncio.timeout(self._slow_seconds):
                await known.free.acquire()
        except TimeoutError:
            return False
        return True
