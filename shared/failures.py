"""How many failed checks block a device, a person, an address or a requester, and for how long. Pure.

The rule is the provider's advice (AWS, "Recommendations for usage of Face Liveness"): five failures within three
minutes, then a break of 30 to 60 minutes, and longer when the pattern repeats. Whom something is counted for has a name
of the form ``kind:hash``; a person's, a device's and an address's are keyed hashes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

_DAY_SECONDS: Final = 86_400


class Kind(StrEnum):
    """For whom failures are counted."""

    DEVICE = "device"
    PERSON = "person"
    ADDRESS = "address"
    REQUESTER = "requester"


@dataclass(frozen=True, slots=True)
class Bounds:
    """So many failures by kind (0: no bound) within the window block; ``blocks`` are the first, second, … block's."""

    failures: Mapping[Kind, int]
    window_seconds: int = 180
    blocks_seconds: Sequence[int] = (1800, 3600, _DAY_SECONDS)
    # After so long without a block the next one is a first one again.
    forget_seconds: int = _DAY_SECONDS


@dataclass(frozen=True, slots=True)
class Tally:
    """What is counted for one: ``failures`` are (epoch seconds, id of the check), oldest first; ``blocks`` how many."""

    failures: tuple[tuple[int, str], ...] = ()
    blocks: int = 0
    blocked_until: int = 0


def kind_of(whom: str) -> Kind:
    """Return the kind in a name. Raises ValueError."""
    return Kind(whom.partition(":")[0])


def after_failure(tally: Tally, at: int, check: str, most: int, bounds: Bounds) -> Tally:
    """Return the tally after a check failed at ``at`` (epoch seconds); a check that is counted already changes nothing.

    What fails during a block began before it, and is not counted: a block never becomes longer by itself.
    """
    if at < tally.blocked_until or any(known == check for _, known in tally.failures):
        return tally
    recent = (*(one for one in tally.failures if one[0] > at - bounds.window_seconds), (at, check))
    blocks = tally.blocks if at < tally.blocked_until + bounds.forget_seconds else 0
    if len(recent) < most:
        return Tally(recent, blocks, tally.blocked_until)
    seconds = bounds.blocks_seconds[min(blocks, len(bounds.blocks_seconds) - 1)]
    return Tally((), blocks + 1, at + seconds)


def forget_at(tally: Tally, bounds: Bounds) -> int:
    """Return when (epoch seconds) the tally says no more than an empty one."""
    last = max((at for at, _ in tally.failures), default=0)
    return max(last + bounds.window_seconds, tally.blocked_until + bounds.forget_seconds if tally.blocks else 0)
