"""What the front door decides about a message, and why (protocol §3). Pure."""

from collections.abc import Container
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Protocol

from shared.envelope import ANONYMOUS, Envelope, EnvelopeProblem
from shared.keys import KeyProblem


class SenderKind(StrEnum):
    """What kinds of senders there are (protocol §2): a domain's key is in DNS, a wallet's is registered beforehand."""

    DOMAIN = "domain"
    WALLET = "wallet"
    ANONYMOUS = "anonymous"


class Taken(Protocol):
    """What the inbox takes under one subject."""

    @property
    def senders(self) -> Container[SenderKind]:
        """Who may send it."""

    def check(self, envelope: Envelope) -> None:
        """Check what depends on the subject, the Body above all. Raises RefusedError naming the member."""


class Subjects(Protocol):
    """The subjects that the inbox takes."""

    def find(self, subject: str) -> Taken | None:
        """Return what is taken under ``subject``, or None."""


class Reason(StrEnum):
    """Why a message is refused; the word is the answer's reason code and the metric's label."""

    MALFORMED = "malformed_request"
    NOT_FOUND = "not_found"
    METHOD = "method_not_allowed"
    SLOW = "too_slow"
    TOO_LARGE = "too_large"
    ENCODING = "content_encoding"
    EXPECTATION = "expectation"
    HEAD = "head_too_large"
    CONNECTIONS = "too_many_connections"
    ADDRESS_RATE = "address_too_fast"
    UNVERIFIED_RATE = "unverified_too_fast"
    SENDER_RATE = "sender_too_fast"
    COMPLEX = "too_complex"
    NOT_JSON = "not_json"
    DUPLICATE_NAME = "duplicate_name"
    VERSION = "unsupported_version"
    SCHEMA = "not_a_message"
    RECEIVER = "wrong_receiver"
    WINDOW = "outside_window"
    SUBJECT = "unexpected_subject"
    BODY = "unexpected_body"
    UNSIGNED = "unsigned"
    KEY_ABSENT = "key_absent"
    KEY_MALFORMED = "key_malformed"
    KEY_REVOKED = "key_revoked"
    KEY_WEAK = "key_weak"
    KEY_UNSUPPORTED = "key_unsupported"
    INSECURE = "domain_without_dnssec"
    BOGUS = "dnssec_bogus"
    SIGNATURE = "signature_wrong"
    UNDECIDED = "key_undecided"
    LOOK_UPS = "key_look_ups_spent"
    BROKER = "not_stored"
    OVERLOADED = "overloaded"
    INTERNAL = "internal"
    HANDLER_REFUSED = "handler_refused"
    HANDLER = "handler_unavailable"
    IN_PROGRESS = "in_progress"
    REPLY = "reply_unavailable"


_TOO_LARGE: Final = 413
_UNAUTHENTIC: Final = 401
_UNPROCESSABLE: Final = 422
_TOO_MANY: Final = 429
_UNAVAILABLE: Final = 503

STATUS: Final = {
    Reason.MALFORMED: 400,
    Reason.NOT_FOUND: 404,
    Reason.METHOD: 405,
    Reason.SLOW: 408,
    Reason.TOO_LARGE: _TOO_LARGE,
    Reason.ENCODING: 415,
    Reason.EXPECTATION: 417,
    Reason.HEAD: 431,
    Reason.CONNECTIONS: _TOO_MANY,
    Reason.ADDRESS_RATE: _TOO_MANY,
    Reason.UNVERIFIED_RATE: _TOO_MANY,
    Reason.SENDER_RATE: _TOO_MANY,
    Reason.COMPLEX: _UNPROCESSABLE,
    Reason.NOT_JSON: _UNPROCESSABLE,
    Reason.DUPLICATE_NAME: _UNPROCESSABLE,
    Reason.VERSION: _UNPROCESSABLE,
    Reason.SCHEMA: _UNPROCESSABLE,
    Reason.RECEIVER: _UNPROCESSABLE,
    Reason.WINDOW: _UNPROCESSABLE,
    Reason.SUBJECT: _UNPROCESSABLE,
    Reason.BODY: _UNPROCESSABLE,
    Reason.UNSIGNED: _UNAUTHENTIC,
    Reason.KEY_ABSENT: _UNAUTHENTIC,
    Reason.KEY_MALFORMED: _UNAUTHENTIC,
    Reason.KEY_REVOKED: _UNAUTHENTIC,
    Reason.KEY_WEAK: _UNAUTHENTIC,
    Reason.KEY_UNSUPPORTED: _UNAUTHENTIC,
    Reason.INSECURE: _UNAUTHENTIC,
    Reason.BOGUS: _UNAUTHENTIC,
    Reason.SIGNATURE: _UNAUTHENTIC,
    Reason.UNDECIDED: _UNAVAILABLE,
    Reason.LOOK_UPS: _TOO_MANY,
    Reason.BROKER: _UNAVAILABLE,
    Reason.OVERLOADED: _UNAVAILABLE,
    Reason.INTERNAL: 500,
    Reason.HANDLER_REFUSED: _UNPROCESSABLE,
    Reason.HANDLER: _UNAVAILABLE,
    Reason.IN_PROGRESS: _UNAVAILABLE,
    Reason.REPLY: _UNAVAILABLE,
}

ENVELOPE_REASON: Final = {
    EnvelopeProblem.NOT_JSON: Reason.NOT_JSON,
    EnvelopeProblem.TOO_COMPLEX: Reason.COMPLEX,
    EnvelopeProblem.DUPLICATE_NAME: Reason.DUPLICATE_NAME,
    EnvelopeProblem.VERSION: Reason.VERSION,
    EnvelopeProblem.SCHEMA: Reason.SCHEMA,
}
KEY_REASON: Final = {
    KeyProblem.MALFORMED: Reason.KEY_MALFORMED,
    KeyProblem.REVOKED: Reason.KEY_REVOKED,
    KeyProblem.WEAK: Reason.KEY_WEAK,
    KeyProblem.UNSUPPORTED: Reason.KEY_UNSUPPORTED,
}


class RefusedError(Exception):
    """Raised when a message is not taken; ``detail`` names what and where, and nothing that helps a forger."""

    def __init__(self, reason: Reason, detail: str, *, retry_after_seconds: float | None = None) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.retry_after_seconds = retry_after_seconds

    @property
    def status(self) -> int:
        """The HTTP status that protocol §3 gives this case."""
        return STATUS[self.reason]


def sender_kind(envelope: Envelope) -> SenderKind:
    """Return what kind of sender a message names."""
    if envelope.sender_is_domain:
        return SenderKind.DOMAIN
    return SenderKind.ANONYMOUS if envelope.sender == ANONYMOUS else SenderKind.WALLET


def check_addressing(
    envelope: Envelope, *, domain: str, now: datetime, window_seconds: float, subjects: Subjects
) -> None:
    """Check all that needs no key: receiver, time, subject, Body, the presence of a signature. Raises RefusedError."""
    if envelope.receiver != domain:
        raise RefusedError(Reason.RECEIVER, "Header.To: not this domain")
    if abs(now - envelope.timestamp) > timedelta(seconds=window_seconds):
        raise RefusedError(Reason.WINDOW, f"Header.Timestamp: more than {window_seconds:g} s from now")
    taken = subjects.find(envelope.subject)
    if taken is None:
        raise RefusedError(Reason.SUBJECT, "Header.Subject: not handled here")
    kind = sender_kind(envelope)
    if kind not in taken.senders:
        raise RefusedError(Reason.UNSIGNED, f"Header.From: this subject is not taken from this kind of sender ({kind})")
    if kind is SenderKind.DOMAIN and None in (envelope.selector, envelope.signature, envelope.hash):
        raise RefusedError(Reason.UNSIGNED, "selector, Hash and Signature are needed")
    taken.check(envelope)
