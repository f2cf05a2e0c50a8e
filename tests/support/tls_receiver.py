"""A receiver's inbox behind TLS, which answers as a test wants, byte by byte, and keeps what it got."""

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from emulators.certificates import issue_certificate

# What answers the request of this number, from 1.
Behaviour = Callable[[asyncio.StreamWriter, int], Awaitable[None]]


@dataclass
class TlsReceiver:
    """``requests`` are the path and the body of each request that was read."""

    behaviour: Behaviour
    requests: list[tuple[str, bytes]] = field(default_factory=list)
    connections: int = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection that got through the handshake."""
        self.connections += 1
        try:
            while not writer.is_closing():
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                length = int(head.lower().split("content-length: ")[1].split("\r\n")[0])
                self.requests.append((head.split(" ")[1], await reader.readexactly(length)))
                await self.behaviour(writer, len(self.requests))
        except (OSError, asyncio.IncompleteReadError):
            pass  # the sender went away, as is its right
        finally:
            writer.transport.abort()


@contextlib.asynccontextmanager
async def listening(receiver: TlsReceiver, context: ssl.SSLContext) -> AsyncIterator[str]:
    """The https URL of its inbox."""
    serving: set[asyncio.Task[None]] = set()

    def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(receiver(reader, writer))
        serving.add(task)
        task.add_done_callback(serving.discard)

    listener = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield f"https://127.0.0.1:{listener.sockets[0].getsockname()[1]}/inbox"
    finally:
        listener.close()
        for task in list(serving):
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)


def server_context(authority: Path, name: str = "127.0.0.1") -> ssl.SSLContext:
    """A server's side with a fresh certificate for ``name``, by the authority in a folder."""
    files = authority / "server.pem", authority / "server-key.pem"
    for file, contents in zip(files, issue_certificate(authority, [name]), strict=True):
        file.write_bytes(contents)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files)
    return context


def answers(*statuses: int, headers: str = "", after_seconds: float = 0.0) -> Behaviour:
    """Answer with each status in turn, the last one for ever."""

    async def answer(writer: asyncio.StreamWriter, number: int) -> None:
        await asyncio.sleep(after_seconds)
        status = statuses[min(number, len(statuses)) - 1]
        writer.write(f"HTTP/1.1 {status} So\r\n{headers}content-length: 2\r\n\r\nok".encode())
        await writer.drain()

    return answer


async def never(_: asyncio.StreamWriter, number: int) -> None:
    """Read the request and say nothing."""
    await asyncio.sleep(3600 + number)


async def resets(writer: asyncio.StreamWriter, _: int) -> None:
    """Break the connection off with a reset instead of an answer."""
    # Closed with unsent data thrown away: the other side gets an RST.
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


class Endless:
    """Answers with ``head`` and then with ``piece`` for ever; ``written`` is how many bytes of pieces went out."""

    def __init__(self, head: bytes, piece: bytes, pause_seconds: float = 0.0) -> None:
        self._head = head
        self._piece = piece
        self._pause_seconds = pause_seconds
        self.written = 0

    async def __call__(self, writer: asyncio.StreamWriter, _: int) -> None:
        """See Behaviour. Raises ConnectionError when the other side has enough of it."""
        writer.write(self._head)
        while not writer.is_closing():
            writer.write(self._piece)
            await writer.drain()
            self.written += len(self._piece)
            await asyncio.sleep(self._pause_seconds)
