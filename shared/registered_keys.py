"""Keys of senders that are no domains: a wallet's, under its UUID, registered beforehand and never in DNS."""

from datetime import UTC, datetime

from shared.stores import Item, Put, Tables
from shared.tables import REGISTERED_KEYS


class RegisteredKeys:
    """The table of registered keys; a key stands there as the text of a DKIM record."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def find(self, owner: str) -> str | None:
        """Return the record registered for ``owner`` (a lower-case UUID), or None. Raises UnavailableError."""
        item = await self._tables.get(REGISTERED_KEYS.name, {REGISTERED_KEYS.partition_key: owner})
        return None if item is None else str(item["record"])

    async def register(self, owner: str, record: str, *, replace: bool = False) -> None:
        """Write the key of ``owner``. Raises ConditionFailedError when it has another and ``replace`` is not set."""
        item: Item = {"owner": owner, "record": record, "registered_at": int(datetime.now(UTC).timestamp())}
        if replace:
            await self._tables.put(Put(REGISTERED_KEYS.name, item))
        else:
            await self._tables.put(
                Put(REGISTERED_KEYS.name, item, unless_exists=REGISTERED_KEYS.partition_key, or_same="record")
            )
