"""A receiver's inbox behind real TLS, on loopback; ``behaviour`` says what it does with each message."""

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import orjson

from emulators.certificates import issue_certificate, make_authority

Behaviour = Callable[[dict[str, Any], asyncio.StreamWriter], Awaitable[None]]


def http(status: int, body: bytes = b"", *headers: str) -> bytes:
    """Return an answer as it goes over the wire."""
    lines = [f"HTTP/1.1 {status} Said", f"content-length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class TlsInbox:
    """Answers each message with ``answer``, or as ``behaviour`` does; ``messages`` are those that came."""

    def __init__(self, answer: bytes = b"") -> None:
        self.answer = answer or http(200)
        self.behaviour: Behaviour | None = None
        self.messages: list[dict[str, Any]] = []
        self.heads: list[bytes] = []
        self.connections = 0
        self.port = 0
        self._open: set[asyncio.StreamWriter] = set()

    @contextlib.asynccontextmanager
    async def running(self, world: Path, domain: str, authority: Path | None = None) -> AsyncIterator[None]:
        """Listen as ``domain`` of the world folder, with a certificate of its authority or of another folder's."""
        make_authority(world)
        make_authority(authority or world)
        certificate, key = issue_certificate(authority or world, ["127.0.0.1"])
        files = world / f"{domain}-cert.pem", world / f"{domain}-key.pem"
        for file, content in zip(files, (certificate, key), strict=True):
            file.write_bytes(content)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*files)
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=context)
        self.port = server.sockets[0].getsockname()[1]
        (world / f"{domain}.json").write_text(json.dumps({"inbox": f"https://127.0.0.1:{self.port}/inbox"}))
        try:
            yield
        finally:
            server.close()
            for writer in self._open:
                writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._open.add(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                message = orjson.loads(await reader.readexactly(length))
                self.heads.append(head)
                self.messages.append(message)
                if self.behaviour is not None:
                    await self.behaviour(message, writer)
                else:
                    writer.write(self.answer)
                await writer.drain()
        self._open.discard(writer)
        writer.close()
