"""The ways in which a private half could be written down."""

import base64

from cryptography.hazmat.primitives.asymmetric import ed25519

from shared.keys import SigningKey


def spellings(pem: str) -> list[bytes]:
    """Return them: the PEM's body, and of an Ed25519 key the seed in base64, hex and bytes."""
    found = ["".join(pem.splitlines()[1:-1]).encode()]
    key = SigningKey.from_pem("x", pem).private
    if isinstance(key, ed25519.Ed25519PrivateKey):
        raw = key.private_bytes_raw()
        found += [base64.b64encode(raw), base64.urlsafe_b64encode(raw), raw.hex().encode(), raw]
    return found
