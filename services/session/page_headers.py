"""Headers of every answer of the scan page."""

from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

PRIVATE: Final = {
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cross-origin-resource-policy": "same-origin",
    "content-security-policy": "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "permissions-policy": "camera=(self), microphone=(), geolocation=(), display-capture=(), payment=(), usb=()",
}


def program_headers(streaming_urls: Sequence[str]) -> dict[str, str]:
    """Return the headers of a document that runs the page's program; ``streaming_urls`` is where its video may go.

    ``wasm-unsafe-eval`` lets WebAssembly compile, which the face detector needs, and nothing else.
    """
    streams = "".join(f" wss://{urlsplit(url).netloc}" for url in streaming_urls)
    policy = (
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' data:; "
        f"connect-src 'self'{streams}; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    return {**PRIVATE, "content-security-policy": policy}
