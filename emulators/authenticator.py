"""A person's authenticator: one-time passwords from the secret of an ``otpauth://`` address (RFC 6238, SHA-1, 30 s)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import struct
import time


def password(secret: str, at: float | None = None) -> str:
    """The six digits that an authenticator shows at a moment (epoch seconds; now); `secret` is base32."""
    key = base64.b32decode(secret.upper() + "=" * (-len(secret) % 8))
    counter = struct.pack(">Q", int((time.time() if at is None else at) / 30))
    mac = hmac.new(key, counter, hashlib.sha1).digest()
    (number,) = struct.unpack_from(">I", mac, mac[19] % 16)
    return str(number % 2**31 % 1_000_000).rjust(6, "0")
