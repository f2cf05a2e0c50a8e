"""Requests in an open loop over kept connections: they are due on a fixed clock, whether answers come or not.

A latency counts from the moment that a request was due, so a slow server cannot slow its own measurement down
(coordinated omission).
"""

import asyncio
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

_CONNECTIONS: Final = 64
_PAUSE_SECONDS: Final = 0.001


@dataclass(frozen=True, slots=True)
class Request:
    """One request as bytes; ``kind`` is the word under which its answers are counted."""

    data: bytes
    kind: str = "good"


@dataclass(slots=True)
class Heard:
    """What came back: latencies in seconds and statuses, by kind of request."""

    latencies: dict[str, list[float]] = field(default_factory=dict)
    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    lost: int = 0

    def note(self, kind: str, status: int, seconds: float) -> None:
        """Count one answer."""
        self.statuses[kind, status] += 1
        self.latencies.setdefault(kind, []).append(seconds)


class _Client(asyncio.Protocol):
    """One connection with one request under way."""

    def __init__(self, load: "OpenLoop") -> None:
        self._load = load
        self._received = b""
        self._asked: tuple[Request, float] | None = None
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def ask(self, request: Request, due: float) -> None:
        self._asked = (request, due)
        self.transport.write(request.data)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found:
            return
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        if len(body) < int(length):
            return
        self._received = b""
        if self._asked is not None:
            request, due = self._asked
            self._asked = None
            self._load.answered(self, request, int(head[9:12]), due)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._asked is not None:
            self._load.lost()


class OpenLoop:
    """Sends to one server."""

    def __init__(self, address: str) -> None:
        self._host, _, port = address.rpartition(":")
        self._port = int(port)
        self._free: deque[_Client] = deque()
        self._due: deque[tuple[Request, float]] = deque()
        self._heard = Heard()
        self._left = 0
        self._done = asyncio.Event()

    async def run(self, requests: Sequence[Request], rate: float, count: int) -> Heard:
        """Send ``count`` requests at ``rate`` a second, going around in ``requests``; return when all are answered."""
        loop = asyncio.get_running_loop()
        clients = [
            (await loop.create_connection(lambda: _Client(self), self._host, self._port))[1]
            for _ in range(_CONNECTIONS)
        ]
        self._free.extend(clients)
        self._left = count
        began, sent = loop.time() + 0.01, 0
        while sent < count:
            now = loop.time()
            while sent < count and (due := began + sent / rate) <= now:
                self._due.append((requests[sent % len(requests)], due))
                sent += 1
            self._send()
            await asyncio.sleep(_PAUSE_SECONDS)
        async with asyncio.timeout(60):
            await self._done.wait()
        for client in clients:
            client.transport.close()
        return self._heard

    def _send(self) -> None:
        while self._due and self._free:
            self._free.popleft().ask(*self._due.popleft())

    def answered(self, client: _Client, request: Request, status: int, due: float) -> None:
        """Count an answer; the connection is free again."""
        self._heard.note(request.kind, status, asyncio.get_running_loop().time() - due)
        self._free.append(client)
        self._count()

    def lost(self) -> None:
        """Count a request whose connection ended."""
        self._heard.lost += 1
        self._count()

    def _count(self) -> None:
        self._left -= 1
        if not self._left:
            self._done.set()
        self._send()
