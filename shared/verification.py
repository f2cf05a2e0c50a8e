"""One verification: where it can stand, and what its records hold. Pure.

``requested → prompted → opened → session_created → captured → decided → announced``; a try that came to nothing leads
back to a new ``session_created`` while time and tries are left; ``asked → answered`` follows ``captured`` where more is
asked than the check. What an attempt was created with is written once and never changed: the verdict reads its
subject from there, never from a page or an event.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from shared.events import derived_id

# How long records stay after the verification's time is over, so that a late repeat still finds what was decided.
FORGET_AFTER_SECONDS: Final = 3 * 24 * 3600


class Way(StrEnum):
    """How the person is led to the scan page: what whoever asked speaks decides it (ADR 19)."""

    POPUP = "popup"
    CHAT = "chat"
    HOSTED = "hosted"


class State(StrEnum):
    """Where a verification stands."""

    REQUESTED = "requested"
    PROMPTED = "prompted"
    OPENED = "opened"
    SESSION_CREATED = "session_created"
    CAPTURED = "captured"
    ASKED = "asked"  # for more than the check
    ANSWERED = "answered"
    DECIDED = "decided"
    ANNOUNCED = "announced"


# From here a check may begin.
BEFORE_A_CHECK: Final = (State.REQUESTED, State.PROMPTED, State.OPENED, State.SESSION_CREATED, State.CAPTURED)
OPEN: Final = (*BEFORE_A_CHECK, State.ASKED, State.ANSWERED)
ENDED: Final = (State.DECIDED, State.ANNOUNCED)


@dataclass(frozen=True, slots=True)
class LegalPhoto:
    """One version of a person's legal photo in S3, pinned by its version and its SHA-256 (hex)."""

    key: str
    version: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Verification:
    """The record of one verification. Times are epoch seconds; empty strings stand for what there is not."""

    verification_id: str
    state: State
    locator: str
    expires_at: int
    created_at: int
    # Who asked by message: the answer goes there. Empty when a system of ours asked by an event.
    requester: str = ""
    generation: str = ""
    correlation: str = ""
    purpose: str = ""
    # Whose locator it is; all empty when the locator is unknown or has expired.
    person: str = ""
    wallet_domain: str = ""
    wallet_id: str = ""
    photo_key: str = ""
    photo_version: str = ""
    photo_sha256: str = ""
    enrolled_at: int = 0
    traceparent: str = ""
    # The chat at the wallet's broker and its key (a DKIM record), or the hook of a hosted function's call.
    chat: str = ""
    chat_key: str = ""
    hook: str = ""
    # What moves.
    browser: str = ""  # fingerprint of the one browser that the page is shown to; empty until it came
    context: str = ""  # where and on what that browser opened it: an events.Context as JSON
    attempt: int = 0
    ended_attempt: int = 0
    passes: int = 0  # attempts that succeeded while more proof was asked for
    # The place in the line for the provider: for which attempt, and when its turn is (epoch milliseconds).
    turn_attempt: int = 0
    turn_at: int = 0
    # What is asked besides the check: a factor, and of a question which; then what was shown of it.
    asks: str = ""
    answer: str = ""  # sealed for the verdict alone (shared.answer_box); gone when it was looked at
    given_at: int = 0
    wrong_answers: int = 0
    factors: str = ""  # answered rightly, separated by spaces
    refused: bool = False  # the check has failed, and is not said to have before the answer is there
    trouble: bool = False
    outcome: str = ""
    nonce: str = ""  # of the signed answer: made when it is decided
    decided_at: int = 0
    forget_at: int = 0
    blocked: bool = False  # too many checks have failed lately: none begins any more
    device: str = ""  # a keyed hash of the device, the same for everybody who uses it: failures are counted by it
    fetched_by: str = ""  # the Correlation of the message that a chat's prompt was served to; empty until then

    @property
    def way(self) -> Way:
        """How the person is led to the scan page."""
        return Way.HOSTED if self.hook else Way.CHAT if self.chat else Way.POPUP

    @property
    def second_hook(self) -> str:
        """The hook by which the caller of a hosted function waits for the result."""
        return derived_id("second hook", self.verification_id)

    @property
    def known(self) -> bool:
        """Whether the locator led to a person."""
        return bool(self.person)

    @property
    def photo(self) -> LegalPhoto:
        """The legal photo as it was when the verification was requested."""
        return LegalPhoto(self.photo_key, self.photo_version, self.photo_sha256)

    @property
    def attempt_open(self) -> bool:
        """Whether the newest attempt has not come to an end."""
        return self.attempt > self.ended_attempt

    @property
    def tries_used(self) -> int:
        """How many attempts came to nothing."""
        return self.ended_attempt - self.passes

    def expired(self, now: datetime) -> bool:
        """Whether the person's time is over."""
        return now.timestamp() >= self.expires_at


@dataclass(frozen=True, slots=True)
class Attempt:
    """The immutable record of one attempt: who is to be compared with what, in which session."""

    verification_id: str
    attempt: int
    provider: str
    provider_session_id: str
    created_at: int
    expires_at: int
    person: str
    photo_key: str
    photo_version: str
    photo_sha256: str
    requester: str = ""
    locator: str = ""
    forget_at: int = 0
    # Which page began it, and what the person agreed to at `created_at`: the text's version, its language (BCP 47).
    page: str = ""
    lights: bool = True
    # For whom its failure would be counted, separated by spaces (shared.failures).
    whoms: str = ""
    consent_version: str = ""
    consent_language: str = ""

    @property
    def photo(self) -> LegalPhoto:
        """The pinned legal photo."""
        return LegalPhoto(self.photo_key, self.photo_version, self.photo_sha256)
