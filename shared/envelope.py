"""The domain message of both generations: parse, canonical bytes, hash, sign, verify (protocol §1, §2).

What differs between the generations is one table (``_FORMS``); everything else is the same code.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import cached_property
from typing import Any, Final

import orjson

from shared.canonical import NotCanonicalError, canonical_bytes
from shared.domain_names import domain_name
from shared.generation import Generation
from shared.keys import PublicKey, SigningKey, sha256_hex, verify_signature
from shared.strict_json import DEFAULT_BOUNDS, JsonBounds, JsonError, JsonProblem, parse_json

ANONYMOUS: Final = "Anonymous"


@dataclass(frozen=True, slots=True)
class _Form:
    """Where one generation differs from the other."""

    schema: str
    selector_member: str
    host_label: str
    key_branch: str


_FORMS: Final = {
    Generation.NLWEB: _Form("nlweb.org/MSG:1.0", "DKIM", "nlweb", ""),
    Generation.POLLYWEB: _Form("pollyweb.org/MSG:1.0", "Selector", "pw", "pw."),
}
_GENERATIONS: Final = {form.schema: generation for generation, form in _FORMS.items()}

_SUBJECT: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}@[A-Za-z][A-Za-z0-9_-]{0,63}\Z")
_SELECTOR: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?\Z")
_TIMESTAMP: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z\Z")
_HASH: Final = re.compile(r"[0-9a-f]{64}\Z")
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\Z")


class EnvelopeProblem(StrEnum):
    """Why bytes are no message; the words are reason codes and metric labels too."""

    NOT_JSON = "not_json"
    TOO_COMPLEX = "too_complex"
    DUPLICATE_NAME = "duplicate_name"
    VERSION = "unsupported_version"
    SCHEMA = "not_a_message"


_JSON_PROBLEM: Final = {
    JsonProblem.MALFORMED: EnvelopeProblem.NOT_JSON,
    JsonProblem.TOO_COMPLEX: EnvelopeProblem.TOO_COMPLEX,
    JsonProblem.DUPLICATE_NAME: EnvelopeProblem.DUPLICATE_NAME,
}


class EnvelopeError(ValueError):
    """Raised when bytes are not a domain message; ``where`` names the member, the text says what was wrong with it."""

    def __init__(self, problem: EnvelopeProblem, where: str, detail: str) -> None:
        super().__init__(f"{where}: {detail}" if where else detail)
        self.problem = problem
        self.where = where


@dataclass(frozen=True)
class Envelope:
    """A parsed message; ``signed`` is the part of it that ``hash`` and ``signature`` are over."""

    generation: Generation
    sender: str
    receiver: str
    correlation: str
    timestamp: datetime
    subject: str
    selector: str | None
    body: Mapping[str, Any]
    hash: str | None
    signature: bytes | None
    signed: Mapping[str, Any]

    @cached_property
    def canonical(self) -> bytes:
        """The canonical form of ``signed`` (RFC 8785). Raises NotCanonicalError, not for what ``parse`` has read.

        Made when it is asked for: who only routes a message, or refuses it by its header, needs none.
        """
        return canonical_bytes(self.signed)

    @property
    def sender_is_domain(self) -> bool:
        """Whether the sender is a domain (else it is Anonymous or a wallet's UUID, whose keys are not in DNS)."""
        return "." in self.sender  # a domain has two labels at least

    @property
    def identity(self) -> str:
        """What makes this message the same as another: SHA-256 of sender and correlation (architecture, rule 7)."""
        return sha256_hex(f"{self.sender.lower()}\n{self.correlation}".encode())

    def hash_matches(self) -> bool:
        """Whether ``Hash`` is the SHA-256 of the canonical bytes."""
        return self.hash == sha256_hex(self.canonical)

    def signed_by(self, key: PublicKey) -> bool:
        """Whether ``Signature`` over the canonical bytes was made by ``key``'s private half."""
        return self.signature is not None and verify_signature(key, self.signature, self.canonical)


def key_name(generation: Generation, selector: str, sender: str) -> str:
    """Return the DNS name of a sender's key: ``<selector>._domainkey.<sender>``, PollyWeb under ``pw.<sender>``."""
    return f"{selector}._domainkey.{_FORMS[generation].key_branch}{sender}"


def inbox_host(generation: Generation, receiver: str) -> str:
    """Return the host that takes a receiver's messages: ``nlweb.<receiver>`` or ``pw.<receiver>``."""
    return f"{_FORMS[generation].host_label}.{receiver}"


def parse(data: bytes | str, bounds: JsonBounds = DEFAULT_BOUNDS) -> Envelope:
    """Parse one message of either generation. Raises EnvelopeError, naming the member and what was wrong with it.

    ``bounds`` say how deep and how full it may be; each name stands once in its object, at every depth (RFC 8785
    §3.1), for two readers of a repeated name could each take another value of it.
    """
    try:
        message = parse_json(data, bounds)
    except JsonError as error:
        raise EnvelopeError(_JSON_PROBLEM[error.problem], "", str(error)) from error
    if not isinstance(message, dict):
        raise EnvelopeError(EnvelopeProblem.SCHEMA, "", "the message is no JSON object")
    header = _member(message, "Header", dict)
    body = _member(message, "Body", dict)
    generation = _generation(message, header)
    sender = _sender(_member(header, "From", str, "Header."))
    selector = _selector(generation, header)
    signature_text, digest = message.get("Signature"), message.get("Hash")
    if digest is not None and not (isinstance(digest, str) and _HASH.match(digest)):
        raise EnvelopeError(EnvelopeProblem.SCHEMA, "Hash", "not 64 lower-case hexadecimal digits")
    return Envelope(
        generation=generation,
        sender=sender,
        receiver=_domain(_member(header, "To", str, "Header."), "Header.To"),
        correlation=_correlation(_member(header, "Correlation", str, "Header.")),
        timestamp=_timestamp(_member(header, "Timestamp", str, "Header.")),
        subject=_subject(_member(header, "Subject", str, "Header.")),
        selector=selector,
        body=body,
        hash=digest,
        signature=_signature(signature_text),
        signed={"Body": body, "Header": header},
    )


def seal(
    *,
    generation: Generation,
    sender: str,
    receiver: str,
    subject: str,
    body: Mapping[str, Any],
    correlation: str,
    timestamp: datetime,
    key: SigningKey,
) -> bytes:
    """Return a signed message as JSON. ``timestamp`` is aware; it is written in UTC with milliseconds.

    Raises EnvelopeError when the body has no canonical form.
    """
    form = _FORMS[generation]
    written = timestamp.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{timestamp.microsecond // 1000:03d}Z"
    header: dict[str, Any] = {
        "From": sender,
        "To": receiver,
        "Correlation": correlation,
        "Timestamp": written,
        "Subject": subject,
        form.selector_member: key.selector,
    }
    message: dict[str, Any] = {"Header": header, "Body": dict(body)}
    if generation is Generation.NLWEB:
        message = {"🤝": form.schema, **message}
    else:
        header["Schema"] = form.schema
    try:
        canonical = canonical_bytes({"Body": message["Body"], "Header": header})
    except NotCanonicalError as error:
        raise EnvelopeError(EnvelopeProblem.SCHEMA, "Body", str(error)) from error
    message["Hash"] = sha256_hex(canonical)
    message["Signature"] = base64.b64encode(key.sign(canonical)).decode()
    try:
        return orjson.dumps(message)
    except orjson.JSONEncodeError as error:  # an integer beyond 64 bits, or nesting that orjson does not write
        raise EnvelopeError(EnvelopeProblem.SCHEMA, "Body", f"cannot be written: {error}") from error


def _member(parent: Mapping[str, Any], name: str, kind: type, prefix: str = "") -> Any:
    value = parent.get(name)
    if value is None:
        raise EnvelopeError(EnvelopeProblem.SCHEMA, prefix + name, "missing")
    if type(value) is not kind:
        expected = "an object" if kind is dict else "a string"
        raise EnvelopeError(EnvelopeProblem.SCHEMA, prefix + name, f"not {expected}")
    return value


def _generation(message: Mapping[str, Any], header: Mapping[str, Any]) -> Generation:
    where, schema = ("🤝", message["🤝"]) if "🤝" in message else ("Header.Schema", header.get("Schema"))
    if schema is None:
        raise EnvelopeError(EnvelopeProblem.VERSION, "", "neither 🤝 nor Header.Schema names a version")
    generation = _GENERATIONS.get(schema) if isinstance(schema, str) else None
    if generation is None or (generation is Generation.NLWEB) != (where == "🤝"):
        raise EnvelopeError(EnvelopeProblem.VERSION, where, "not a version that is understood here")
    return generation


def _sender(text: str) -> str:
    if text == ANONYMOUS:
        return text
    if _UUID.match(text):
        return text.lower()
    return _domain(text, "Header.From")


def _domain(text: str, where: str) -> str:
    try:
        return domain_name(text)
    except ValueError as error:
        raise EnvelopeError(EnvelopeProblem.SCHEMA, where, str(error)) from error


def _selector(generation: Generation, header: Mapping[str, Any]) -> str | None:
    member = _FORMS[generation].selector_member
    if header.get(member) is None:
        return None
    text: str = _member(header, member, str, "Header.")
    if not _SELECTOR.match(text):
        raise EnvelopeError(EnvelopeProblem.SCHEMA, f"Header.{member}", "not a DNS label")
    return text


def _correlation(text: str) -> str:
    if not _UUID.match(text):
        raise EnvelopeError(EnvelopeProblem.SCHEMA, "Header.Correlation", "not a UUID")
    return text.lower()


def _timestamp(text: str) -> datetime:
    if _TIMESTAMP.match(text):
        try:
            return datetime.fromisoformat(text)
        except ValueError:
            pass
    raise EnvelopeError(EnvelopeProblem.SCHEMA, "Header.Timestamp", "not a UTC time such as 2026-01-31T12:00:00.000Z")


def _subject(text: str) -> str:
    if not _SUBJECT.match(text):
        raise EnvelopeError(EnvelopeProblem.SCHEMA, "Header.Subject", "not of the form Method@Role")
    return text


def _signature(text: Any) -> bytes | None:
    if text is None:
        return None
    if isinstance(text, str):
        try:
            return binascii.a2b_base64(text, strict_mode=True)
        except (binascii.Error, ValueError):
            pass
    raise EnvelopeError(EnvelopeProblem.SCHEMA, "Signature", "no base64")
