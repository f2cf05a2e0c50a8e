"""Senders' keys in memory: within their time to live, within bounds, and never as the ground of a refusal when old.

A refusal because of a key rests on a look-up that began after the message came. Where no such look-up is allowed now,
nothing is said of the message and its sender tries again: so a forger in somebody's name can delay that name's new key
for a moment and never have it refused, and can cause no more look-ups than the budget has (ADR 15).
"""

import asyncio
import re
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from prometheus_client import Counter, Gauge

from services.inbox.look_up_budget import LookUpBudget, Spent
from shared.keys import KeyRecordError, PublicKey, usable_keys
from shared.resolver import Answer, KeyAnswer, Resolver

LOOK_UPS: Final = Counter(
    "facescan_key_look_ups_total", "Look-ups of senders' keys, by where and what came of them.", ["source", "answer"]
)
CACHE: Final = Counter(
    "facescan_key_cache_total", "Questions for a key: hit, miss, past (the cache), limited.", ["source", "outcome"]
)
NAMES: Final = Gauge("facescan_key_cache_names", "Names whose answer is remembered.", ["source"])

_NUMBERED: Final = re.compile(r"([^.]*?)([1-9][0-9]{0,8})(?=\.)")


@dataclass(frozen=True, slots=True)
class KnownKeys:
    """One answer: its usable keys, or why it has none; which look-up brought it, begun and kept until (monotonic).

    ``spent``: nobody was asked, because no look-up is allowed now.
    """

    answer: Answer
    keys: tuple[PublicKey, ...]
    trouble: KeyRecordError | None
    look_up: int
    asked_at: float
    until: float
    spent: Spent | None = None


@dataclass(frozen=True, slots=True)
class CacheBounds:
    """Bounds of what is kept, in seconds; ``again_seconds`` lie between look-ups of a name that has verified."""

    most_names: int = 10_000
    least_seconds: float = 5.0
    longest_seconds: float = 3600.0
    negative_seconds: float = 60.0
    again_seconds: float = 1.0


class KeyCache:
    """Keeps the keys of names; asks ``inner`` once at a time for each."""

    def __init__(
        self,
        inner: Resolver,
        *,
        source: str = "dns",
        bounds: CacheBounds | None = None,
        budget: LookUpBudget | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._inner = inner
        self._source = source
        self._bounds = bounds or CacheBounds()
        self._budget = budget or LookUpBudget(clock=clock)
        self._clock = clock
        self._look_ups = 0
        # Apart, so that names that strangers make up push out no name that has verified a message.
        self._proven: OrderedDict[str, KnownKeys] = OrderedDict()
        self._others: OrderedDict[str, KnownKeys] = OrderedDict()
        self._asking: dict[str, asyncio.Task[KnownKeys]] = {}
        self._hits = CACHE.labels(source, "hit")
        self._limits = CACHE.labels(source, "limited")

    @property
    def moment(self) -> int:
        """Now, as the number of the last look-up begun: an answer with a higher one is newer."""
        return self._look_ups

    def known(self, name: str) -> KnownKeys | None:
        """Return what is known of ``name`` without asking, or None."""
        known = self._known(name)
        if known is None or self._clock() >= known.until:
            return None
        self._hits.inc()
        return known

    async def find(self, name: str, owner: str) -> KnownKeys:
        """Return what is known of ``name``, asking when nothing is; undecided when that is not allowed now."""
        fresh = self.known(name)
        if fresh is not None:
            return fresh
        known = self._known(name)
        asking = self._asking.get(name)
        if asking is None:
            # A name that has verified before costs one look-up for its time to live, whatever strangers do.
            if name not in self._proven and (spent := self._take(name, owner, known)) is not None:
                return self._limited(spent)
            CACHE.labels(self._source, "miss").inc()
            asking = self._ask(name)
        return await asyncio.shield(asking)

    async def renew(self, name: str, owner: str, moment: int) -> KnownKeys:
        """Return what a look-up begun after ``moment`` says of ``name``; undecided when none is allowed now."""
        while True:
            known = self._known(name)
            if known is not None and known.look_up > moment:
                return known
            asking = self._asking.get(name)
            if asking is None:
                if (spent := self._take(name, owner, known)) is not None:
                    return self._limited(spent)
                CACHE.labels(self._source, "past").inc()
                asking = self._ask(name)
            known = await asyncio.shield(asking)
            if known.look_up > moment:
                return known

    def denied(self, name: str, owner: str, *, past: bool) -> KnownKeys | None:
        """Return what ``renew`` (``past``), or ``find`` of what is not known, has to say for want of budget, or None.

        So that a flood of messages whose keys may not be asked for costs no task each.
        """
        if name in self._asking or (not past and name in self._proven) or self._expected(name, self._known(name)):
            return None
        spent = self._budget.spent(owner)
        return None if spent is None else self._limited(spent)

    def prove(self, name: str) -> None:
        """Remember that a key under ``name`` has verified a message."""
        if name in self._proven:
            self._proven.move_to_end(name)
        elif (known := self._others.pop(name, None)) is not None:
            self._keep(self._proven, name, known)

    def _known(self, name: str) -> KnownKeys | None:
        return self._proven.get(name) or self._others.get(name)

    def _limited(self, spent: Spent) -> KnownKeys:
        self._limits.inc()
        return KnownKeys(Answer.UNDECIDED, (), None, self._look_ups + 1, self._clock(), 0.0, spent)

    def _take(self, name: str, owner: str, known: KnownKeys | None) -> Spent | None:
        return None if self._expected(name, known) else self._budget.take(owner)

    def _expected(self, name: str, known: KnownKeys | None) -> bool:
        """Whether this look-up costs its owner nothing: of a name that has verified before, or follows one that has."""
        expected = name in self._proven or _predecessor(name) in self._proven
        return expected and (known is None or self._clock() >= known.asked_at + self._bounds.again_seconds)

    def _ask(self, name: str) -> asyncio.Task[KnownKeys]:
        self._look_ups += 1
        task = self._asking[name] = asyncio.create_task(self._learn(name, self._look_ups))
        return task

    async def _learn(self, name: str, number: int) -> KnownKeys:
        asked_at = self._clock()
        try:
            answer = await self._inner.look_up(name)
        finally:
            del self._asking[name]
        LOOK_UPS.labels(self._source, answer.answer.value).inc()
        keys: tuple[PublicKey, ...] = ()
        trouble = None
        if answer.answer is Answer.SECURE:
            try:
                keys = usable_keys(answer.records)
            except KeyRecordError as error:
                trouble = error
        known = KnownKeys(answer.answer, keys, trouble, number, asked_at, self._clock() + self._seconds(answer))
        if answer.answer is not Answer.UNDECIDED:
            self._keep(self._proven if name in self._proven else self._others, name, known)
        return known

    def _seconds(self, answer: KeyAnswer) -> float:
        bounds = self._bounds
        longest = bounds.longest_seconds if answer.answer is Answer.SECURE else bounds.negative_seconds
        return min(max(answer.keep_seconds, bounds.least_seconds), longest)

    def _keep(self, names: OrderedDict[str, KnownKeys], name: str, known: KnownKeys) -> None:
        names[name] = known
        names.move_to_end(name)
        if len(names) > self._bounds.most_names:
            names.popitem(last=False)
        NAMES.labels(self._source).set(len(self._proven) + len(self._others))


def _predecessor(name: str) -> str:
    """Return the name whose selector is numbered one less, as rotation numbers them: of ``pw2.…`` ``pw1.…``; or ""."""
    numbered = _NUMBERED.match(name)
    if numbered is None:
        return ""
    return f"{numbered[1]}{int(numbered[2]) - 1}{name[numbered.end() :]}"
