"""What is kept of a person is kept sealed: AES-256-GCM under the person's own data key (NIST SP 800-38D).

The associated data bind whose it is, what it is and which version of it, so that a sealed picture put in another's
place does not open. A nonce is 96 random bits: one key seals some thousands of things in a lifetime, far from the 2**32
that SP 800-38D §8.3 allows.
"""

import secrets
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from shared.errors import FacescanError

# Says which form it has, for those who look at it in a bucket or must read two forms one day.
MARK: Final = b"facescan-sealed-1\n"
KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_LENGTH_BYTES: Final = 4


class Kind(StrEnum):
    """What is sealed; a part of the associated data."""

    LEGAL_PHOTO = "legal photo"
    EVIDENCE = "evidence"
    VERIFIED_CODE = "verified code"
    FACTOR = "factor"


class SealBrokenError(FacescanError):
    """Raised when something does not open: another's, another version, changed, or not sealed at all."""


@dataclass(frozen=True, slots=True)
class DataKey:
    """A person's data key, unwrapped; ``key_id`` is random and says nothing about the person."""

    person: str
    key_id: str
    secret: bytes = field(repr=False)

    def seal(self, kind: Kind, version: str, data: bytes) -> bytes:
        """Return ``data`` sealed: the mark, the nonce, the ciphertext and its tag (46 bytes more than the data)."""
        # Imported on first use: it is 7 MiB, which an idle service need not hold (ADR 7).
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415

        nonce = secrets.token_bytes(_NONCE_BYTES)
        return MARK + nonce + AESGCM(self.secret).encrypt(nonce, data, self._associated(kind, version))

    def open(self, kind: Kind, version: str, sealed: bytes) -> bytes:
        """Return what was sealed as this kind and version for this person. Raises SealBrokenError."""
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - as above
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - as above

        if not sealed.startswith(MARK):
            raise SealBrokenError(f"{kind.value}: it is not sealed")
        start = len(MARK) + _NONCE_BYTES
        nonce, ciphertext = sealed[len(MARK) : start], sealed[start:]
        try:
            return AESGCM(self.secret).decrypt(nonce, ciphertext, self._associated(kind, version))
        except (InvalidTag, ValueError) as error:  # ValueError: cut off within the nonce
            raise SealBrokenError(f"{kind.value}: it is another's, another version, or was changed") from error

    def _associated(self, kind: Kind, version: str) -> bytes:
        return associated_data(kind.value, self.person, version)


def associated_data(*parts: str) -> bytes:
    """Return texts as bytes that no other texts give: each with its length in four bytes before it."""
    texts = [part.encode() for part in parts]
    return b"".join(len(text).to_bytes(_LENGTH_BYTES, "big") + text for text in texts)
