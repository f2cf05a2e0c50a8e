"""What the next step of a rotation is, and when. Pure: from the ring, the time and the waits."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from services.async_post.ring import Ring, RingKey, State

# A step that waits for somebody else is looked at again after so long.
_LOOK_SECONDS: Final = 15.0


@dataclass(frozen=True, slots=True)
class Timing:
    """The waits of a rotation in seconds.

    ``rotate_seconds``: a key this old is followed by a new one; None: never by itself. ``settle_seconds``: a record
    must have been seen for so long before its key signs. ``keep_seconds``: an old record stays for so long after its
    key was replaced: until the last replica knows it (trust), the last message that it signed can be checked no more,
    and the record is in no cache.
    """

    rotate_seconds: float | None
    settle_seconds: float
    keep_seconds: float


class Step(StrEnum):
    """What is to be done next; the words are the metric's labels too."""

    REVOKE = "revoke"
    MAKE = "make"
    PUBLISH = "publish"
    SEE = "see"
    SETTLE = "settle"
    ACTIVATE = "activate"
    RETIRE = "retire"
    REST = "rest"


@dataclass(frozen=True, slots=True)
class Next:
    """A step, the key that it is about, and how many seconds to wait before it (0: now)."""

    step: Step
    key: RingKey | None = None
    wait_seconds: float = 0.0


def next_step(ring: Ring, now: float, timing: Timing, *, begin: bool = False) -> Next:
    """Return what to do. ``begin``: a new key is wanted now, unless one is on its way."""
    retiring = [key for key in ring.keys if key.state is State.RETIRING]
    for key in retiring:
        if key.compromised:
            return Next(Step.REVOKE, key)
    due = {key.selector: key.retiring_at + timing.keep_seconds for key in retiring}
    for key in retiring:
        if due[key.selector] <= now:
            return Next(Step.RETIRE, key)
    waits = [moment - now for moment in due.values()]
    coming = ring.coming
    if coming is not None:
        return _advance(coming, now, timing)
    if begin:
        return Next(Step.MAKE)
    if timing.rotate_seconds is not None:
        active = ring.active
        wait = 0.0 if active is None else active.active_at + timing.rotate_seconds - now
        if wait <= 0:
            return Next(Step.MAKE)
        waits.append(wait)
    return Next(Step.REST, ring.active, min(waits, default=3600.0))


def _advance(coming: RingKey, now: float, timing: Timing) -> Next:
    if coming.state is State.MADE:
        return Next(Step.PUBLISH, coming)
    if not coming.seen_at:
        return Next(Step.SEE, coming)
    wait = coming.seen_at + timing.settle_seconds - now
    return Next(Step.ACTIVATE, coming) if wait <= 0 else Next(Step.SETTLE, coming, wait)


def stuck_seconds(ring: Ring, now: float, timing: Timing) -> float:
    """Return for how long the key on its way is overdue in its step; 0 while all is in time."""
    coming = ring.coming
    if coming is None:
        return 0.0
    since = max(coming.made_at, coming.published_at, coming.seen_at)
    patience = _LOOK_SECONDS + (timing.settle_seconds if coming.seen_at else 0.0)
    return max(0.0, now - since - patience)
