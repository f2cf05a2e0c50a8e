"""The scan page's address and what it is exchanged for: a token in a URL, then a key in a cookie.

Both hold the verification's id and an HMAC that only this service can make, so nothing secret is stored. The token is
made from the id alone, so that a repeated event makes the same address; 160 bits of it cannot be guessed. A browser key
has 144 random bits of its own besides. The first browser that shows its key is the only one that the page is shown to
from then on (its fingerprint is written into the verification's record), and the token has done its work.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import Final
from uuid import UUID

_MAC_BYTES: Final = 20
_ID_BYTES: Final = 16
_NONCE_BYTES: Final = (
    18  # with the rest a multiple of three: base64 without padding, which a cookie would have to quote
)


@dataclass(frozen=True, slots=True)
class BrowserKey:
    """One browser's key to one verification's page."""

    verification_id: str
    nonce: bytes
    # Where this request came from: a keyed hash, no part of the key.
    address: str = ""

    @property
    def fingerprint(self) -> str:
        """What is stored of it: hex, from which the key cannot be had."""
        return hashlib.sha256(self.nonce).hexdigest()


class Tokens:
    """Makes and reads tokens and browser keys with one secret."""

    def __init__(self, secret: str) -> None:
        self._secret = secret.encode()

    def make(self, verification_id: str) -> str:
        """Return the token of a verification, URL-safe."""
        identifier = UUID(verification_id).bytes
        return _text(identifier + self._mac(b"scan page", identifier))

    def read(self, token: str) -> str | None:
        """Return the verification's id, or None when the token was not made here."""
        identifier = self._open(b"scan page", token, _ID_BYTES)
        return str(UUID(bytes=identifier)) if identifier is not None else None

    def new_key(self, verification_id: str) -> BrowserKey:
        """Return a key that no other browser has."""
        return BrowserKey(verification_id, secrets.token_bytes(_NONCE_BYTES))

    def write_key(self, key: BrowserKey) -> str:
        """Return a key as the value of a cookie."""
        content = UUID(key.verification_id).bytes + key.nonce
        return _text(content + self._mac(b"scan browser", content))

    def read_key(self, value: str) -> BrowserKey | None:
        """Return the key that a cookie holds, or None when it was not made here."""
        content = self._open(b"scan browser", value, _ID_BYTES + _NONCE_BYTES)
        if content is None:
            return None
        return BrowserKey(str(UUID(bytes=content[:_ID_BYTES])), content[_ID_BYTES:])

    def form_token(self, key: BrowserKey) -> str:
        """Return what a form or a call must carry to come from the page itself; another site cannot read it."""
        return _text(self._mac(b"scan form", UUID(key.verification_id).bytes + key.nonce))

    def is_form_token(self, key: BrowserKey, given: str) -> bool:
        """Whether this is the form token of that browser."""
        return hmac.compare_digest(self.form_token(key).encode(), given.encode("utf-8", "replace"))

    def _open(self, use: bytes, text: str, length: int) -> bytes | None:
        try:
            data = base64.b64decode(text.encode(), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            return None
        # Written in one way only: base64 would also take + and / for - and _.
        if len(data) != length + _MAC_BYTES or _text(data) != text:
            return None
        content, mac = data[:length], data[length:]
        return content if hmac.compare_digest(mac, self._mac(use, content)) else None

    def _mac(self, use: bytes, content: bytes) -> bytes:
        return hmac.new(self._secret, use + b"\n" + content, hashlib.sha256).digest()[:_MAC_BYTES]


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode()
