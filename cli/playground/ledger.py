"""What has happened, as numbered facts: remembered within bounds, and told to every page that is open."""

import asyncio
import itertools
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import uuid4

MOST_VERIFICATIONS: Final = 50
"""Bounds memory while somebody sends load over the same topics; the oldest verification is forgotten as a whole."""

MOST_FACTS: Final = 200
"""Of one verification."""

MOST_WAITING: Final = 5000
"""Facts that a page has not read yet; one that lags further behind is sent away and comes again."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that happened. ``verification_id`` is empty for what belongs to none, ``at`` epoch seconds."""

    number: int
    kind: str
    at: float
    verification_id: str
    content: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The form in which the page reads it."""
        return {"number": self.number, "kind": self.kind, "at": self.at, "id": self.verification_id, **self.content}


class Ledger:
    """Facts by verification. ``boot`` tells one ledger from the one before it. For one event loop."""

    def __init__(self) -> None:
        self.boot = uuid4().hex[:12]
        self._numbers = itertools.count(1)
        self._facts: OrderedDict[str, deque[Fact]] = OrderedDict()
        self._readers: set[asyncio.Queue[Fact | None]] = set()

    @property
    def watched(self) -> bool:
        """Whether any page is open."""
        return bool(self._readers)

    def add(self, kind: str, verification_id: str = "", *, at: float | None = None, **content: Any) -> Fact:
        """Note a fact and tell it to whoever reads."""
        moment = time.time() if at is None else at
        fact = Fact(next(self._numbers), kind, moment, verification_id, content)
        self._facts.setdefault(verification_id, deque(maxlen=MOST_FACTS)).append(fact)
        while len(self._facts) > MOST_VERIFICATIONS:
            del self._facts[next(iter(self._facts))]
        for reader in list(self._readers):
            if reader.qsize() >= MOST_WAITING:
                self._readers.discard(reader)
                reader.put_nowait(None)
            else:
                reader.put_nowait(fact)
        return fact

    def since(self, number: int) -> list[Fact]:
        """Return what is remembered of all that came after fact ``number``, in order."""
        kept = (fact for facts in self._facts.values() for fact in facts if fact.number > number)
        return sorted(kept, key=lambda fact: fact.number)

    async def follow(self, number: int) -> AsyncIterator[Fact]:
        """Give what came after fact ``number``, then what comes; ends when the reader is too slow."""
        reader: asyncio.Queue[Fact | None] = asyncio.Queue()
        self._readers.add(reader)
        try:
            # Nothing can come between the look and the queue: there is no await.
            for fact in self.since(number):
                yield fact
                number = fact.number
            while (told := await reader.get()) is not None:
                if told.number > number:
                    yield told
        finally:
            self._readers.discard(reader)
