"""Connections to others' servers that are kept for the next request: bounded in number, and as few as will do."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Final

from shared.outbound_connection import Connection

_IDLE_SECONDS: Final = 30.0
# A connection ends after this, however busy: names move, and addresses are judged anew with each connection.
_OLDEST_SECONDS: Final = 300.0
# So long a request waits for a connection of its target that is in use: a new one's handshake costs five times what a
# request does, on both sides. A target that takes longer to answer has as many connections as requests.
_PATIENCE_SECONDS: Final = 0.25
# And so long when as many are open as are kept: a new one costs another's place then, whose next request needs a
# handshake too. Who was slow for want of CPU got slower by it: each eighth request of a backlog had one.
_PATIENCE_WHEN_FULL_SECONDS: Final = 1.0


@dataclass(slots=True)
class _InUse:
    """Of one target: how many requests are under way, and which wait for a connection and how long, the first first."""

    requests: int = 0
    waiting: "dict[asyncio.Future[Connection | None], asyncio.TimerHandle]" = field(default_factory=dict)


class ConnectionPool:
    """Connections by target. A request calls ``take``, ``keep`` when its connection is whole, and always ``leave``."""

    def __init__(self, most_idle: int) -> None:
        self._most_idle = most_idle
        self._idle: dict[Hashable, list[Connection]] = {}
        # Which targets have idle connections, those unused for longest first.
        self._order: OrderedDict[Hashable, None] = OrderedDict()
        self._idle_count = 0
        self._in_use: dict[Hashable, _InUse] = {}
        # Requests that have a connection or open one: those that do not wait.
        self._served = 0
        self._sweeping: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return self._idle_count

    @property
    def _full(self) -> bool:
        """Whether as many are open as are kept."""
        return self._idle_count + self._served >= self._most_idle

    async def take(self, target: Hashable) -> Connection | None:
        """Return a connection to use; None when one must be opened."""
        in_use = self._in_use.get(target)
        if in_use is None:
            in_use = self._in_use[target] = _InUse()
        in_use.requests += 1
        self._served += 1
        idle = self._idle.get(target)
        while idle:
            connection = idle.pop()
            self._idle_count -= 1
            if not idle:
                del self._idle[target]
                del self._order[target]
            if connection.reusable:
                return connection
            connection.close()
        return None if in_use.requests == 1 else await self._freed(target, in_use)

    async def _freed(self, target: Hashable, in_use: _InUse) -> Connection | None:
        loop = asyncio.get_running_loop()
        freed: asyncio.Future[Connection | None] = loop.create_future()
        in_use.waiting[freed] = loop.call_later(_PATIENCE_SECONDS, self._look_again, freed, in_use)
        self._served -= 1
        try:
            return await freed
        except asyncio.CancelledError:
            if not freed.cancelled() and (connection := freed.result()) is not None:
                self.keep(target, connection)
            raise
        finally:
            self._served += 1
            if (timer := in_use.waiting.pop(freed, None)) is not None:
                timer.cancel()

    def _look_again(self, freed: "asyncio.Future[Connection | None]", in_use: _InUse) -> None:
        """Let the request open a connection of its own, or wait on when that would cost another's place."""
        if freed.done() or not self._full:
            _give_up(freed)
            return
        more = _PATIENCE_WHEN_FULL_SECONDS - _PATIENCE_SECONDS
        in_use.waiting[freed] = asyncio.get_running_loop().call_later(more, _give_up, freed)

    def keep(self, target: Hashable, connection: Connection) -> None:
        """Let the next request have a connection; it is closed when it cannot be used again, or is too old."""
        now = time.monotonic()
        if not connection.reusable or now - connection.opened_at > _OLDEST_SECONDS:
            connection.close()
            return
        in_use = self._in_use.get(target)
        while in_use is not None and in_use.waiting:
            freed = next(iter(in_use.waiting))
            in_use.waiting.pop(freed).cancel()
            if not freed.done():
                freed.set_result(connection)
                return
        connection.idle_since = now
        self._idle.setdefault(target, []).append(connection)
        self._order[target] = None
        self._order.move_to_end(target)
        self._idle_count += 1
        if self._idle_count > self._most_idle:
            self._drop_one()
        if self._sweeping is None:
            self._sweeping = asyncio.get_running_loop().call_later(_IDLE_SECONDS / 2, self._sweep)

    def leave(self, target: Hashable) -> None:
        """Note the end of a request."""
        in_use = self._in_use[target]
        in_use.requests -= 1
        self._served -= 1
        if not in_use.requests:
            del self._in_use[target]
        elif in_use.requests == len(in_use.waiting):
            _give_up(next(iter(in_use.waiting)))  # the last one in use has failed: nothing would come free

    def _drop_one(self) -> None:
        oldest = next(iter(self._order))
        idle = self._idle[oldest]
        idle.pop(0).close()
        self._idle_count -= 1
        if not idle:
            del self._idle[oldest]
            del self._order[oldest]

    def _sweep(self) -> None:
        now = time.monotonic()
        for target, idle in list(self._idle.items()):
            fresh = [one for one in idle if one.alive and now - one.idle_since < _IDLE_SECONDS]
            for connection in idle:
                if connection not in fresh:
                    connection.close()
            self._idle_count -= len(idle) - len(fresh)
            if fresh:
                self._idle[target] = fresh
            else:
                del self._idle[target]
                del self._order[target]
        self._sweeping = (
            asyncio.get_running_loop().call_later(_IDLE_SECONDS / 2, self._sweep) if self._idle_count else None
        )

    def close(self) -> None:
        """Close what is idle."""
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None
        for connection in [one for idle in self._idle.values() for one in idle]:
            connection.abort()
        self._idle.clear()
        self._order.clear()
        self._idle_count = 0


def _give_up(freed: "asyncio.Future[Connection | None]") -> None:
    if not freed.done():
        freed.set_result(None)
