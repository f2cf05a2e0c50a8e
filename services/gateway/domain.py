"""What the gateway decides: reasons of refusal, ids, what a request is remembered by, what an answer means. Pure."""

import hashlib
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from shared.deliveries import Answer, Meaning
from shared.events import Locator, Outcome, Purpose, derived_id

PENDING: Final = "pending"
# Longer than the verification itself is remembered, so that no key of a client can ask anew under an id that has ended.
REMEMBER_SECONDS: Final = 7 * 86_400
_GONE: Final = 410
_SUCCESS: Final = range(200, 300)


class Reason(StrEnum):
    """Why a request is refused; the word is the answer's reason code and the metric's label."""

    NOT_JSON = "not_json"
    KEY = "idempotency_key"
    UNAUTHENTIC = "unauthentic"
    NOT_FOUND = "not_found"
    METHOD = "method_not_allowed"
    SLOW = "too_slow"
    TOO_LARGE = "too_large"
    MEDIA_TYPE = "media_type"
    INVALID = "invalid"
    KEY_REUSED = "idempotency_key_reused"
    ADDRESS_RATE = "address_too_fast"
    CLIENT_RATE = "client_too_fast"
    INTERNAL = "internal"
    NOT_STORED = "not_stored"


STATUS: Final[Mapping[Reason, int]] = {
    Reason.NOT_JSON: 400,
    Reason.KEY: 400,
    Reason.UNAUTHENTIC: 401,
    Reason.NOT_FOUND: 404,
    Reason.METHOD: 405,
    Reason.SLOW: 408,
    Reason.TOO_LARGE: 413,
    Reason.MEDIA_TYPE: 415,
    Reason.INVALID: 422,
    Reason.KEY_REUSED: 422,
    Reason.ADDRESS_RATE: 429,
    Reason.CLIENT_RATE: 429,
    Reason.INTERNAL: 500,
    Reason.NOT_STORED: 503,
}


class RefusedError(Exception):
    """Raised when a request is not taken; ``detail`` names what and where, and nothing of what was sent."""

    def __init__(self, reason: Reason, detail: str, *, retry_after_seconds: float | None = None) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.retry_after_seconds = retry_after_seconds


class Ask(BaseModel):
    """What a client wants to know: the fields of ``verification.requested`` that are a client's to choose."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    locator: Locator = Field(description="The opaque key of a person at this Identity.")
    purpose: Purpose | None = Field(default=None, description="Shown to the person, as plain text.")
    deadline_seconds: float | None = Field(
        default=None, gt=0, le=3600, description="How long the person may take; this Identity's default when absent."
    )


def verification_id(client: str, key: str) -> str:
    """Return the id that a client's Idempotency-Key always has."""
    return derived_id("asked over http", client, key)


def fingerprint(key: str, ask: Ask) -> str:
    """Return what a repeat is compared by. The key, which is kept nowhere, goes in: it cannot be searched for."""
    return hashlib.sha256(f"{key}\n{ask.model_dump_json()}".encode()).hexdigest()


def webhook_id(client: str, verification: str) -> str:
    """Return the id by which a receiver knows a repeat: one for each outcome, the same for every try."""
    return derived_id("webhook", client, verification)


def state_of(outcome: str) -> str:
    """Return what is said of a verification: pending, success, failure or error."""
    return Outcome(outcome).value if outcome else PENDING


def meaning(answer: Answer) -> Meaning:
    """Return what a receiver's answer to a webhook means: all but 2xx and 410 is tried again.

    A receiver that answers 404 or 401 is mostly one in the middle of a deployment, not one that has judged the outcome.
    """
    if answer.status is not None and answer.status in _SUCCESS:
        return Meaning.DELIVERED
    return Meaning.REFUSED if answer.status == _GONE else Meaning.TRY_AGAIN
