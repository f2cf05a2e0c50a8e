"""Who may have work done, and how much of it: by address, by claimed sender, by proven sender (architecture, rule 12).

Before a signature is checked, anybody can claim to be anybody. So a sender's own bucket is touched by proven messages
alone; what fails is charged to the address that sent it and to a budget for doubtful work in that sender's name. When
forgers have used up that budget, the sender's own messages still pass from addresses that it was proven at lately.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from services.inbox.domain import Reason, RefusedError
from shared.rates import Buckets, Rate

# A failed signature costs a check, and perhaps a look-up, more than other junk.
_FORGERY_TOKENS: Final = 5.0
_PROVEN_SECONDS: Final = 3600.0
_MOST_PROVEN: Final = 20_000


@dataclass(frozen=True, slots=True)
class Rates:
    """The rates of one address, of one proven sender, and of failures in one sender's name."""

    address: Rate
    sender: Rate
    unverified: Rate
    places: int = 262_144
    # Look-ups of keys may hang for seconds: so many messages of one address, and of all, may wait for theirs.
    most_waiting_per_address: int = 64
    most_waiting: int = 1000


class Guard:
    """Decides who is too fast."""

    def __init__(self, rates: Rates, clock: Callable[[], float]) -> None:
        self._addresses = Buckets(rates.address, places=rates.places, clock=clock)
        self._senders = Buckets(rates.sender, places=rates.places, clock=clock)
        self._doubtful = Buckets(rates.unverified, places=rates.places, clock=clock)
        self._clock = clock
        self._rates = rates
        self._waiting: Counter[str] = Counter()
        self._all_waiting = 0
        self._proven: OrderedDict[tuple[str, str], float] = OrderedDict()

    def enter(self, address: str) -> float:
        """Charge one request to its address; return 0, or after how many seconds it may come again."""
        return self._addresses.take(address)

    def before_proof(self, address: str, sender: str) -> None:
        """Let a message that claims ``sender`` have its signature checked, or raise RefusedError."""
        if self._lately_proven(address, sender):
            # Its own bucket may be looked at: this address has spoken for the sender before.
            if wait := self._senders.wait(sender):
                raise _too_fast(wait)
        elif wait := self._doubtful.wait(sender):
            raise RefusedError(
                Reason.UNVERIFIED_RATE, "too many messages in this sender's name failed", retry_after_seconds=wait
            )

    def wait(self, address: str) -> None:
        """Let a message of this address wait for its key, until ``decided``; or raise RefusedError."""
        if self._waiting[address] >= self._rates.most_waiting_per_address:
            raise RefusedError(Reason.UNVERIFIED_RATE, "too many messages from this address wait for their keys")
        if self._all_waiting >= self._rates.most_waiting:
            raise RefusedError(Reason.OVERLOADED, "too many messages wait for their keys")
        self._waiting[address] += 1
        self._all_waiting += 1

    def decided(self, address: str) -> None:
        """End what ``wait`` began."""
        self._all_waiting -= 1
        self._waiting[address] -= 1
        if not self._waiting[address]:
            del self._waiting[address]

    def failed(self, address: str, sender: str) -> None:
        """Charge a signature that did not hold to who sent it and to the doubtful work in that name."""
        self._addresses.charge(address, _FORGERY_TOKENS)
        if not self._lately_proven(address, sender):
            self._doubtful.charge(sender)

    def proven(self, address: str, sender: str) -> None:
        """Charge a proven message to its sender, or raise RefusedError: it is to be sent again later."""
        if wait := self._senders.take(sender):
            raise _too_fast(wait)
        self._proven[address, sender] = self._clock() + _PROVEN_SECONDS
        self._proven.move_to_end((address, sender))
        if len(self._proven) > _MOST_PROVEN:
            self._proven.popitem(last=False)

    def _lately_proven(self, address: str, sender: str) -> bool:
        return self._proven.get((address, sender), 0.0) > self._clock()


def _too_fast(wait: float) -> RefusedError:
    return RefusedError(Reason.SENDER_RATE, "too many messages from this sender", retry_after_seconds=wait)
