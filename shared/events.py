"""The events of facescan: versioned contracts, one model each (architecture, "One verification, as data sees it").

A model's fields are the ``data`` of a CloudEvent of that type. Models only ever grow by optional fields; a test holds
the committed JSON Schemas in ``docs/schemas`` against them. Unknown fields are ignored, so that an older reader
understands a newer writer. Nothing biometric and no score is ever in an event.
"""

import hashlib
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from shared.domain_names import DomainName
from shared.generation import Generation

# Names every id that is derived: the same step of the same thing has the same id wherever it is made.
_NAMESPACE: Final = uuid.UUID("3f5a2f3e-6d0b-5c50-9d9a-6a1d8e6f3c11")

Locator = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9._:~-]+$")]
VerificationId = Annotated[
    str, StringConstraints(pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")
]
PersonId = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9._~-]+$")]
Purpose = Annotated[str, StringConstraints(max_length=200)]
Uuid = Annotated[str, StringConstraints(to_lower=True, pattern=r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$")]
Subject = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,63}@[A-Za-z][A-Za-z0-9_-]{0,63}$")]


def derived_id(*parts: str) -> str:
    """Return the UUID (version 5) that these parts always have."""
    # As uuid.uuid5 has it (RFC 9562 §5.5), in a third of its time: each message at the door has two.
    digest = hashlib.sha1(_NAMESPACE.bytes + "\n".join(parts).encode(), usedforsecurity=False).hexdigest()
    variant = "89ab"[int(digest[16], 16) & 3]
    return f"{digest[:8]}-{digest[8:12]}-5{digest[13:16]}-{variant}{digest[17:20]}-{digest[20:32]}"


class Outcome(StrEnum):
    """What a verification ends with. ``error`` means: no answer could be had, ask again; it is neither yes nor no."""

    SUCCESS = "success"
    FAILURE = "failure"
    ERROR = "error"


class EventData(BaseModel):
    """The data of one type of event; ``type`` is the CloudEvents type, ``topic`` where it is published."""

    # Built on first use: no service needs all of them, and each costs start-up time and memory.
    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    type: ClassVar[str]
    topic: ClassVar[str]

    def key(self) -> str:
        """Return the record's key, which decides the order that is kept."""
        raise NotImplementedError

    def to_json(self) -> bytes:
        """Return the data as compact JSON without the fields that are not set."""
        # As model_dump_json, without making a text of the bytes and bytes of the text.
        return type(self).__pydantic_serializer__.to_json(self, exclude_none=True)


class _OfVerification(EventData):
    verification_id: VerificationId = Field(description="The verification that this event is about; the record's key.")

    def key(self) -> str:
        """Return the record's key."""
        return self.verification_id


class Requester(BaseModel):
    """The domain that asked by a signed message and gets the signed answer."""

    model_config = ConfigDict(frozen=True)

    domain: DomainName = Field(description="The sender of the verified message.")
    generation: Generation = Field(description="The generation that it speaks; the answer speaks the same.")
    correlation: str = Field(description="The Correlation of its message; the answer names it.")


class Context(BaseModel):
    """Where and on what the person has opened the page, as far as it is known: it decides how much proof is asked for.

    It is never a proof itself. Only what the session service has seen for itself, or what a wallet has signed, belongs
    here: what a page merely claims about itself may be anybody's claim.
    """

    model_config = ConfigDict(frozen=True)

    device: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9_-]{16,64}$",
        description="A keyed hash of what the device is known by, another one for each person.",
    )
    country: str | None = Field(default=None, pattern=r"^[A-Z]{2}$", description="ISO 3166-1 alpha-2.")
    latitude: float | None = Field(
        default=None, ge=-90, le=90, description="In degrees (WGS 84), rounded to two decimals: about a kilometre."
    )
    longitude: float | None = Field(default=None, ge=-180, le=180, description="The same.")


class Chat(BaseModel):
    """A person's chat at a broker, in which a prompt reaches the wallet (protocol §7)."""

    model_config = ConfigDict(frozen=True)

    chat: Uuid = Field(description="The chat's id at the broker.")
    broker: DomainName = Field(description="The broker that invited us into it, and that prompts are sent to.")
    public_key: str = Field(
        max_length=2000, description="What the wallet's messages in this chat verify with, written as a DKIM record."
    )


class VerificationRequested(_OfVerification):
    """Somebody wants to know whether the owner of a locator is in front of a camera."""

    type: ClassVar[str] = "facescan.verification.requested.v1"
    topic: ClassVar[str] = "facescan.verification.requested"

    locator: Locator = Field(description="The opaque key of a person at this Identity.")
    requester: Requester | None = Field(
        default=None, description="Who gets a signed answer; absent when a system of ours asks and reads the verdict."
    )
    purpose: Purpose | None = Field(default=None, description="Shown to the person, as plain text.")
    deadline_seconds: float | None = Field(
        default=None, gt=0, le=3600, description="How long the person may take; the service's own default when absent."
    )
    chat: Chat | None = Field(
        default=None, description="Where the person is prompted; the wallet's pop-up is opened when absent."
    )
    hook: Uuid | None = Field(
        default=None,
        description="The hook of a hosted function's call: whoever asked gets the page's address and shows it.",
    )


class VerificationOpened(_OfVerification):
    """The person has opened the page, in a context that may make the check shorter or longer.

    Published only when there is a context, after it was written into the verification's record.
    """

    type: ClassVar[str] = "facescan.verification.opened.v1"
    topic: ClassVar[str] = "facescan.verification.opened"

    context: Context | None = Field(default=None, description="As the verification's record has it.")


class MatchRequested(EventData):
    """A trusted domain wants a picture of its own camera matched with a locator; the picture is never part of this."""

    type: ClassVar[str] = "facescan.match.requested.v1"
    topic: ClassVar[str] = "facescan.match.requested"

    upload: VerificationId = Field(description="Names the upload and the match; the record's key.")
    action: Literal["upload", "match", "expire"] = Field(description="Offer an upload, match it, or end it.")
    locator: Locator | None = None
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$", description="Of the picture, hex.")
    size: int | None = Field(default=None, ge=1, le=5_242_880, description="Of the picture, in bytes.")
    requester: Requester | None = Field(default=None, description="The domain that asked by a message.")

    def key(self) -> str:
        """Return the record's key."""
        return self.upload


class LocatorRequested(EventData):
    """A locator is to be issued for a token, or revoked."""

    type: ClassVar[str] = "facescan.locator.requested.v1"
    topic: ClassVar[str] = "facescan.locator.requested"

    request_id: VerificationId = Field(description="Names the request in its answer; the record's key.")
    action: Literal["issue", "revoke"] = "issue"
    person: str | None = Field(default=None, max_length=200, description="Your id of the person; or `locator`.")
    locator: Locator | None = Field(
        default=None, description="Issue: a good locator of the person. Revoke: the one that is to end."
    )
    issuer: str | None = Field(
        default=None, max_length=253, description="Whose token it is; the requester's when a domain asks by message."
    )
    token: str | None = Field(default=None, min_length=1, max_length=200, description="The issuer's name of the token.")
    kind: Literal["locator", "biostamp"] = "locator"
    expires_at: AwareDatetime | None = Field(default=None, description="FACESCAN_LOCATOR_DAYS from now when absent.")
    requester: Requester | None = Field(default=None, description="The domain that asked by a message.")

    def key(self) -> str:
        """Return the record's key."""
        return self.request_id


class LocatorSettled(EventData):
    """What came of a request for a locator by a system of ours."""

    type: ClassVar[str] = "facescan.locator.settled.v1"
    topic: ClassVar[str] = "facescan.locator.settled"

    request_id: VerificationId
    result: Literal["issued", "revoked", "refused"]
    locator: Locator | None = None
    expires_at: AwareDatetime | None = None

    def key(self) -> str:
        """Return the record's key."""
        return self.request_id


class SessionCreated(_OfVerification):
    """The person pressed start: a liveness session exists at the provider."""

    type: ClassVar[str] = "facescan.session.created.v1"
    topic: ClassVar[str] = "facescan.session.created"

    attempt: int = Field(ge=1, description="Which try of this verification; every try has a session of its own.")
    provider: str = Field(description="The liveness provider, for example rekognition.")
    expires_at: AwareDatetime = Field(description="When the attempt is over whatever happens.")


class CaptureCompleted(_OfVerification):
    """The page says that the check is done: a hint to fetch the result, never a proof."""

    type: ClassVar[str] = "facescan.capture.completed.v1"
    topic: ClassVar[str] = "facescan.capture.completed"

    attempt: int = Field(ge=1, description="The attempt whose page says so.")


class ProofGiven(_OfVerification):
    """The person has answered what was asked besides the check; the answer is in no event."""

    type: ClassVar[str] = "facescan.proof.given.v1"
    topic: ClassVar[str] = "facescan.proof.given"

    number: int = Field(ge=1, description="Which answer of this verification.")


class DeadlinePassed(_OfVerification):
    """The time of an attempt, or of the whole verification, is over; whatever is still open must end."""

    type: ClassVar[str] = "facescan.deadline.passed.v1"
    topic: ClassVar[str] = "facescan.deadline.passed"

    attempt: int | None = Field(
        default=None, ge=1, description="The attempt whose time is over; absent: the verification's."
    )
    given_up: bool | None = Field(
        default=None, description="True when the person has ended it before its time: a hint, like a page's done."
    )


class VerdictReached(_OfVerification):
    """The verification has ended. The same id and outcome for whoever asked, never a score or a reason."""

    type: ClassVar[str] = "facescan.verdict.reached.v1"
    topic: ClassVar[str] = "facescan.verdict.reached"

    outcome: Outcome = Field(description="success, failure, or error (no answer could be had: ask again).")
    decided_at: AwareDatetime


class PersonErasureRequested(EventData):
    """Everything that is held of a person is to be removed, within a minute."""

    type: ClassVar[str] = "facescan.person.erasure.requested.v1"
    topic: ClassVar[str] = "facescan.person.erasure.requested"

    person: PersonId = Field(description="Your id of the person, as at enrolment; the record's key.")

    def key(self) -> str:
        """Return the record's key."""
        return self.person


class PostRequested(EventData):
    """A message is to be signed and delivered to a domain's inbox."""

    type: ClassVar[str] = "facescan.post.requested.v1"
    topic: ClassVar[str] = "facescan.post.requested"

    to: DomainName = Field(description="The receiving domain; the record's key.")
    subject: Subject = Field(description="Method@Role.")
    body: dict[str, Any] = Field(description="The Body of the message.")
    generation: Generation | None = Field(
        default=None, description="The generation to speak; the receiver's configured one when absent."
    )
    correlation: str | None = Field(
        default=None,
        description="The message's Correlation; made from the event's id when absent, so that a repeat "
        "is the same message.",
    )
    deadline: AwareDatetime | None = Field(default=None, description="After this no delivery is tried any more.")
    order_key: str | None = Field(
        default=None, max_length=200, description="Messages to one domain with one order key arrive in order."
    )
    attempt: int = Field(default=1, ge=1, description="Counts the deliveries tried; set by the sender's retries.")
    first_requested_at: AwareDatetime | None = Field(default=None, description="When attempt 1 was asked for.")
    position: int | None = Field(
        default=None,
        ge=0,
        description="The offset at which attempt 1 was asked for, by which order is kept; set by the signer.",
    )

    def key(self) -> str:
        """Return the record's key."""
        return self.to


class PostSigned(EventData):
    """A message is signed and waits to be sent."""

    type: ClassVar[str] = "facescan.post.signed.v1"
    topic: ClassVar[str] = "facescan.post.signed"

    request: PostRequested = Field(description="What was asked for, with its Correlation filled in.")
    message: str = Field(description="The signed message, the exact text to post.")
    signed_at: AwareDatetime = Field(description="The message's Timestamp.")
    generation: Generation | None = Field(
        default=None, description="The generation that the message speaks; the request's when absent."
    )

    def key(self) -> str:
        """Return the record's key."""
        return self.request.to


class PostSettled(EventData):
    """A delivery has ended, either way."""

    type: ClassVar[str] = "facescan.post.settled.v1"
    topic: ClassVar[str] = "facescan.post.settled"

    to: DomainName
    subject: Subject
    correlation: str
    outcome: Literal["delivered", "given_up"]
    reason: str = Field(description="ok, or why it was given up: refused, deadline, attempts, unsendable.")
    http_status: int | None = Field(default=None, description="The receiver's last answer, if there was one.")
    attempts: int = Field(ge=1)
    order_key: str | None = None

    def key(self) -> str:
        """Return the record's key."""
        return self.to


class EndpointRequested(EventData):
    """A message is to be delivered to an HTTP endpoint of the map."""

    type: ClassVar[str] = "facescan.endpoint.requested.v1"
    topic: ClassVar[str] = "facescan.endpoint.requested"

    endpoint: str = Field(description="The endpoint's name in the map; each has a reader of its own.")
    order_key: str = Field(description="Messages to one endpoint with one order key are delivered one by one.")
    message_id: str = Field(description="What the endpoint knows a repeat by: its Idempotency-Key.")
    subject: Subject
    sender: str = Field(description="The verified sender: a domain, a wallet's UUID, or Anonymous.")
    generation: Generation
    correlation: str = Field(description="The message's Correlation.")
    message: str = Field(description="The message, the exact text that came.")
    accepted_at: AwareDatetime = Field(description="From when on the time until it is given up is counted.")

    def key(self) -> str:
        """Return the record's key."""
        return f"{self.endpoint}\n{self.order_key}"


class WebhookRequested(EventData):
    """A client that asked over HTTP is to be told an outcome by its webhook."""

    type: ClassVar[str] = "facescan.webhook.requested.v1"
    topic: ClassVar[str] = "facescan.webhook.requested"

    client: str = Field(max_length=63, description="The client's name at the gateway; the record's key.")
    verification_id: VerificationId
    outcome: Outcome
    decided_at: AwareDatetime
    attempt: int = Field(default=1, ge=1, description="Counts the webhooks tried; set by the gateway's retries.")
    first_requested_at: AwareDatetime | None = Field(
        default=None, description="When it was tried or held first; from then on the time until it is given up counts."
    )

    def key(self) -> str:
        """Return the record's key."""
        return self.client


EVENTS: Final[tuple[type[EventData], ...]] = (
    VerificationRequested,
    VerificationOpened,
    SessionCreated,
    LocatorRequested,
    LocatorSettled,
    MatchRequested,
    CaptureCompleted,
    ProofGiven,
    DeadlinePassed,
    VerdictReached,
    PersonErasureRequested,
    PostRequested,
    PostSigned,
    PostSettled,
    EndpointRequested,
    WebhookRequested,
)

# The one event whose data is not a model of ours: the signed message itself, byte for byte as it came.
INBOX_ACCEPTED_TYPE: Final = "facescan.inbox.accepted.v1"
INBOX_ACCEPTED_TOPIC: Final = "facescan.inbox.accepted"

# What a message is on a topic of somebody else's: the message itself, too.
MESSAGE_TYPE: Final = "facescan.message.v1"

BY_TYPE: Final[Mapping[str, type[EventData]]] = {event.type: event for event in EVENTS}


def event_id(data: EventData, *step: str) -> str:
    """Return the deterministic id of this event: the same step of the same thing always has the same id."""
    return derived_id(data.type, data.key(), *step)


def utc_text(moment: datetime) -> str:
    """Return an aware time as the protocol writes it: UTC, milliseconds, ``Z``."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
