"""Token buckets in a fixed amount of memory, for keys that strangers choose (addresses, domains).

A table with an entry for each key would grow with the number of strangers, and one that throws entries away would let
somebody with many keys throw out his own spent bucket. Here every key has two places in an array of fixed size, chosen
by a keyed hash that nobody outside can know; it is over its rate only when both places are. Two keys that share one
place do not slow each other down, and nothing that anybody sends makes memory grow. See ADR 12.
"""

import mmap
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

# What sums of doubles may be off by: a bucket of five holds five.
_ROUNDING_SECONDS: Final = 1e-6
_BYTES_OF_DOUBLE: Final = 8
_HALF_BITS: Final = 32
_HALF: Final = (1 << _HALF_BITS) - 1
_MASK: Final = (1 << 2 * _HALF_BITS) - 1


@dataclass(frozen=True, slots=True)
class Rate:
    """So many a second in the long run, and so many at once."""

    per_second: float
    burst: float


class Buckets:
    """One bucket for each key. ``clock`` gives seconds that never go back."""

    def __init__(self, rate: Rate, *, places: int, clock: Callable[[], float]) -> None:
        self._interval = 1.0 / rate.per_second
        self._room = rate.burst * self._interval
        self._places = places
        self._clock = clock
        self._secret = secrets.token_hex(16)
        # When the bucket of each place would be full again ("theoretical arrival time" of GCRA, ITU-T I.371).
        # A mapping of its own: pages that no key has met yet take no memory.
        self._full_at = memoryview(mmap.mmap(-1, _BYTES_OF_DOUBLE * places)).cast("d")

    def take(self, key: str, count: float = 1.0) -> float:
        """Take ``count`` tokens and return 0, or take none and return after how many seconds they would be there."""
        now = self._clock()
        first, second = self._where(key)
        full_at = max(now, min(self._full_at[first], self._full_at[second])) + count * self._interval
        wait = full_at - now - self._room
        if wait > _ROUNDING_SECONDS:
            return wait
        self._raise(first, second, full_at)
        return 0.0

    def charge(self, key: str, count: float = 1.0) -> None:
        """Take ``count`` tokens, whether or not they are there; a bucket owes at most one burst."""
        now = self._clock()
        first, second = self._where(key)
        full_at = max(now, min(self._full_at[first], self._full_at[second])) + count * self._interval
        self._raise(first, second, min(full_at, now + 2 * self._room))

    def wait(self, key: str) -> float:
        """Return after how many seconds one token would be there, 0 for now, and take none."""
        now = self._clock()
        first, second = self._where(key)
        wait = min(self._full_at[first], self._full_at[second]) + self._interval - now - self._room
        return wait if wait > _ROUNDING_SECONDS else 0.0

    def _raise(self, first: int, second: int, full_at: float) -> None:
        # Never lowered: the other key of a shared place keeps what it has used up.
        self._full_at[first] = max(self._full_at[first], full_at)
        self._full_at[second] = max(self._full_at[second], full_at)

    def _where(self, key: str) -> tuple[int, int]:
        # Python's own hash of text is SipHash with a key; the secret before the text is a second one, for where the
        # first is set from outside (PYTHONHASHSEED). Nobody outside ever sees a hash.
        digest = hash(self._secret + key) & _MASK
        return (digest & _HALF) % self._places, (digest >> _HALF_BITS) % self._places
