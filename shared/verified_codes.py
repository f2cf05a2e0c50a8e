"""Verified codes of a person (passport number, national id): what a legal photo is tagged with, sealed."""

import base64

from shared.person_keys import PersonKeys
from shared.queries import Queries
from shared.sealing import Kind, SealBrokenError
from shared.stores import Item, Put, Tables
from shared.tables import CODES


class VerifiedCodes:
    """Codes in their table, one item for each tag."""

    def __init__(self, tables: Tables, queries: Queries, keys: PersonKeys) -> None:
        self._tables = tables
        self._queries = queries
        self._keys = keys

    async def save(self, person: str, tag: str, code: str) -> None:
        """Keep a code under a tag such as ``passport``, in the place of an earlier one. Raises UnavailableError."""
        key = await self._keys.create(person)
        sealed = base64.b64encode(key.seal(Kind.VERIFIED_CODE, tag, code.encode())).decode()
        item: Item = {"person": person, "tag": tag, "sealed": sealed}
        await self._tables.put(Put(CODES.name, item))

    async def read(self, person: str) -> dict[str, str]:
        """Return the codes by tag; a code that does not open is left out. Raises NoDataKeyError, UnavailableError."""
        items = [item async for item in self._queries.of_partition(CODES, person)]
        if not items:
            return {}
        key = await self._keys.get(person)
        found = {}
        for item in items:
            try:
                opened = key.open(Kind.VERIFIED_CODE, str(item["tag"]), base64.b64decode(str(item["sealed"])))
            except SealBrokenError:
                continue
            found[str(item["tag"])] = opened.decode()
        return found
