"""Stands before librdkafka's mock cluster and lets a Fetch wait as Kafka does: until there is something.

The mock cluster answers a Fetch that finds nothing only when its whole wait is over. Here such a Fetch is asked again
when a record was written to one of its topics through this relay, or when its wait is over. All else passes as it is,
but for the cluster's address, which becomes the relay's own, and for the versions that it offers.
"""

from __future__ import annotations

import asyncio
import struct
from collections import defaultdict, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from emulators.kafka_messages import (
    API_VERSIONS,
    FETCH,
    FIND_COORDINATOR,
    METADATA,
    PRODUCE,
    Fetch,
    Header,
    MessageError,
    correlation_of,
    fetch,
    fetched_nothing,
    produced,
    readable_versions,
    request_header,
)

if TYPE_CHECKING:
    from collections.abc import Callable

HOST = "127.0.0.1"
_LENGTH = struct.Struct(">i")
_LARGEST_BYTES = 100 * 1024 * 1024
# A producer that wants no answer: its record is in the log by then.
_UNANSWERED_SECONDS = 0.005


class Relay:
    """Relays connections to the mock cluster at `host:port`; `address` is what clients use, once it has started."""

    def __init__(self, cluster: str) -> None:
        host, _, port = cluster.rpartition(":")
        self._cluster = (host, int(port))
        self._written: defaultdict[str, int] = defaultdict(int)
        self._waiting: defaultdict[str, set[_Held]] = defaultdict(set)
        self._addresses = (b"", b"")
        self.address = ""

    async def start(self) -> None:
        """Listen on a port of the system's choice. Raises OSError."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _Client(self), HOST, 0)
        port = server.sockets[0].getsockname()[1]
        self.address = f"{HOST}:{port}"
        own, cluster = (HOST.encode() + _LENGTH.pack(number) for number in (port, self._cluster[1]))
        self._addresses = (cluster, own)

    async def connect(self, client: _Client) -> asyncio.Transport:
        """Open a client's connection to the cluster. Raises OSError."""
        transport, _ = await asyncio.get_running_loop().create_connection(lambda: _Cluster(client), *self._cluster)
        return transport

    def with_own_address(self, response: bytes) -> bytes:
        """Return a response in which the cluster's host and port are the relay's."""
        return response.replace(*self._addresses)

    # -- who waits for what --------------------------------------------------------------------------------------

    def written(self, topics: frozenset[str]) -> int:
        """Return a number that grows with each write to one of the topics."""
        return sum(self._written[topic] for topic in topics)

    def wrote(self, topics: frozenset[str]) -> None:
        """Let those who wait for the topics ask again."""
        waiting: set[_Held] = set()
        for topic in topics:
            self._written[topic] += 1
            waiting |= self._waiting.get(topic, set())
        for held in waiting:
            held.wake()

    def wait(self, held: _Held) -> None:
        """Note that a Fetch waits for its topics."""
        for topic in held.fetch.topics:
            self._waiting[topic].add(held)

    def forget(self, held: _Held) -> None:
        """Note that it does not wait any more."""
        for topic in held.fetch.topics:
            self._waiting[topic].discard(held)


@dataclass(slots=True, eq=False)
class _Held:
    """A Fetch that has not been answered to its client."""

    fetch: Fetch
    version: int
    deadline: float
    ask: Callable[[], None]
    seen: int = 0
    timer: asyncio.TimerHandle | None = None

    def wake(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
            self.ask()


class _Frames(asyncio.Protocol):
    """Cuts what arrives into messages."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer
        buffer += data
        at = 0
        try:
            while len(buffer) - at >= _LENGTH.size:
                (size,) = _LENGTH.unpack_from(buffer, at)
                if not 0 <= size <= _LARGEST_BYTES:
                    self.close()
                    break
                if len(buffer) - at - _LENGTH.size < size:
                    break
                self.on_message(bytes(buffer[at + _LENGTH.size : at + _LENGTH.size + size]))
                at += _LENGTH.size + size
        except MessageError:
            self.close()
        del buffer[:at]

    def on_message(self, message: bytes) -> None:
        raise NotImplementedError

    def send(self, message: bytes) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(_LENGTH.pack(len(message)) + message)

    def close(self) -> None:
        if self.transport is not None:
            self.transport.close()


class _Cluster(_Frames):
    """A client's connection to the cluster."""

    def __init__(self, client: _Client) -> None:
        super().__init__()
        self._client = client

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._client.on_cluster(self)

    def on_message(self, message: bytes) -> None:
        self._client.on_response(message)

    def connection_lost(self, _: Exception | None) -> None:
        self._client.close()


class _Client(_Frames):
    """A client's connection. While one of its Fetches waits, what it asks behind that waits too, as with Kafka."""

    def __init__(self, relay: Relay) -> None:
        super().__init__()
        self._relay = relay
        self._cluster: _Cluster | None = None
        self._requests: deque[bytes] = deque()
        self._done: dict[int, Callable[[bytes], None]] = {}
        self._held: _Held | None = None
        self._connecting: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._connecting = asyncio.get_running_loop().create_task(self._connect())

    async def _connect(self) -> None:
        try:
            await self._relay.connect(self)
        except OSError:
            self.close()

    def connection_lost(self, _: Exception | None) -> None:
        self._requests.clear()
        if self._held is not None:
            if self._held.timer is not None:
                self._held.timer.cancel()
            self._relay.forget(self._held)
            self._held = None
        if self._connecting is not None:
            self._connecting.cancel()
        if self._cluster is not None:
            self._cluster.close()

    def on_cluster(self, cluster: _Cluster) -> None:
        self._cluster = cluster
        self._forward()

    def on_message(self, message: bytes) -> None:
        self._requests.append(message)
        self._forward()

    def _forward(self) -> None:
        try:
            self._forward_all()
        except MessageError:
            self.close()

    def on_response(self, message: bytes) -> None:
        self._done.pop(correlation_of(message), self.send)(message)

    def _forward_all(self) -> None:
        while self._requests and self._cluster is not None and self._held is None:
            message = self._requests.popleft()
            header = request_header(message)
            if header.key == FETCH and header.is_read:
                self._fetch(fetch(message, header), header)
                continue
            if header.key == PRODUCE and header.is_read:
                self._produce(message, header)
            elif header.key in (METADATA, FIND_COORDINATOR):
                self._done[header.correlation] = self._send_with_own_address
            elif header.key == API_VERSIONS and header.is_read:
                self._done[header.correlation] = self._send_versions
            self._cluster.send(message)

    def _send_with_own_address(self, response: bytes) -> None:
        self.send(self._relay.with_own_address(response))

    def _send_versions(self, response: bytes) -> None:
        self.send(readable_versions(response))

    def _produce(self, message: bytes, header: Header) -> None:
        is_answered, topics = produced(message, header)
        if not is_answered:
            asyncio.get_running_loop().call_later(_UNANSWERED_SECONDS, self._relay.wrote, topics)
            return

        def answered(response: bytes) -> None:
            self.send(response)
            self._relay.wrote(topics)

        self._done[header.correlation] = answered

    # -- a fetch that waits --------------------------------------------------------------------------------------

    def _fetch(self, asked: Fetch, header: Header) -> None:
        loop = asyncio.get_running_loop()

        def ask() -> None:
            held.seen = self._relay.written(asked.topics)
            self._done[header.correlation] = lambda response: self._fetched(held, response)
            if self._cluster is not None:
                self._cluster.send(asked.message)

        self._held = held = _Held(asked, header.version, loop.time() + asked.wait_seconds, ask)
        self._relay.wait(held)
        ask()

    def _fetched(self, held: _Held, response: bytes) -> None:
        loop = asyncio.get_running_loop()
        if loop.time() >= held.deadline or not fetched_nothing(response, held.version):
            self._end(held, response)
        elif self._relay.written(held.fetch.topics) != held.seen:
            held.ask()
        else:
            held.timer = loop.call_at(held.deadline, self._end, held, response)

    def _end(self, held: _Held, response: bytes) -> None:
        held.timer = None
        self._relay.forget(held)
        self._held = None
        self.send(response)
        self._forward()
