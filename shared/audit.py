"""The audit trail: lines that can only be added, each bound to the one before it by its hash.

A line says who asked, on what ground, and what was decided; never of whom, with what face or with what score. Lines
stand in a few chains, so that writers seldom meet; within a chain line n holds the SHA-256 of line n - 1. The write of
a line is conditional on its place being free, and goes together with a mark of its entry: however many replicas write,
and however often an entry is repeated, a chain has no fork, no gap and no line twice.
"""

import asyncio
import hashlib
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import orjson

from shared.errors import UnavailableError
from shared.events import utc_text
from shared.queries import Queries
from shared.stores import ConditionFailedError, Item, Put, Tables
from shared.tables import AUDIT, AUDIT_ENTRIES

CHAINS: Final = tuple(f"{number:02d}" for number in range(16))
BEGINNING: Final = "0" * 64
# Two writes for each line; DynamoDB takes a hundred at once.
_MOST_AT_ONCE: Final = 40
# A repeat comes from a topic (three days), or from a dead letter that is replayed (fourteen).
_REPEATS_SECONDS: Final = 30 * 24 * 3600
_MOST_COLLISIONS: Final = 50
_MOST_WAITS: Final = 2
_WAIT_SECONDS: Final = 0.05
_FAILED: Final = "ConditionalCheckFailed"


@dataclass(frozen=True, slots=True)
class Entry:
    """What is to be noted. ``entry`` is the same whenever the same thing is noted; ``facts`` name no person."""

    entry: str
    kind: str
    facts: Mapping[str, str | int]
    at: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass(frozen=True, slots=True)
class _Head:
    sequence: int = 0
    digest: str = BEGINNING


def line_of(entry: Entry, chain: str, sequence: int, previous: str) -> str:
    """Return the line: JSON with sorted names and without spaces, the same bytes for ever."""
    members = {
        "at": utc_text(entry.at),
        "chain": chain,
        "entry": entry.entry,
        "facts": dict(entry.facts),
        "kind": entry.kind,
        "previous": previous,
        "sequence": sequence,
    }
    return orjson.dumps(members, option=orjson.OPT_SORT_KEYS).decode()


def digest_of(line: str) -> str:
    """Return the SHA-256 of a line, hex: what the next line holds as ``previous``."""
    return hashlib.sha256(line.encode()).hexdigest()


class AuditTrail:
    """Adds lines to one chain. Entries that come while a write is under way go together with the next one."""

    def __init__(self, tables: Tables, queries: Queries, chain: str | None = None) -> None:
        self._tables = tables
        self._queries = queries
        self._chain = chain or secrets.choice(CHAINS)
        self._head: _Head | None = None
        self._waiting: list[tuple[Entry, asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None

    async def append(self, entry: Entry) -> None:
        """Note an entry, once however often; return when it is stored. Raises UnavailableError."""
        stored: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((entry, stored))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write(), name="audit")
        await stored

    async def has(self, entry: str) -> bool:
        """Whether an entry was noted within the last thirty days. Raises UnavailableError."""
        return await self._tables.get(AUDIT_ENTRIES.name, {AUDIT_ENTRIES.partition_key: entry}) is not None

    async def find(self, entry: str) -> str | None:
        """Return the line of an entry that was noted within the last thirty days. Raises UnavailableError."""
        mark = await self._tables.get(AUDIT_ENTRIES.name, {AUDIT_ENTRIES.partition_key: entry})
        if mark is None:
            return None
        item = await self._tables.get(AUDIT.name, {name: mark[name] for name in AUDIT.keys})
        return str(item["line"]) if item else None

    async def _write(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:_MOST_AT_ONCE], self._waiting[_MOST_AT_ONCE:]
            error: Exception | None = None
            try:
                await self._add({entry.entry: entry for entry, _ in batch})
            except Exception as raised:  # noqa: BLE001 - whoever waits must hear of it, and the next batch be written
                error = raised
            for _, stored in batch:
                if stored.done():
                    continue  # its writer was cancelled
                if error is None:
                    stored.set_result(None)
                else:
                    stored.set_exception(error)

    async def _add(self, entries: dict[str, Entry]) -> None:
        """Add those of the entries that have no line yet, as one transaction behind the chain's head."""
        left = list(entries.values())
        waits = _MOST_WAITS
        for _ in range(_MOST_COLLISIONS):
            if not left:
                return
            head = self._head or await self._read_head()
            writes, after = self._writes(left, head)
            try:
                await self._tables.transact(writes)
            except ConditionFailedError as error:
                # Every second reason is an entry's: one that failed was noted before, by us or by another.
                left = [one for one, reason in zip(left, error.reasons[1::2], strict=True) if reason != _FAILED]
                self._head = None
            except UnavailableError:
                self._head = None  # it may have been written nevertheless
                waits -= 1
                if waits < 0:
                    raise
                # Also what DynamoDB says when two write the same chain at the very same time.
                await asyncio.sleep(_WAIT_SECONDS)
            else:
                self._head = after
                return
        raise UnavailableError("the audit trail's chain is written by too many at once")

    def _writes(self, entries: Sequence[Entry], head: _Head) -> tuple[list[Put], _Head]:
        writes = []
        for entry in entries:
            line = line_of(entry, self._chain, head.sequence + 1, head.digest)
            head = _Head(head.sequence + 1, digest_of(line))
            item: Item = {"chain": self._chain, "sequence": head.sequence, "line": line, "digest": head.digest}
            place: Item = {"chain": self._chain, "sequence": head.sequence}
            mark: Item = {"entry": entry.entry, **place, "forget_at": int(time.time()) + _REPEATS_SECONDS}
            writes.append(Put(AUDIT.name, item, unless_exists=AUDIT.partition_key))
            writes.append(Put(AUDIT_ENTRIES.name, mark, unless_exists=AUDIT_ENTRIES.partition_key))
        return writes, head

    async def _read_head(self) -> _Head:
        newest = await self._queries.newest(AUDIT, self._chain)
        return _Head(int(newest["sequence"]), str(newest["digest"])) if newest else _Head()
