"""Signed domain messages of both generations, made and checked independently of the product.

Rules: canonical form is {Body, Header} in RFC 8785; `Hash` is its SHA-256 in lower-case hex; `Signature` is RSA PKCS#1
v1.5 with SHA-256 or plain Ed25519 over the same bytes, in base64; the public key is a DKIM record (RFC 6376, RFC 8463).
"""

from __future__ import annotations

import base64
import binascii
import enum
import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import rfc8785
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa

if TYPE_CHECKING:
    from emulators.json_fields import JsonObject

PrivateKey: TypeAlias = ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey
PublicKey: TypeAlias = ed25519.Ed25519PublicKey | rsa.RSAPublicKey

SYNTAX_MARK = "🤝"
LEAST_RSA_BITS = 1024
"""RFC 8301: shorter keys must not be considered valid."""

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class Generation(enum.StrEnum):
    """The two syntaxes of a message met in the wild."""

    NLWEB = "nlweb"
    POLLYWEB = "pollyweb"

    @property
    def schema(self) -> str:
        """The version code: in `🤝` for NLWeb, in `Header.Schema` for PollyWeb."""
        return f"{self.value}.org/MSG:1.0"

    @property
    def selector_member(self) -> str:
        """The member of the header that names the sender's key."""
        return "DKIM" if self is Generation.NLWEB else "Selector"

    def key_name(self, domain: str, selector: str) -> str:
        """The DNS name of the TXT record with the sender's public key."""
        branch = domain if self is Generation.NLWEB else f"pw.{domain}"
        return f"{selector}._domainkey.{branch}"


class MalformedMessageError(ValueError):
    """Raised when a message does not match the schema of either generation (a receiver answers 422)."""


class UnprovenMessageError(ValueError):
    """Raised when hash, signature or key are wrong (a receiver answers 401)."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """A message that has the right members; nothing about its truth is known yet."""

    generation: Generation
    sender: str
    receiver: str
    correlation: str
    timestamp: str
    subject: str
    selector: str
    body: JsonObject
    hash: str
    signature: str


def canonical(header: JsonObject, body: JsonObject) -> bytes:
    """The bytes that are hashed and signed."""
    return rfc8785.dumps({"Body": body, "Header": header})


def sign(
    header_fields: dict[str, str], body: JsonObject, key: PrivateKey, selector: str, generation: Generation
) -> JsonObject:
    """A signed message; `header_fields` are From, To, Correlation, Timestamp and Subject."""
    header: dict[str, Any] = {**header_fields, generation.selector_member: selector}
    if generation is Generation.POLLYWEB:
        header["Schema"] = generation.schema
    message: JsonObject = {SYNTAX_MARK: generation.schema} if generation is Generation.NLWEB else {}
    return message | _signed(header, body, key)


def sign_as_anonymous(header_fields: dict[str, str], body: JsonObject, key: PrivateKey) -> JsonObject:
    """A message of the newer generation from Anonymous, signed with a key that no selector names: a chat's."""
    return _signed({**header_fields, "Schema": Generation.POLLYWEB.schema}, body, key)


def _signed(header: JsonObject, body: JsonObject, key: PrivateKey) -> JsonObject:
    try:
        content = canonical(header, body)
    except rfc8785.CanonicalizationError as error:
        raise MalformedMessageError(f"no canonical form: {error}") from None
    if isinstance(key, ed25519.Ed25519PrivateKey):
        signature = key.sign(content)
    else:
        signature = key.sign(content, padding.PKCS1v15(), hashes.SHA256())
    return {
        "Header": header,
        "Body": body,
        "Hash": hashlib.sha256(content).hexdigest(),
        "Signature": base64.b64encode(signature).decode(),
    }


def read_envelope(message: JsonObject) -> Envelope:
    """Check the members of a signed message; raises MalformedMessageError."""
    header = message.get("Header")
    body = message.get("Body")
    if not isinstance(header, dict) or not isinstance(body, dict):
        raise MalformedMessageError("Header and Body must be objects")
    marks = [message.get(SYNTAX_MARK), header.get("Schema")]
    if marks == [Generation.NLWEB.schema, None]:
        generation = Generation.NLWEB
    elif marks == [None, Generation.POLLYWEB.schema]:
        generation = Generation.POLLYWEB
    else:
        raise MalformedMessageError(f"unsupported version: {SYNTAX_MARK} {marks[0]!r}, Schema {marks[1]!r}")
    allowed = {"Header", "Body", "Hash", "Signature"} | ({SYNTAX_MARK} if generation is Generation.NLWEB else set())
    if unknown := set(message) - allowed:
        raise MalformedMessageError(f"unexpected members: {', '.join(sorted(unknown))}")
    correlation = _text(header, "Correlation")
    if not _UUID.fullmatch(correlation):
        raise MalformedMessageError("Correlation is not a UUID")
    subject = _text(header, "Subject")
    if subject.count("@") != 1:
        raise MalformedMessageError("Subject is not <Method>@<Role>")
    return Envelope(
        generation=generation,
        sender=_text(header, "From").lower(),
        receiver=_text(header, "To").lower(),
        correlation=correlation.lower(),
        timestamp=_text(header, "Timestamp"),
        subject=subject,
        selector=_text(header, generation.selector_member),
        body=body,
        hash=_text(message, "Hash"),
        signature=_text(message, "Signature"),
    )


def verify(message: JsonObject, txt: str) -> None:
    """Check Hash and Signature with the key in `txt`; raises MalformedMessageError or UnprovenMessageError."""
    envelope = read_envelope(message)
    try:
        content = canonical(message["Header"], message["Body"])
    except rfc8785.CanonicalizationError as error:
        raise MalformedMessageError(f"no canonical form: {error}") from None
    if hashlib.sha256(content).hexdigest() != envelope.hash:
        raise UnprovenMessageError("Hash does not fit the message")
    key = read_public_key(txt)
    try:
        signature = base64.b64decode(envelope.signature, validate=True)
        if isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(signature, content)
        else:
            key.verify(signature, content, padding.PKCS1v15(), hashes.SHA256())
    except (binascii.Error, ValueError):
        raise UnprovenMessageError("Signature is not base64") from None
    except InvalidSignature:
        raise UnprovenMessageError("Signature does not fit the message") from None


def public_key_txt(key: PrivateKey) -> str:
    """Contents of the TXT record that publishes the public half of `key`."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        raw = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        return f"v=DKIM1;k=ed25519;p={base64.b64encode(raw).decode()}"
    spki = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return f"v=DKIM1;k=rsa;p={base64.b64encode(spki).decode()}"


def read_public_key(txt: str) -> PublicKey:
    """The key of a DKIM record (tag list of RFC 6376 §3.2; `k` defaults to rsa); raises UnprovenMessageError."""
    tags = {name.strip(): value.strip() for name, _, value in (tag.partition("=") for tag in txt.split(";"))}
    if tags.get("v", "DKIM1") != "DKIM1":
        raise UnprovenMessageError("the key record is not v=DKIM1")
    encoded = "".join(tags.get("p", "").split())
    if not encoded:
        raise UnprovenMessageError("the key is revoked (p= is empty)")
    kind = tags.get("k", "rsa")
    try:
        raw = base64.b64decode(encoded, validate=True)
        if kind == "ed25519":
            return ed25519.Ed25519PublicKey.from_public_bytes(raw)
        if kind == "rsa":
            key = serialization.load_der_public_key(raw)
            if isinstance(key, rsa.RSAPublicKey) and key.key_size >= LEAST_RSA_BITS:
                return key
    except (binascii.Error, ValueError):
        raise UnprovenMessageError("the key record holds no readable key") from None
    raise UnprovenMessageError(f"the key record holds no usable {kind} key")


def _text(fields: JsonObject, name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not value:
        raise MalformedMessageError(f"{name} is missing or not a string")
    return value
