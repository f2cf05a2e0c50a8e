"""Serves a WSGI application from an event loop, one request at a time.

moto works in memory and lets only one request at a time into a service; handing requests to threads cost three times
what the requests themselves do. Nothing in the application may wait for anything.
"""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from wsgiref.types import WSGIApplication, WSGIEnvironment

_TOO_LARGE = b"the body is too large\n"


class InlineWsgi:
    """An ASGI application around a WSGI one; bodies above `most_body_bytes` are answered 413."""

    def __init__(self, application: WSGIApplication, most_body_bytes: int) -> None:
        self._application = application
        self._most_body_bytes = most_body_bytes

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        body = await self._body(receive)
        if body is None:
            await _answer(send, 413, [(b"content-type", b"text/plain")], _TOO_LARGE)
            return
        status, headers = 500, list[tuple[bytes, bytes]]()

        def start_response(
            line: str, given: list[tuple[str, str]], _error: object = None, /
        ) -> Callable[[bytes], object]:
            nonlocal status
            status = int(line.split(" ", 1)[0])
            headers[:] = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in given]
            return lambda _data: None

        chunks = self._application(_environ(scope, body), start_response)
        try:
            payload = b"".join(chunks)
        finally:
            close = getattr(chunks, "close", None)
            if close is not None:
                close()
        await _answer(send, status, headers, payload)

    async def _body(self, receive: Any) -> bytes | None:
        chunks: list[bytes] = []
        length = 0
        while True:
            event = await receive()
            chunk = event.get("body", b"")
            length += len(chunk)
            if length > self._most_body_bytes:
                return None
            chunks.append(chunk)
            if not event.get("more_body", False):
                return b"".join(chunks)


def _environ(scope: Any, body: bytes) -> WSGIEnvironment:
    """The request as PEP 3333 wants it."""
    host, port = scope["server"]
    query = scope["query_string"].decode("latin-1")
    raw_path = scope["raw_path"].decode("latin-1")
    environ: WSGIEnvironment = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": scope["path"].encode().decode("latin-1"),
        "QUERY_STRING": query,
        # werkzeug reads the path as it was sent from here; S3 keys need that.
        "REQUEST_URI": f"{raw_path}?{query}" if query else raw_path,
        "SERVER_NAME": host,
        "SERVER_PORT": str(port),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in scope["headers"]:
        key = name.decode("latin-1").upper().replace("-", "_")
        if key == "CONTENT_TYPE":
            environ[key] = value.decode("latin-1")
        elif key not in {"CONTENT_LENGTH", "TRANSFER_ENCODING"}:
            environ[f"HTTP_{key}"] = value.decode("latin-1")
    return environ


async def _answer(send: Any, status: int, headers: list[tuple[bytes, bytes]], payload: bytes) -> None:
    if not any(name == b"content-length" for name, _ in headers):
        headers = [*headers, (b"content-length", str(len(payload)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": payload})
