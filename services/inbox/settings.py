"""Settings of the inbox."""

from pathlib import Path
from typing import Final

from pydantic import Field, field_validator

from services.inbox.door_settings import DoorSettings
from services.inbox.key_cache_settings import KeyCacheSettings
from shared.resolver_address import ResolverPlace
from shared.resolver_settings import ResolverSettings
from shared.settings import Port, Settings, checked_roles

DOOR: Final = "door"
ROUTER: Final = "router"
ROLES: Final = (DOOR, ROUTER)


class InboxSettings(DoorSettings, KeyCacheSettings, ResolverSettings, Settings):
    """What the inbox needs to know."""

    inbox_roles: str = Field(
        default=",".join(ROLES),
        description="Which parts this process has, comma-separated: door takes messages over HTTP, router reads them "
        "from the log and serves the endpoints. Apart, each scales by its own load.",
    )
    inbox_host: str = Field(default="127.0.0.1", description="Where the front door listens.")
    inbox_port: Port = Field(default=8080, description="Its port.")
    dns_resolver: ResolverPlace = Field(
        default="127.0.0.1:53",
        description="A DNSSEC-validating resolver: address:port on this very machine, or tls://address:port#name for "
        "DNS over TLS with a server whose certificate is for that name.",
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
