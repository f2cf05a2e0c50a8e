"""The front door's listening socket: how many connections there may be, who is too slow, TLS, and an orderly end."""

import asyncio
import contextlib
from collections import Counter
from email.utils import formatdate
from typing import Final

from services.inbox.domain import Reason
from services.inbox.http_application import Application, ConnectionLimits
from services.inbox.http_connection import Connection
from services.inbox.shedding import Load
from services.inbox.tls import Tls
from shared.addresses import Addresses
from shared.http_server import bind

_TICK_SECONDS: Final = 0.25
_HANDSHAKE_SECONDS: Final = 10.0
_BACKLOG: Final = 1024


class DoorServer:
    """Listens on ``host:port`` and answers by ``application``; ``variable`` is the setting of the port."""

    def __init__(
        self,
        application: Application,
        host: str,
        port: int,
        *,
        variable: str,
        limits: ConnectionLimits,
        load: Load,
        addresses: Addresses,
        most_connections: int,
        most_connections_per_address: int,
        drain_seconds: float,
        tls: Tls | None = None,
    ) -> None:
        self.application = application
        self.limits = limits
        self.draining = False
        self.date = b""
        self.connections: set[Connection] = set()
        self._load = load
        self._addresses = addresses
        self._most = most_connections
        self._most_per_address = most_connections_per_address
        self._per_address: Counter[str] = Counter()
        self._drain_seconds = drain_seconds
        self._tls = tls
        self._empty = asyncio.Event()
        self._socket = bind(host, port, variable)
        self.address = f"{host}:{self._socket.getsockname()[1]}"
        self._server: asyncio.Server | None = None
        self._ticking: asyncio.Task[None] | None = None
        self.loop: asyncio.AbstractEventLoop

    async def start(self) -> None:
        """Begin to answer."""
        self.loop = asyncio.get_running_loop()
        self._set_date()
        self._ticking = asyncio.create_task(self._tick(), name=f"door {self.address}")
        self._server = await self.loop.create_server(
            lambda: Connection(self),
            sock=self._socket,
            backlog=_BACKLOG,
            ssl=self._tls.context if self._tls is not None else None,
            ssl_handshake_timeout=_HANDSHAKE_SECONDS if self._tls else None,
        )

    async def stop(self) -> None:
        """Take no new connection, answer what is under way within the drain time, close."""
        self.draining = True
        if self._server is not None:
            self._server.close()
        for connection in list(self.connections):
            connection.drain()
        if self.connections:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._empty.wait(), self._drain_seconds)
        for connection in list(self.connections):
            connection.abort()
        if self._ticking is not None:
            self._ticking.cancel()
        self._socket.close()

    # -- for the connections -------------------------------------------------------------------------------------

    def admit(self, connection: Connection, peer: str) -> Reason | None:
        """Count one more connection of ``peer`` and return None, or return why there may be no more."""
        self.connections.add(connection)
        key = self._addresses.client(peer, ()) if peer else ""
        self._per_address[key] += 1
        if len(self.connections) > self._most:
            return Reason.OVERLOADED
        if self._per_address[key] > self._most_per_address and not (peer and self._addresses.trusts(peer)):
            return Reason.CONNECTIONS
        return None

    def forget(self, connection: Connection) -> None:
        """Take a closed connection off the count."""
        self.connections.discard(connection)
        if self.draining and not self.connections:
            self._empty.set()
        key = self._addresses.client(connection.peer, ()) if connection.peer else ""
        self._per_address[key] -= 1
        if self._per_address[key] <= 0:
            del self._per_address[key]

    # -- every quarter of a second -------------------------------------------------------------------------------

    async def _tick(self) -> None:
        while True:
            due = self.loop.time() + _TICK_SECONDS
            await asyncio.sleep(_TICK_SECONDS)
            now = self.loop.time()
            self._load.lag_seconds = now - due
            self._set_date()
            for connection in list(self.connections):
                if connection.deadline < now:
                    connection.expire()
            if self._tls is not None:
                self._tls.look_again(now)

    def _set_date(self) -> None:
        self.date = f"date: {formatdate(usegmt=True)}\r\n".encode()
