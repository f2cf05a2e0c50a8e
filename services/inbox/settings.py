"""Settings of the inbox."""

import ipaddress
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator, Field, field_validator

from services.inbox.door_settings import DoorSettings
from services.inbox.key_cache_settings import KeyCacheSettings
from shared.settings import Port, Settings, checked_roles

DOOR: Final = "door"
ROUTER: Final = "router"
ROLES: Final = (DOOR, ROUTER)


def _loopback_resolver(text: str) -> str:
    """Return ``text`` when it is ``address:port`` on this machine."""
    address, _, port = text.rpartition(":")
    try:
        parsed = ipaddress.ip_address(address.strip("[]"))
        number = int(port)
    except ValueError as error:
        raise ValueError("not of the form address:port") from error
    if not parsed.is_loopback or not 0 < number < 65536:  # noqa: PLR2004 - the range of ports
        raise ValueError("the AD bit is worth nothing from another machine: name a resolver at a loopback address")
    return text


class InboxSettings(DoorSettings, KeyCacheSettings, Settings):
    """What the inbox needs to know."""

    inbox_roles: str = Field(
        default=",".join(ROLES),
        description="Which parts this process has, comma-separated: door takes messages over HTTP, router reads them "
        "from the log and serves the endpoints. Apart, each scales by its own load.",
    )
    inbox_host: str = Field(default="127.0.0.1", description="Where the front door listens.")
    inbox_port: Port = Field(default=8080, description="Its port.")
    dns_resolver: Annotated[str, AfterValidator(_loopback_resolver)] = Field(
        default="127.0.0.1:53", description="address:port of a DNSSEC-validating resolver on this very machine."
    )
    dns_timeout_seconds: float = Field(
        default=2.0, gt=0, le=30, description="After this a sender's key is undecided and the message answered 503."
    )
    window_seconds: float = Field(
        default=300.0, gt=0, le=86400, description="How far a message's Timestamp may be from now, either way."
    )
    largest_body_bytes: int = Field(default=65536, ge=1024, le=500_000, description="Larger messages are answered 413.")
    endpoint_map: Path | None = Field(
        default=None,
        description="The endpoint map (TOML, docs/endpoints.md): which messages go where. Without one, "
        "VerifyLocator@Identity alone is taken.",
    )
    manifest: Path | None = Field(
        default=None, description="This domain's manifest (JSON); without one it says the domain's name alone."
    )
    feedback_per_hour: int = Field(
        default=10,
        ge=0,
        le=1000,
        description="How many discards one sender is told of in an hour (Feedback@Buffer); 0 for none.",
    )
    claim_hours: float = Field(
        default=72.0, gt=0, description="How long a message is remembered; longer than any sender's retries."
    )

    @field_validator("inbox_roles")
    @classmethod
    def _known_roles(cls, text: str) -> str:
        return checked_roles(text, ROLES)

    @property
    def roles(self) -> frozenset[str]:
        """What this process does."""
        return frozenset(self.inbox_roles.split(","))
