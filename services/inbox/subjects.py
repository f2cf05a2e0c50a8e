"""The events of facescan that messages become; the endpoint map says which subjects do."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from services.inbox.chat_keys import chat_key_record
from services.inbox.domain import Reason, RefusedError
from shared.envelope import Envelope
from shared.events import (
    Chat,
    EventData,
    Locator,
    LocatorRequested,
    MatchRequested,
    Purpose,
    Requester,
    Uuid,
    VerificationRequested,
    derived_id,
)

INVITATION: Final = "Hello@Host"
HOSTED_CALL: Final = "Handle@Hosted"


class VerifyLocatorBody(BaseModel):
    """The Body of ``VerifyLocator@Identity``."""

    model_config = ConfigDict(frozen=True)

    locator: Locator = Field(alias="Locator")
    purpose: Purpose | None = Field(default=None, alias="Purpose")


def _moment(given: object) -> object:
    return datetime.fromisoformat(given) if isinstance(given, str) else given


class IssueLocatorBody(BaseModel):
    """The Body of ``IssueLocator@Identity``."""

    model_config = ConfigDict(frozen=True)

    locator: Locator = Field(alias="Locator")
    token: str = Field(alias="Token", min_length=1, max_length=200)
    kind: Literal["locator", "biostamp"] = Field(default="locator", alias="Kind")
    expires: Annotated[AwareDatetime, BeforeValidator(_moment)] | None = Field(default=None, alias="Expires")


class UploadBody(BaseModel):
    """The Body of ``UploadPicture@Identity``: the picture's size and SHA-256, never the picture."""

    model_config = ConfigDict(frozen=True)

    locator: Locator = Field(alias="Locator")
    size: int = Field(alias="Bytes", ge=1, le=5_242_880)
    sha256: str = Field(alias="Sha256", pattern=r"^[0-9a-f]{64}$")


class MatchBody(BaseModel):
    """The Body of ``MatchPicture@Identity``."""

    model_config = ConfigDict(frozen=True)

    upload: Uuid = Field(alias="Upload")


class RevokeLocatorBody(BaseModel):
    """The Body of ``RevokeLocator@Identity``."""

    model_config = ConfigDict(frozen=True)

    locator: Locator = Field(alias="Locator")


class InvitationBody(BaseModel):
    """The Body of ``Hello@Host``: a broker invites us into a person's chat with the person's biostamp (protocol §7)."""

    model_config = ConfigDict(frozen=True)

    chat: Uuid = Field(alias="Chat")
    public_key: Annotated[str, AfterValidator(chat_key_record)] = Field(alias="PublicKey", max_length=2000)
    biostamp: Locator = Field(alias="Biostamp")
    purpose: Purpose | None = Field(default=None, alias="Purpose")


class _Citizen(BaseModel):
    citizen: Locator = Field(alias="Citizen")


class HostedCallBody(BaseModel):
    """The Body of ``Handle@Hosted``; there is one function here, ``Liveness`` of one Citizen (protocol §7)."""

    model_config = ConfigDict(frozen=True)

    hook: Uuid = Field(alias="Hook")
    function: Literal["Liveness"] = Field(alias="Function")
    arguments: list[_Citizen] = Field(alias="Arguments", min_length=1, max_length=1)


B = TypeVar("B", bound=BaseModel)


def _body(envelope: Envelope, model: type[B]) -> B:
    try:
        return model.model_validate(envelope.body, strict=True)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        raise RefusedError(Reason.BODY, f"Body.{where}: {message}") from error


def _requester(envelope: Envelope) -> Requester:
    return Requester(domain=envelope.sender, generation=envelope.generation, correlation=envelope.correlation)


def _requested(envelope: Envelope, locator: str, **more: Any) -> VerificationRequested:
    return VerificationRequested(
        # A copy of the message is the same verification.
        verification_id=derived_id("verification", envelope.sender, envelope.correlation),
        locator=locator,
        requester=_requester(envelope),
        **more,
    )


def verify_locator(envelope: Envelope) -> VerificationRequested:
    """Return the event that asks for a verification. Raises RefusedError, naming the member of the Body."""
    body = _body(envelope, VerifyLocatorBody)
    return _requested(envelope, body.locator, purpose=body.purpose)


def invited(envelope: Envelope) -> VerificationRequested:
    """Return the event that an invitation into a chat is; the inviting broker is who asks. Raises RefusedError."""
    body = _body(envelope, InvitationBody)
    chat = Chat(chat=body.chat, broker=envelope.sender, public_key=body.public_key)
    return _requested(envelope, body.biostamp, purpose=body.purpose, chat=chat)


def hosted_call(envelope: Envelope) -> VerificationRequested:
    """Return the event that the call of a hosted function is. Raises RefusedError."""
    body = _body(envelope, HostedCallBody)
    return _requested(envelope, body.arguments[0].citizen, hook=body.hook)


_BY_SUBJECT: Final[Mapping[str, tuple[type[BaseModel], Callable[[Envelope], VerificationRequested]]]] = {
    INVITATION: (InvitationBody, invited),
    HOSTED_CALL: (HostedCallBody, hosted_call),
}
_ANY_OTHER: Final = (VerifyLocatorBody, verify_locator)


def requested(envelope: Envelope) -> VerificationRequested:
    """Return the event that asks for a verification, in whichever of the ways that there are. Raises RefusedError."""
    return _BY_SUBJECT.get(envelope.subject, _ANY_OTHER)[1](envelope)


def check_requested(envelope: Envelope) -> None:
    """Check all that ``requested`` needs. Raises RefusedError."""
    if not envelope.sender_is_domain:
        raise RefusedError(Reason.UNSIGNED, "Header.From: a verification is told to a domain, and this is none")
    _body(envelope, _BY_SUBJECT.get(envelope.subject, _ANY_OTHER)[0])


@dataclass(frozen=True, slots=True)
class Translation:
    """How a message becomes an event. Both raise RefusedError; whatever ``check`` lets pass, ``event`` takes.

    The door checks, the router makes: an event that is thrown away costs more than its check.
    """

    check: Callable[[Envelope], object]
    event: Callable[[Envelope], EventData]


def change_locator(envelope: Envelope) -> LocatorRequested:
    """Return the event that asks for a locator, or ends one. Raises RefusedError, naming the member of the Body."""
    request_id = derived_id("locator", envelope.sender, envelope.correlation)
    if envelope.subject.startswith("Revoke"):
        ending = _body(envelope, RevokeLocatorBody)
        return LocatorRequested(
            request_id=request_id, action="revoke", locator=ending.locator, requester=_requester(envelope)
        )
    body = _body(envelope, IssueLocatorBody)
    return LocatorRequested(
        request_id=request_id,
        locator=body.locator,
        token=body.token,
        kind=body.kind,
        expires_at=body.expires,
        requester=_requester(envelope),
    )


def supervised_match(envelope: Envelope) -> MatchRequested:
    """Return the event that a step of a supervised match is. Raises RefusedError, naming the member of the Body."""
    if envelope.subject.startswith("Match"):
        upload = _body(envelope, MatchBody).upload
        return MatchRequested(upload=upload, action="match", requester=_requester(envelope))
    body = _body(envelope, UploadBody)
    return MatchRequested(
        upload=derived_id("upload", envelope.sender, envelope.correlation),
        action="upload",
        locator=body.locator,
        sha256=body.sha256,
        size=body.size,
        requester=_requester(envelope),
    )


# By the type of the event. An endpoint of kind topic names one of these.
TRANSLATIONS: Final[Mapping[str, Translation]] = {
    VerificationRequested.type: Translation(check_requested, requested),
    LocatorRequested.type: Translation(change_locator, change_locator),
    MatchRequested.type: Translation(supervised_match, supervised_match),
}
