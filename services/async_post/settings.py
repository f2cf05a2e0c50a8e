"""Settings of Async Post."""

from pathlib import Path
from typing import Final, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from services.async_post.generations import Generations, parse_generations
from services.async_post.key_settings import KeySettings
from shared.settings import Environment, OutboundSettings, Port, checked_roles

SIGNER: Final = "signer"
SENDER: Final = "sender"
DELAYER: Final = "delayer"
ROLES: Final = (SIGNER, SENDER, DELAYER)


class AsyncPostSettings(KeySettings, OutboundSettings):
    """What Async Post needs to know."""

    post_roles: str = Field(
        default=",".join(ROLES),
        description="Which parts this process has, comma-separated: signer holds the keys and rotates them, sender "
        "alone connects to receivers, delayer brings back what waited. Apart, no process has both the keys and the way "
        "out, unless FACESCAN_SYNC_POST_TOKEN asks for it.",
    )
    send_timeout_seconds: float = Field(
        default=10.0, gt=0, le=60, description="One delivery's whole time: connect, send, answer."
    )
    most_in_flight: int = Field(
        default=2000,
        ge=1,
        description="Messages in hand at once, under way or waiting for a place of their receiver; each costs about "
        "10 KiB.",
    )
    most_in_flight_per_domain: int = Field(
        default=16, ge=1, description="Of these to one domain, so that a slow receiver takes only its own places."
    )
    give_up_seconds: float = Field(
        default=27 * 3600.0, gt=0, description="After this a message without a deadline of its own is given up."
    )
    receiver_generations: str = Field(
        default="",
        description="domain=generation[,domain=generation…]: what receivers are spoken to in, nlweb or pollyweb, when "
        "post.requested does not say; the domain * is everybody else, nlweb when it is not there.",
    )
    sync_post_token: SecretStr | None = Field(
        default=None,
        min_length=32,
        max_length=512,
        description="The bearer token of the synchronous Post's internal HTTP call, of printable ASCII without spaces; "
        "not set: the call does not exist and its port is not listened at.",
    )
    sync_post_host: str = Field(default="127.0.0.1", description="Where the synchronous Post's HTTP call listens.")
    sync_post_port: Port = Field(default=8082, description="Its port; keep it from the internet.")
    sync_post_most_in_flight: int = Field(
        default=200,
        ge=1,
        le=10_000,
        description="Synchronous posts at once; each holds a connection and up to its reply's bytes. More are told to "
        "come back. Of these FACESCAN_MOST_IN_FLIGHT_PER_DOMAIN to one domain.",
    )
    sync_post_most_reply_bytes: int = Field(
        default=256 * 1024, ge=1024, le=4 * 1024 * 1024, description="A longer reply to a synchronous post is no reply."
    )
    development_connect_to: Path | None = Field(
        default=None,
        description="Development only: a folder whose <domain>.json names in `inbox` where messages to that domain "
        "really go (like curl --connect-to); its ca.pem, if there, is trusted.",
    )

    @field_validator("receiver_generations")
    @classmethod
    def _generations(cls, text: str) -> str:
        parse_generations(text)
        return text

    @field_validator("post_roles")
    @classmethod
    def _known_roles(cls, text: str) -> str:
        return checked_roles(text, ROLES)

    @field_validator("sync_post_token")
    @classmethod
    def _can_stand_in_a_header(cls, token: SecretStr | None) -> SecretStr | None:
        text = token.get_secret_value() if token is not None else ""
        if not (text.isascii() and text.isprintable()) or " " in text:
            raise ValueError("a token is printable ASCII without spaces")
        return token

    @model_validator(mode="after")
    def _development_only(self) -> Self:
        if self.development_connect_to is not None and self.environment is not Environment.DEVELOPMENT:
            raise ValueError(
                "FACESCAN_DEVELOPMENT_CONNECT_TO sends messages elsewhere than DNS says: it is refused unless "
                "FACESCAN_ENVIRONMENT is development"
            )
        return self

    @property
    def roles(self) -> frozenset[str]:
        """What this process does."""
        return frozenset(self.post_roles.split(","))

    @property
    def generations(self) -> Generations:
        """What receivers are spoken to in."""
        return parse_generations(self.receiver_generations)
