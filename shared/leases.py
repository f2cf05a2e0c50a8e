"""A lease: who of several replicas does a piece of work for a while. One item, moved by conditional writes."""

import secrets
import time
from collections.abc import Callable

from shared.stores import ConditionFailedError, Item, Put, Tables, Update
from shared.tables import LEASES


class Leases:
    """Takes leases; each object is one holder."""

    def __init__(self, tables: Tables, clock: Callable[[], float] = time.time) -> None:
        self._tables = tables
        self._clock = clock
        self._holder = secrets.token_hex(8)

    async def take(self, name: str, seconds: float) -> bool:
        """Hold the lease ``name`` from now on for so long, unless another holds it. Raises UnavailableError.

        Whoever holds it may take it again at any time. It is let go of by its time alone, so clocks that differ by less
        than the work's own pauses do no harm.
        """
        now = self._clock()
        item = await self._tables.get(LEASES.name, {LEASES.partition_key: name})
        values: Item = {"holder": self._holder, "until": int(now + seconds)}
        try:
            if item is None:
                await self._tables.put(Put(LEASES.name, {"lease": name, **values}, unless_exists="lease"))
                return True
            if item["holder"] != self._holder and int(item["until"]) > now:
                return False
            seen = {"holder": [item["holder"]], "until": [item["until"]]}
            await self._tables.update(Update(LEASES.name, {"lease": name}, values, when=seen))
        except ConditionFailedError:
            return False  # another was quicker
        return True
