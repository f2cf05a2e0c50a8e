"""The scan page's address: a token that only this service can make, and that says which verification it opens.

The token is made from the verification's id by HMAC, so a repeated event makes the same address and nothing secret is
stored. 160 bits of it cannot be guessed.
"""

import base64
import binascii
import hashlib
import hmac
from typing import Final
from uuid import UUID

_MAC_BYTES: Final = 20
_ID_BYTES: Final = 16


class Tokens:
    """Makes and reads tokens with one secret."""

    def __init__(self, secret: str) -> None:
        self._secret = secret.encode()

    def make(self, verification_id: str) -> str:
        """Return the token of a verification, URL-safe."""
        identifier = UUID(verification_id).bytes
        return base64.urlsafe_b64encode(identifier + self._mac(identifier)).decode()

    def read(self, token: str) -> str | None:
        """Return the verification's id, or None when the token was not made here."""
        try:
            data = base64.b64decode(token.encode(), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            return None
        # Written in one way only: base64 would also take + and / for - and _.
        if len(data) != _ID_BYTES + _MAC_BYTES or base64.urlsafe_b64encode(data).decode() != token:
            return None
        identifier, mac = data[:_ID_BYTES], data[_ID_BYTES:]
        return str(UUID(bytes=identifier)) if hmac.compare_digest(mac, self._mac(identifier)) else None

    def _mac(self, identifier: bytes) -> bytes:
        return hmac.new(self._secret, b"scan page\n" + identifier, hashlib.sha256).digest()[:_MAC_BYTES]
