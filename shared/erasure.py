"""Forgetting a person: everything in every store, and with the data key every copy that lies in a backup."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from shared.audit import Entry
from shared.errors import UnavailableError
from shared.events import derived_id
from shared.holdings import Holding, Holdings
from shared.object_versions import ObjectVersions
from shared.person_keys import PersonKeys
from shared.settings import StoreSettings
from shared.stores import Aws, Tables
from shared.tables import ATTEMPTS, LOCATORS, PERSON_KEYS, PERSONS, VERIFICATIONS

# An index may be a second behind, and a check that is being judged may still write: looks until one finds nothing.
_MOST_LOOKS: Final = 8
_BETWEEN_LOOKS_SECONDS: Final = 0.5

# What cannot be searched for one person, and why nothing of the person stays in it.
OTHER_STORES: Final[Mapping[str, str]] = {
    "kafka topics": "ids and locators, no picture, no code: gone with the topics' retention, three days; "
    "of dead letters fourteen",
    "provider": "forgets a session by itself three minutes after its creation, or is told to as soon as it is decided",
    "logs, traces": "hold verification ids, which lead nowhere any more",
    "metrics": "hold counts, with labels from fixed lists",
    "audit trail": "names no person",
    "backups": "what was sealed stays closed: the data key is gone, and its table has no backup",
}


def erasure_id(source: str, event_id: str) -> str:
    """Return the audit entry's id of the erasure that an event of this source and id asked for."""
    return derived_id("erasure", source, event_id)


@dataclass(frozen=True, slots=True)
class Erased:
    """How many things were removed from each store, by the store's name; ``looks`` until nothing was found."""

    removed: Mapping[str, int]
    looks: int

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self.removed.values())

    def entry(self, entry: str, ground: str) -> Entry:
        """Return what the audit trail is told: what was removed where, and on what ground, never of whom."""
        counts = {store.replace(" ", "_"): count for store, count in self.removed.items()}
        return Entry(entry, "person.erased", {"ground": ground, **counts})


class Erasure:
    """Erases persons."""

    def __init__(self, aws: Aws, tables: Tables, keys: PersonKeys, settings: StoreSettings) -> None:
        self._tables = tables
        self._keys = keys
        self._versions = ObjectVersions(aws)
        self._holdings = Holdings(aws, tables, settings)

    async def erase(self, person: str) -> Erased:
        """Remove everything that is held of a person. May be repeated. Raises UnavailableError; then repeat it."""
        removed: Counter[str] = Counter()
        for look in range(1, _MOST_LOOKS + 1):
            found = await self._holdings.find(person)
            if not found:
                return Erased(dict(removed) or found.counts, look)
            removed.update(found.counts)
            await self._remove(person, found)
            await asyncio.sleep(_BETWEEN_LOOKS_SECONDS)
        raise UnavailableError("something is written of the person again and again")

    async def _remove(self, person: str, found: Holding) -> None:
        # First of all: from here on no copy of a picture or code can be opened.
        await self._keys.erase(person)
        await self._versions.remove(found.objects)
        for table in sorted(found.items.keys() - {PERSON_KEYS.name}, key=_rank):
            await asyncio.gather(*(self._tables.delete(table, key) for key in found.items[table]))


def _rank(table: str) -> tuple[int, str]:
    """Locators first: nothing new begins. What leads to other things is last: a repeat must find those again."""
    leading = (ATTEMPTS.name, VERIFICATIONS.name, PERSONS.name)
    return (0 if table == LOCATORS.name else 2 + leading.index(table) if table in leading else 1), table
