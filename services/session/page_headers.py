"""Headers of every answer of the scan page."""

from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_POLICY: Final = b"content-security-policy"
_NOBODY: Final = "frame-ancestors 'none'"

PRIVATE: Final = {
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cross-origin-resource-policy": "same-origin",
    "content-security-policy": "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; " + _NOBODY,
    "permissions-policy": "camera=(self), microphone=(), geolocation=(), display-capture=(), payment=(), usb=()",
}


def program_headers(streaming_urls: Sequence[str]) -> dict[str, str]:
    """Return the headers of a document that runs the page's program; ``streaming_urls`` is where its video may go.

    ``wasm-unsafe-eval`` lets WebAssembly compile, which the face detector needs, and nothing else.
    """
    streams = "".join(f" wss://{urlsplit(url).netloc}" for url in streaming_urls)
    policy = (
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' data:; "
        f"connect-src 'self'{streams}; form-action 'self'; base-uri 'none'; {_NOBODY}"
    )
    return {**PRIVATE, "content-security-policy": policy}


def framed_by(origin: str, application: ASGIApp) -> ASGIApp:
    """Return the application whose documents pages of ``origin``, and no others, may frame; for development alone."""
    somebody = f"frame-ancestors {origin}".encode()

    async def framed(scope: Scope, receive: Receive, send: Send) -> None:
        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    (name, value.replace(_NOBODY.encode(), somebody) if name == _POLICY else value)
                    for name, value in message["headers"]
                ]
            await send(message)

        await application(scope, receive, answer)

    return framed
