"""An HTTP/1.1 server that runs a WSGI application in its event loop, one request at a time.

moto works in memory and lets only one request at a time into a service; handing requests to threads, or answering in
several writes, cost more than the requests themselves. Nothing in the application may wait for anything.
"""

from __future__ import annotations

import asyncio
import io
import sys
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

import httptools

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from wsgiref.types import WSGIApplication, WSGIEnvironment

_TOO_LARGE = b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_BAD = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


async def serve(application: WSGIApplication, bound: socket.socket, most_body_bytes: int) -> None:
    """Answer on a bound socket until the process ends; bodies above `most_body_bytes` are answered 413."""
    server = await asyncio.get_running_loop().create_server(
        lambda: _Connection(application, most_body_bytes), sock=bound, backlog=1024
    )
    await server.serve_forever()


class _Connection(asyncio.Protocol):
    """One client's connection; its methods named `on_…` are called by the parser."""

    def __init__(self, application: WSGIApplication, most_body_bytes: int) -> None:
        self._application = application
        self._most_body_bytes = most_body_bytes
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._begin()

    def _begin(self) -> None:
        self._url = b""
        self._headers: list[tuple[str, str]] = []
        self._body = io.BytesIO()
        self._length = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment] # a server's transport is one of these

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._end_with(_BAD)

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.decode("latin-1").upper().replace("-", "_"), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        if any(name == "EXPECT" for name, _ in self._headers):
            self._write(_CONTINUE)

    def on_body(self, data: bytes) -> None:
        self._length += len(data)
        if self._length <= self._most_body_bytes:
            self._body.write(data)

    def on_message_complete(self) -> None:
        if self._length > self._most_body_bytes:
            self._end_with(_TOO_LARGE)
            return
        answer = _run(self._application, self._environ())
        if not self._parser.should_keep_alive():
            self._end_with(answer)
        else:
            self._write(answer)
        self._begin()

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def _end_with(self, data: bytes) -> None:
        self._write(data)
        if self._transport is not None:
            self._transport.close()

    def _environ(self) -> WSGIEnvironment:
        """The request as PEP 3333 wants it."""
        path, _, query = self._url.partition(b"?")
        self._body.seek(0)
        address = self._transport.get_extra_info("sockname") if self._transport is not None else ("", 0)
        environ: WSGIEnvironment = {
            "REQUEST_METHOD": self._parser.get_method().decode(),
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
            "QUERY_STRING": query.decode("latin-1"),
            # werkzeug reads the path as it was sent from here; S3 keys need that.
            "REQUEST_URI": self._url.decode("latin-1"),
            "SERVER_NAME": str(address[0]),
            "SERVER_PORT": str(address[1]),
            "SERVER_PROTOCOL": "HTTP/1.1",
            "CONTENT_LENGTH": str(self._length),
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": self._body,
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": False,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        for name, value in self._headers:
            if name == "CONTENT_TYPE":
                environ[name] = value
            elif name not in {"CONTENT_LENGTH", "TRANSFER_ENCODING"}:
                environ[f"HTTP_{name}"] = value
        return environ


def _run(application: WSGIApplication, environ: WSGIEnvironment) -> bytes:
    """Run the application and return the whole answer, head and body in one piece."""
    status = f"500 {HTTPStatus.INTERNAL_SERVER_ERROR.phrase}"
    given: list[tuple[str, str]] = []

    def start_response(
        line: str, headers: list[tuple[str, str]], _error: object = None, /
    ) -> Callable[[bytes], object]:
        nonlocal status
        status = line
        given[:] = headers
        return lambda _data: None

    chunks = application(environ, start_response)
    try:
        body = b"".join(chunks)
    finally:
        close = getattr(chunks, "close", None)
        if close is not None:
            close()
    if not any(name.lower() == "content-length" for name, _ in given):
        given.append(("content-length", str(len(body))))
    head = "".join(f"{name}: {value}\r\n" for name, value in given)
    sent = b"" if environ["REQUEST_METHOD"] == "HEAD" else body
    return f"HTTP/1.1 {status}\r\n{head}\r\n".encode("latin-1") + sent
