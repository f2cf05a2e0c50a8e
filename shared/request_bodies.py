"""Small bodies of HTTP requests, as an ASGI application reads them: bounded in length and in time."""

import asyncio
import contextlib
from typing import Any, Final

from shared.errors import FacescanError

_SECONDS: Final = 10.0
_MOST_THROWN_BYTES: Final = 16 * 1024
_THROW_SECONDS: Final = 1.0


class TooLargeError(FacescanError):
    """Raised when a body is longer than it may be."""

    def __init__(self, most_bytes: int) -> None:
        super().__init__(f"a body has at most {most_bytes} bytes")


class SlowError(FacescanError):
    """Raised when a body breaks off or does not come in time."""


def headers_of(scope: Any) -> dict[bytes, list[bytes]]:
    """Return an ASGI request's headers, their names in lower case."""
    headers: dict[bytes, list[bytes]] = {}
    for name, value in scope["headers"]:
        headers.setdefault(name.lower(), []).append(value)
    return headers


async def read_body(receive: Any, length: bytes, *, most_bytes: int, most_read_bytes: int) -> bytes:
    """Return the body of a request whose Content-Length is ``length``. Raises TooLargeError and SlowError.

    A longer one is read and thrown away up to ``most_read_bytes``, so that its sender sees the answer and no broken
    connection.
    """
    if length.isdigit() and int(length) > most_read_bytes:
        raise TooLargeError(most_bytes)
    parts, size, more = [], 0, True
    try:
        async with asyncio.timeout(_SECONDS):
            while more:
                event = await receive()
                if event["type"] == "http.disconnect":
                    raise SlowError("the request broke off")
                size += len(event.get("body", b""))
                if size <= most_bytes:
                    parts.append(event.get("body", b""))
                more = event.get("more_body", False) and size <= most_read_bytes
    except TimeoutError as error:
        raise SlowError("the request did not come in time") from error
    if size > most_bytes:
        raise TooLargeError(most_bytes)
    return b"".join(parts)


async def throw_away(receive: Any, length: bytes) -> None:
    """Read a short body that nobody wants: closed with it unread, the connection is reset before its answer is seen."""
    if not length.isdigit() or int(length) > _MOST_THROWN_BYTES:
        return
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_THROW_SECONDS):
            while (event := await receive())["type"] == "http.request" and event.get("more_body", False):
                pass
