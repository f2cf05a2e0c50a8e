"""The events of facescan that messages become; the endpoint map says which subjects do."""

from collections.abc import Callable, Mapping
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.inbox.domain import Reason, RefusedError
from shared.envelope import Envelope
from shared.events import EventData, Locator, Purpose, Requester, VerificationRequested, derived_id


class VerifyLocatorBody(BaseModel):
    """The Body of ``VerifyLocator@Identity``."""

    model_config = ConfigDict(frozen=True)

    locator: Locator = Field(alias="Locator")
    purpose: Purpose | None = Field(default=None, alias="Purpose")


def verify_locator(envelope: Envelope) -> VerificationRequested:
    """Return the event that asks for a verification. Raises RefusedError, naming the member of the Body."""
    try:
        body = VerifyLocatorBody.model_validate(envelope.body, strict=True)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise RefusedError(Reason.BODY, f"Body.{where}: {first['msg']}") from error
    return VerificationRequested(
        # A copy of the message is the same verification.
        verification_id=derived_id("verification", envelope.sender, envelope.correlation),
        locator=body.locator,
        purpose=body.purpose,
        requester=Requester(domain=envelope.sender, generation=envelope.generation, correlation=envelope.correlation),
    )


# By the type of the event. An endpoint of kind topic names one of these.
TRANSLATIONS: Final[Mapping[str, Callable[[Envelope], EventData]]] = {
    VerificationRequested.type: verify_locator,
}
