"""Rotation: one step at a time, from what the ring says and the world shows.

No step is remembered anywhere but in the ring, every effect may be repeated, and the ring is changed only from the
version that was read. So a rotator may be killed between any two effects and another goes on, and several at once do
what one would do. docs/adr/0010 tells why.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Final, TypeVar

from prometheus_client import Gauge

from services.async_post import ring as rings
from services.async_post.records import RecordTakenError, RecordWriter, record_names, revoked
from services.async_post.ring import Algorithm, Ring, RingKey
from services.async_post.ring_store import RingChangedError, RingStore, StoredRing
from services.async_post.timing import Next, Step, Timing, next_step, stuck_seconds
from services.async_post.world import Seen, Sight, World
from shared.errors import FacescanError, UnavailableError
from shared.generation import Generation

log = logging.getLogger(__name__)

T = TypeVar("T")

STEP: Final = Gauge("facescan_key_rotation_step", "1 for the rotation's next step.", ["step"])
OVERDUE: Final = Gauge("facescan_key_rotation_overdue_seconds", "For how long the rotation has been stuck in its step.")
VISIBLE: Final = Gauge(
    "facescan_key_record_visible", "Whether the resolver shows the active key's record, 1 or 0.", ["generation"]
)
_MOST_PROBES: Final = 1000
_LONGEST_WAIT_SECONDS: Final = 60.0
# unbound counts in whole seconds: what lives for one of them is there for up to two.
_ROUNDING_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Progress:
    """What a step came to: ``done`` whether it moved anything; else why not, and when to look again (seconds)."""

    step: Step
    selector: str
    done: bool
    why: str = ""
    wait_seconds: float = 0.0


class Rotator:
    """Moves the keys of one domain. ``writer`` is None when a person writes the records."""

    def __init__(
        self,
        *,
        domain: str,
        store: RingStore,
        writer: RecordWriter | None,
        world: World,
        timing: Timing,
        algorithm: Algorithm,
        clock: Callable[[], float],
        look_seconds: float = 15.0,
    ) -> None:
        self._domain = domain
        self._store = store
        self._writer = writer
        self._world = world
        self._timing = timing
        self._algorithm = algorithm
        self._clock = clock
        self._look_seconds = look_seconds

    async def step(self, *, begin: bool = False) -> Progress:
        """Do the next step, if its time has come. ``begin``: make a new key unless one is on its way.

        Raises FacescanError: UnavailableError when the same may work later, ConfigurationError and RecordTakenError
        when somebody must act. Nothing is half done after any of them that another call would not finish.
        """
        stored = await self._store.read()
        what = next_step(stored.ring, self._clock(), self._timing, begin=begin)
        self._show(stored.ring, what)
        selector = what.key.selector if what.key else ""
        if what.wait_seconds > 0:
            return Progress(what.step, selector, done=False, wait_seconds=what.wait_seconds)
        try:
            return await self._do(stored, what)
        except RingChangedError as error:
            return Progress(what.step, selector, done=False, why=str(error))  # another did it: look at once

    async def run(self) -> None:
        """Do steps for ever, as their times come; trouble is logged and tried again.

        The active key's record is looked at whatever becomes of a step: a rotation that is stuck must not hide that
        receivers refuse everything.
        """
        while True:
            progress = await self._logged(self.step())
            await self._logged(self._watch_active())
            if progress is not None and progress.done:
                continue
            wait = self._look_seconds
            if progress is not None:
                wait = progress.wait_seconds or wait
                if progress.why:
                    log.info("rotation waits", extra=_told(progress))
            await asyncio.sleep(min(wait, max(self._look_seconds, _LONGEST_WAIT_SECONDS)))

    @staticmethod
    async def _logged(work: Awaitable[T]) -> T | None:
        try:
            return await work
        except FacescanError as error:
            log.warning("rotation does not get on", extra={"why": str(error)})
            return None

    async def _do(self, stored: StoredRing, what: Next) -> Progress:
        if what.step is Step.MAKE:
            return await self._make(stored)
        steps = {
            Step.PUBLISH: self._publish,
            Step.SEE: self._see,
            Step.ACTIVATE: self._activate,
            Step.RETIRE: self._retire,
            Step.REVOKE: self._revoke,
        }
        if what.key is None or what.step not in steps:
            return Progress(what.step, "", done=False, wait_seconds=self._look_seconds)
        return await steps[what.step](stored, what.key)

    # -- the steps -----------------------------------------------------------------------------------------------

    async def _make(self, stored: StoredRing) -> Progress:
        number = stored.ring.next_number()
        for candidate in range(number, number + _MOST_PROBES):
            # A ring that was lost and begun anew must not take a number that DNS knows.
            seen = await self._world.look(f"pw{candidate}", self._domain, None)
            if any(one.sight is Sight.UNDECIDED for one in seen.values()):
                raise UnavailableError(f"the resolver does not say whether pw{candidate} is free")
            if all(one.sight is Sight.ABSENT for one in seen.values()):
                ring = await asyncio.to_thread(
                    rings.make, stored.ring, f"pw{candidate}", self._algorithm, self._clock()
                )
                return await self._write(stored, ring, Step.MAKE, f"pw{candidate}")
        raise rings.RingError(f"no selector from pw{number} on is free in DNS")

    async def _publish(self, stored: StoredRing, key: RingKey) -> Progress:
        if self._writer is None:
            return await self._see(stored, key)
        for name in record_names(key.selector, self._domain).values():
            await self._writer.write(name, key.record)
        return await self._write(stored, rings.published(stored.ring, key.selector, self._clock()), Step.PUBLISH, key)

    async def _see(self, stored: StoredRing, key: RingKey) -> Progress:
        step = Step.SEE if key.published_at else Step.PUBLISH
        if (why := await self._not_seen(key)) is not None:
            return Progress(step, key.selector, done=False, why=why, wait_seconds=self._look_seconds)
        # From now on nobody learns any more that it is not there; who learnt it before forgets it in this time, which
        # is added to the moment because the zone may change its mind later.
        negative = await self._world.negative_seconds(self._domain)
        later = max(0.0, negative + _ROUNDING_SECONDS - self._timing.settle_seconds) if negative else 0.0
        return await self._write(stored, rings.seen(stored.ring, key.selector, self._clock() + later), step, key)

    async def _activate(self, stored: StoredRing, key: RingKey) -> Progress:
        if (why := await self._not_seen(key)) is not None:
            if why.endswith(Sight.UNDECIDED):
                return Progress(Step.ACTIVATE, key.selector, done=False, why=why, wait_seconds=self._look_seconds)
            await self._store.write(stored, rings.unseen(stored.ring, key.selector))
            return Progress(Step.SETTLE, key.selector, done=False, why=why, wait_seconds=self._look_seconds)
        return await self._write(stored, rings.activate(stored.ring, key.selector, self._clock()), Step.ACTIVATE, key)

    async def _retire(self, stored: StoredRing, key: RingKey) -> Progress:
        if self._writer is not None:
            # Tools of PollyWeb count pw1, pw2, … until a name is missing or empty: there the record stays (§8).
            name = record_names(key.selector, self._domain)[Generation.NLWEB]
            try:
                await self._writer.write(name, revoked(key.record), instead_of=key.record)
            except RecordTakenError as error:
                log.warning("an old record is left as it is", extra={"why": str(error)})
        return await self._write(stored, rings.retired(stored.ring, key.selector, self._clock()), Step.RETIRE, key)

    async def _revoke(self, stored: StoredRing, key: RingKey) -> Progress:
        if self._writer is not None:
            for name in record_names(key.selector, self._domain).values():
                await self._writer.write(name, revoked(key.record), instead_of=key.record)
        else:
            seen = (await self._world.look(key.selector, self._domain, key.record)).values()
            if any(one.sight not in (Sight.REVOKED, Sight.ABSENT) for one in seen):
                return Progress(
                    Step.REVOKE,
                    key.selector,
                    done=False,
                    why=_told_of(seen, Sight.REVOKED),
                    wait_seconds=self._look_seconds,
                )
        return await self._write(stored, rings.retired(stored.ring, key.selector, self._clock()), Step.REVOKE, key)

    async def _write(self, stored: StoredRing, ring: Ring, step: Step, key: RingKey | str) -> Progress:
        await self._store.write(stored, ring)
        done = Progress(step, key if isinstance(key, str) else key.selector, done=True)
        log.info("rotation step done", extra=_told(done))
        return done

    # -- what is seen --------------------------------------------------------------------------------------------

    async def _not_seen(self, key: RingKey) -> str | None:
        seen = (await self._world.look(key.selector, self._domain, key.record)).values()
        return None if all(one.sight is Sight.SEEN for one in seen) else _told_of(seen)

    async def _watch_active(self) -> None:
        active = (await self._store.read()).ring.active
        if active is None:
            return
        for generation, seen in (await self._world.look(active.selector, self._domain, active.record)).items():
            VISIBLE.labels(generation.value).set(seen.sight is Sight.SEEN)
            if seen.sight not in (Sight.SEEN, Sight.UNDECIDED):
                log.error("the active key's record is not as it must be", extra={"record": seen.name, "is": seen.sight})

    def _show(self, ring: Ring, what: Next) -> None:
        for step in Step:
            STEP.labels(step.value).set(step is what.step)
        OVERDUE.set(stuck_seconds(ring, self._clock(), self._timing))


def _told_of(seen: Iterable[Seen], wanted: Sight = Sight.SEEN) -> str:
    wrong = next(one for one in seen if one.sight is not wanted)
    return f"{wrong.name} is {wrong.sight}"


def _told(progress: Progress) -> dict[str, object]:
    return {"step": progress.step.value, "selector": progress.selector, "why": progress.why}
