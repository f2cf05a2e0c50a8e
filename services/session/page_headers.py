"""Headers of every answer of the scan page."""

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


def program_headers(streaming_url: str) -> dict[str, str]:
    """Return the headers of a document that runs the page's program; ``streaming_url`` is where its video goes.

    ``wasm-unsafe-eval`` lets WebAssembly compile, which the face detector needs, and nothing else.
    """
    parts = urlsplit(streaming_url)
    policy = (
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' data:; "
        f"connect-src 'self' wss://{parts.netloc}; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    return {**PRIVATE, "content-security-policy": policy}
