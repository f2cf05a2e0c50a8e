"""Receivers in a process of their own: one HTTPS inbox for each domain of a world folder. For ``bench.post``.

    python -m bench.post_receivers WORLD COUNT

Each message says in its Body when it was due (``Due``, microseconds of the machine's monotonic clock), so that a
latency counts from then. Says ``listening on HOST:PORT``: there it takes lines of commands and answers each with a line
of JSON. ``figures`` tells what came since the last time; ``hang NUMBER SECONDS`` lets so many domains answer so late,
and those do not count.
"""

import asyncio
import gc
import json
import re
import signal
import ssl
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any, Final

import uvloop

from emulators.certificates import issue_certificate, make_authority

_TAKEN: Final = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
_DUE: Final = re.compile(rb'"Due":(\d+)')
_CORRELATION: Final = re.compile(rb'"Correlation":"([0-9a-f-]{36})"')


def domain(number: int) -> str:
    """Return the name of the receiver of that number."""
    return f"r{number}.example"


class Inboxes:
    """All receivers and what came to them."""

    def __init__(self) -> None:
        self.hanging: frozenset[int] = frozenset()
        self.hang_seconds = 0.0
        self.came: list[tuple[int, int]] = []
        self.correlations: set[bytes] = set()
        self.connections = 0

    def take(self, number: int, message: bytes) -> float:
        """Note a message to a receiver; return the seconds until it is answered."""
        due = _DUE.search(message)
        correlation = _CORRELATION.search(message)
        if due is not None and correlation is not None and number not in self.hanging:
            self.came.append((number, time.monotonic_ns() // 1000 - int(due[1])))
            self.correlations.add(correlation[1])
        return self.hang_seconds if number in self.hanging else 0.0

    def command(self, line: str) -> dict[str, Any]:
        """Do as a line says."""
        match line.split():
            case ["figures"]:
                came, self.came = self.came, []
                return {"came": came, "distinct": len(self.correlations), "connections": self.connections}
            case ["count"]:
                return {"came": len(self.came), "distinct": len(self.correlations)}
            case ["hang", numbers, seconds]:
                self.hanging = frozenset(range(int(numbers)))
                self.hang_seconds = float(seconds)
        return {}


class _Inbox(asyncio.Protocol):
    """One connection to a receiver; a parser of HTTP that believes its sender."""

    def __init__(self, inboxes: Inboxes, number: int) -> None:
        self._inboxes = inboxes
        self._number = number
        self._received = b""
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._inboxes.connections += 1
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._inboxes.connections -= 1

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if found and len(body) >= int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0]):
            self._received = b""
            later = self._inboxes.take(self._number, body)
            if later:
                asyncio.get_running_loop().call_later(later, self._transport.write, _TAKEN)
            else:
                self._transport.write(_TAKEN)


async def serve(world: Path, count: int) -> None:
    """Answer until told to end."""
    make_authority(world)
    files = world / "receivers.pem", world / "receivers-key.pem"
    for file, contents in zip(files, issue_certificate(world, ["127.0.0.1"]), strict=True):
        file.write_bytes(contents)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files)
    loop, inboxes = asyncio.get_running_loop(), Inboxes()
    for number in range(count):
        server = await loop.create_server(partial(_Inbox, inboxes, number), "127.0.0.1", 0, ssl=context)
        port = server.sockets[0].getsockname()[1]
        (world / f"{domain(number)}.json").write_text(json.dumps({"inbox": f"https://127.0.0.1:{port}/inbox"}))

    async def obey(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(json.dumps(inboxes.command(line.decode())).encode() + b"\n")
        writer.close()

    commands = await asyncio.start_server(obey, "127.0.0.1", 0)
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    gc.collect()
    gc.freeze()
    print(f"listening on 127.0.0.1:{commands.sockets[0].getsockname()[1]}", flush=True)
    await stop.wait()


if __name__ == "__main__":
    uvloop.run(serve(Path(sys.argv[1]), int(sys.argv[2])))
