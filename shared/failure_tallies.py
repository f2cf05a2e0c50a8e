"""Tallies of failed checks in their table: counted when a check fails, looked at within the write that begins one."""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

import orjson
from prometheus_client import Counter

from shared.errors import UnavailableError
from shared.failures import Bounds, Kind, Tally, after_failure, forget_at, kind_of
from shared.stores import Check, ConditionFailedError, Item, Put, Tables, Update
from shared.tables import FAILURES

log = logging.getLogger(__name__)

BLOCKED: Final = Counter("facescan_blocks_total", "Blocks after too many failed checks, by what was blocked.", ["kind"])
for _kind in Kind:
    BLOCKED.labels(_kind.value)
_TRIES: Final = 8
_KEEP_SECONDS: Final = 10.0
_MOST_KNOWN: Final = 1000


def not_blocked(whoms: Sequence[str], now: int) -> list[Check]:
    """Return the conditions under which a check may begin at ``now`` (epoch seconds): nobody of these is blocked."""
    return [Check(FAILURES.name, {FAILURES.partition_key: whom}, "blocked_until", now) for whom in whoms]


class KnownBlocks:
    """Blocks of those whom many checks at once are for, such as a requester: read now and then, and remembered.

    A condition on one item in many transactions at once would make them conflict (DynamoDB, TransactWriteItems).
    """

    def __init__(self, tables: Tables, clock: Callable[[], float] = time.monotonic) -> None:
        self._tables = tables
        self._clock = clock
        self._known: OrderedDict[str, tuple[float, int]] = OrderedDict()

    async def blocked(self, whom: str, now: int) -> bool:
        """Whether ``whom`` is blocked at ``now`` (epoch seconds), as it was seconds ago. Raises UnavailableError."""
        known = self._known.get(whom)
        if known is None or known[0] < self._clock():
            item = await self._tables.get(FAILURES.name, {FAILURES.partition_key: whom})
            known = self._known[whom] = self._clock() + _KEEP_SECONDS, int(item["blocked_until"]) if item else 0
            self._known.move_to_end(whom)
            while len(self._known) > _MOST_KNOWN:
                self._known.popitem(last=False)
        return now < known[1]


class FailureTallies:
    """Counts failures."""

    def __init__(self, tables: Tables, bounds: Bounds) -> None:
        self._tables = tables
        self._bounds = bounds

    async def count(self, whoms: Sequence[str], check: str, at: int) -> None:
        """Count a check that failed at ``at`` (epoch seconds), once for each of ``whoms``. Raises UnavailableError."""
        await asyncio.gather(*(self._count(whom, check, at) for whom in whoms))

    async def _count(self, whom: str, check: str, at: int) -> None:
        kind = kind_of(whom)
        most = self._bounds.failures.get(kind, 0)
        if not most:
            return
        key: Item = {FAILURES.partition_key: whom}
        for _ in range(_TRIES):
            item = await self._tables.get(FAILURES.name, key)
            before = _tally(item) if item else Tally()
            after = after_failure(before, at, check, most, self._bounds)
            if after == before:
                return
            try:
                await self._write(key, after, int(item["version"]) if item else 0)
            except ConditionFailedError:
                continue  # another failure of theirs was counted meanwhile
            if after.blocked_until > before.blocked_until:
                BLOCKED.labels(kind.value).inc()
                log.info("blocked", extra={"kind": kind.value, "blocks": after.blocks})
            return
        raise UnavailableError("a tally of failures keeps moving")

    async def _write(self, key: Item, tally: Tally, version: int) -> None:
        values: Item = {
            "failures": orjson.dumps(tally.failures).decode(),
            "blocks": tally.blocks,
            "blocked_until": tally.blocked_until,
            "version": version + 1,
            "forget_at": forget_at(tally, self._bounds),
        }
        if version:
            await self._tables.update(Update(FAILURES.name, key, values, {"version": [version]}))
        else:
            await self._tables.put(Put(FAILURES.name, {**key, **values}, unless_exists=FAILURES.partition_key))


def _tally(item: Item) -> Tally:
    failures = tuple((int(at), str(check)) for at, check in orjson.loads(str(item["failures"])))
    return Tally(failures, int(item["blocks"]), int(item["blocked_until"]))
