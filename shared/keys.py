"""Keys: the public half as a DKIM record in DNS (RFC 6376 §3.6.1, RFC 8463), the private half as PEM.

RSA signs with PKCS#1 v1.5 and SHA-256, Ed25519 signs the plain bytes (protocol §1).
"""

import base64
import hashlib
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa

PublicKey = ed25519.Ed25519PublicKey | rsa.RSAPublicKey
PrivateKey = ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey

# RFC 8301 §3.2: verifiers must take 1024 to 4096 bits; below 2048 is too weak for a legal identity.
_RSA_BITS: Final = range(2048, 4097)
_ED25519_BYTES: Final = 32
_TAG: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*\Z")
_WHITE: Final = re.compile(r"[ \t\r\n]+")
_SHA256: Final = hashes.SHA256()
_PKCS1: Final = padding.PKCS1v15()


class KeyProblem(StrEnum):
    """Why a key record is no use; the words are metric labels too."""

    MALFORMED = "key_malformed"
    REVOKED = "key_revoked"
    WEAK = "key_weak"
    UNSUPPORTED = "key_unsupported"


class KeyRecordError(ValueError):
    """Raised when a key record cannot be used: malformed, revoked, too weak, or of an unknown kind."""

    def __init__(self, problem: KeyProblem, detail: str) -> None:
        super().__init__(detail)
        self.problem = problem


def parse_key_record(record: str) -> PublicKey:
    """Return the public key in the text of a DKIM TXT record (its strings joined without spaces).

    Raises KeyRecordError. Tags come in any order with white space around them, unknown ones are ignored (RFC 6376
    §3.2), an absent ``k`` means rsa, an empty ``p`` means revoked.
    """
    tags = _tags(record)
    if "v" in tags and (tags["v"] != "DKIM1" or next(iter(tags)) != "v"):
        raise KeyRecordError(KeyProblem.MALFORMED, "tag v must come first and be DKIM1")
    if "h" in tags and "sha256" not in {name.strip() for name in tags["h"].split(":")}:
        raise KeyRecordError(KeyProblem.UNSUPPORTED, "tag h does not allow sha256")
    if "p" not in tags:
        raise KeyRecordError(KeyProblem.MALFORMED, "tag p is missing")
    encoded = _WHITE.sub("", tags["p"])
    if not encoded:
        raise KeyRecordError(KeyProblem.REVOKED, "tag p is empty: the key is revoked")
    try:
        material = base64.b64decode(encoded, validate=True)
    except ValueError as error:  # binascii.Error is one, what is not ASCII another
        raise KeyRecordError(KeyProblem.MALFORMED, "tag p is no base64") from error
    match tags.get("k", "rsa"):
        case "rsa":
            return _rsa_key(material)
        case "ed25519":
            if len(material) != _ED25519_BYTES:
                raise KeyRecordError(KeyProblem.MALFORMED, "an ed25519 key has 32 bytes")
            return ed25519.Ed25519PublicKey.from_public_bytes(material)
        case _:
            raise KeyRecordError(KeyProblem.UNSUPPORTED, "tag k is neither rsa nor ed25519")


def _tags(record: str) -> dict[str, str]:
    tags: dict[str, str] = {}
    for part in record.split(";"):
        if not part.strip():
            continue
        name, equals, value = part.partition("=")
        name = name.strip()
        if not equals or not _TAG.match(name):
            raise KeyRecordError(KeyProblem.MALFORMED, "the record is no list of tag=value")
        if name in tags:
            raise KeyRecordError(KeyProblem.MALFORMED, f"tag {name} stands twice")
        tags[name] = value.strip()
    return tags


def _rsa_key(material: bytes) -> rsa.RSAPublicKey:
    try:
        key = serialization.load_der_public_key(material)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyRecordError(KeyProblem.MALFORMED, "tag p holds no public key") from error
    if not isinstance(key, rsa.RSAPublicKey):
        raise KeyRecordError(KeyProblem.MALFORMED, "tag p holds no RSA key")
    if key.key_size not in _RSA_BITS:
        raise KeyRecordError(KeyProblem.WEAK, f"an RSA key of {key.key_size} bits is outside 2048 to 4096")
    return key


def key_record(key: PublicKey) -> str:
    """Return the contents of the TXT record that publishes ``key``."""
    if isinstance(key, ed25519.Ed25519PublicKey):
        raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        return f"v=DKIM1;k=ed25519;p={base64.b64encode(raw).decode()}"
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return f"v=DKIM1;k=rsa;p={base64.b64encode(der).decode()}"


def verify_signature(key: PublicKey, signature: bytes, signed: bytes) -> bool:
    """Whether ``signature`` over the bytes ``signed`` was made by the private half of ``key``."""
    try:
        if isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(signature, signed)
        else:
            key.verify(signature, signed, _PKCS1, _SHA256)
    except InvalidSignature:
        return False
    return True


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key with the selector under which its public half stands in DNS; never printed."""

    selector: str
    private: PrivateKey

    def __repr__(self) -> str:
        return f"SigningKey(selector={self.selector!r})"

    def sign(self, message: bytes) -> bytes:
        """Return the raw signature over ``message``."""
        if isinstance(self.private, ed25519.Ed25519PrivateKey):
            return self.private.sign(message)
        return self.private.sign(message, _PKCS1, _SHA256)

    @property
    def slow(self) -> bool:
        """Whether one signature takes long enough (RSA: 0.3 to 2 ms) that an event loop should not wait for it."""
        return isinstance(self.private, rsa.RSAPrivateKey)

    @property
    def record(self) -> str:
        """The TXT record of the public half."""
        return key_record(self.private.public_key())

    @classmethod
    def from_pem(cls, selector: str, pem: str) -> "SigningKey":
        """Load an unencrypted PKCS#8 key. Raises KeyRecordError without repeating any of it."""
        try:
            private = serialization.load_pem_private_key(pem.encode(), password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise KeyRecordError(KeyProblem.MALFORMED, "not a private key in PEM") from error
        if isinstance(private, ed25519.Ed25519PrivateKey):
            return cls(selector, private)
        if isinstance(private, rsa.RSAPrivateKey):
            if private.key_size not in _RSA_BITS:
                raise KeyRecordError(KeyProblem.WEAK, "an RSA key must have 2048 to 4096 bits")
            return cls(selector, private)
        raise KeyRecordError(KeyProblem.UNSUPPORTED, "the private key is neither RSA nor Ed25519")

    @classmethod
    def generate(cls, selector: str) -> "SigningKey":
        """Make a fresh Ed25519 key."""
        return cls(selector, ed25519.Ed25519PrivateKey.generate())

    def to_pem(self) -> str:
        """Return the private key as unencrypted PKCS#8, for a secrets manager and nowhere else."""
        return self.private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()


def sha256_hex(data: bytes) -> str:
    """Return SHA-256 in lower-case hex."""
    return hashlib.sha256(data).hexdigest()
