"""The liveness provider: a port, so that another provider is one file (docs/providers.md). Pure.

A session is created for one attempt, opened by the person's browser, looked at by the verdict, and erased. What a
provider cannot say now is ``ProviderTroubleError``, which is never a "no".
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from shared.errors import UnavailableError
from shared.verification import Attempt, LegalPhoto


class ProviderTroubleError(UnavailableError):
    """Raised when the provider throttles, fails or does not answer: the same may be asked again."""


class Finding(StrEnum):
    """What a provider has found."""

    LIVE = "live"
    NOT_LIVE = "not_live"
    RUNNING = "running"  # not finished yet
    UNDECIDED = "undecided"  # it finished without a finding: the person may try again
    EXPIRED = "expired"  # the provider has forgotten the session, or never knew it


@dataclass(frozen=True, slots=True)
class Result:
    """A provider's result. LIVE comes with a picture to compare, or with what the provider's own comparison said."""

    finding: Finding
    picture: bytes | None = None
    same_person: bool | None = None


@dataclass(frozen=True, slots=True)
class SessionOrder:
    """What a session is to be. The same ``token`` (1 to 58 of A-Z a-z 0-9 - _) means the same session, where it can.

    ``lights``: coloured lights may flash, where the provider lets one choose. ``photo`` is the legal photo of
    ``person``, for a provider that compares by itself.
    """

    token: str
    person: str
    photo: LegalPhoto
    lights: bool = True


@dataclass(frozen=True, slots=True)
class Streaming:
    """The page films and streams with these. ``endpoint`` is empty for the provider's own. Secret: never into a log."""

    region: str
    endpoint: str
    credentials: dict[str, str]


@dataclass(frozen=True, slots=True)
class Redirect:
    """A page of the provider's films: the browser is sent to ``url`` and comes back. Secret: never into a log."""

    url: str


class LivenessProvider(Protocol):
    """A liveness provider. Every method raises ProviderTroubleError, or UnavailableError for a store of ours."""

    @property
    def name(self) -> str:
        """As settings and records have it."""

    @property
    def lights_optional(self) -> bool:
        """Whether a session without flashing lights can be ordered."""

    @property
    def streaming_url(self) -> str:
        """Where our page streams to; empty: the person goes to a page of the provider's and comes back."""

    @property
    def sessions_per_second(self) -> float:
        """How many sessions may be created, over all replicas; 0: as many as come."""

    async def create(self, order: SessionOrder) -> str:
        """Return the id of a new session."""

    async def access(self, attempt: Attempt, return_url: str) -> Streaming | Redirect:
        """Return how the person's browser gets to the attempt's session; ``return_url`` is where it comes back."""

    async def result(self, session_id: str, least_confidence_percent: float) -> Result:
        """Return a session's result as it is now.

        ``least_confidence_percent``: below it a provider that gives a figure has found nobody alive.
        """

    async def erase(self, session_id: str) -> None:
        """Let the provider forget a session and all its data now; one that it does not know is erased."""
