"""Settings of the gateway."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from shared.addresses import networks
from shared.settings import Environment, OutboundSettings, Port


def _networks(text: str) -> str:
    networks(text)
    return text


class GatewaySettings(OutboundSettings):
    """What the gateway needs to know."""

    gateway_host: str = Field(default="127.0.0.1", description="Where clients ask.")
    gateway_port: Port = Field(default=8083, description="Its port.")
    gateway_trusted_proxies: Annotated[str, AfterValidator(_networks)] = Field(
        default="",
        description="Networks (a.b.c.d/n, comma-separated) whose X-Forwarded-For is believed at the gateway. Name just "
        "those that write it themselves.",
    )
    clients_secret: str = Field(
        default="facescan/clients",
        min_length=1,
        max_length=512,
        pattern=r"^[A-Za-z0-9/_+=.@:-]+$",
        description="Name or ARN of the secret in Secrets Manager that holds the clients; `facescan clients add` makes "
        "it.",
    )
    development_clients_file: Path | None = Field(
        default=None, description="Development only: a file with the clients, instead of the secret."
    )
    clients_reread_seconds: float = Field(
        default=60.0, ge=1, le=3600, description="How often the clients are read again: a removed one may ask so long."
    )
    client_rate: float = Field(
        default=20.0, ge=0.1, le=100_000, description="Requests a second of one client in the long run; more are 429."
    )
    client_burst: float = Field(default=100.0, ge=1, le=1_000_000, description="As many at once are taken from it.")
    gateway_address_rate: float = Field(
        default=50.0,
        ge=0.1,
        le=100_000,
        description="Requests a second from one address (IPv6: one /64), whoever it claims to be; more are 429.",
    )
    gateway_address_burst: float = Field(default=200.0, ge=1, le=1_000_000, description="As many at once.")
    webhook_timeout_seconds: float = Field(
        default=10.0, gt=0, le=60, description="One webhook's whole time: connect, send, answer."
    )
    webhook_most_in_flight: int = Field(
        default=500, ge=1, le=10_000, description="Webhooks in hand at once, under way or waiting for a place."
    )
    webhook_most_in_flight_per_client: int = Field(
        default=16, ge=1, le=1000, description="Of these to one client, so that a slow one takes only its own places."
    )
    webhook_give_up_seconds: float = Field(
        default=32 * 3600.0,
        gt=0,
        le=172_800,
        description="After this a webhook is given up and becomes a dead letter; the tries take 31 h at most.",
    )
    development_webhooks_anywhere: bool = Field(
        default=False,
        description="Development only: webhooks may go to http, and to any host and port.",
    )

    @model_validator(mode="after")
    def _development_only(self) -> Self:
        if self.environment is Environment.DEVELOPMENT:
            return self
        for given, name, why in (
            (self.development_clients_file is not None, "CLIENTS_FILE", "holds the webhooks' secrets in a plain file"),
            (self.development_webhooks_anywhere, "WEBHOOKS_ANYWHERE", "lets webhooks into this network"),
        ):
            if given:
                raise ValueError(
                    f"FACESCAN_DEVELOPMENT_{name} {why}: it is refused unless FACESCAN_ENVIRONMENT is development"
                )
        return self
