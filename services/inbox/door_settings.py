"""Settings of the front door: each bound names the failure that it prevents."""

from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator, Field, model_validator
from pydantic_settings import BaseSettings

from shared.addresses import networks
from shared.strict_json import JsonBounds

_Rate = Annotated[float, Field(ge=0.1, le=1_000_000)]
# The deepest and the fullest JSON that a setting may let in.
_MOST_DEPTH: Final = 200
_MOST_NAMES: Final = 20_000
_MOST_NAMES_BY_DEFAULT: Final = 1000
_Burst = Annotated[float, Field(ge=1, le=10_000_000)]


def _networks(text: str) -> str:
    networks(text)
    return text


class DoorSettings(BaseSettings):
    """How much the front door takes, from whom, and how fast."""

    inbox_tls_certificate: Path | None = Field(
        default=None,
        description="PEM file of a certificate chain: the door then speaks TLS itself. None: TLS ends in front of it. "
        "Read again within a minute of a change.",
    )
    inbox_tls_key: Path | None = Field(default=None, description="PEM file of the certificate's private key.")
    trusted_proxies: Annotated[str, AfterValidator(_networks)] = Field(
        default="",
        description="Networks (a.b.c.d/n, comma-separated) whose X-Forwarded-For is believed. Name just those that "
        "write it themselves: anybody else could pass for another address.",
    )
    largest_body_bytes: int = Field(default=65536, ge=1024, le=500_000, description="Larger messages are answered 413.")
    largest_head_bytes: int = Field(
        default=16384, ge=1024, le=65536, description="Larger request lines and headers are answered 431."
    )
    most_headers: int = Field(default=64, ge=8, le=1000, description="More headers are answered 431.")
    deepest_json: int = Field(
        default=32, ge=4, le=_MOST_DEPTH, description="Deeper messages are answered 422: parsers and readers recurse."
    )
    most_json_names: int = Field(
        default=_MOST_NAMES_BY_DEFAULT,
        ge=50,
        le=_MOST_NAMES,
        description="Messages with more members are answered 422: each costs memory.",
    )
    most_connections: int = Field(
        default=2000, ge=1, le=100_000, description="More are answered 503: each costs a descriptor and memory."
    )
    most_connections_per_address: int = Field(
        default=100, ge=1, le=100_000, description="More are answered 429, so that one address cannot take them all."
    )
    head_seconds: float = Field(
        default=10.0, gt=0, le=300, description="A request's headers must be whole within this time, or it is 408."
    )
    body_seconds: float = Field(
        default=20.0, gt=0, le=300, description="Its body within this: slow senders hold connections."
    )
    idle_seconds: float = Field(
        default=75.0, gt=0, le=3600, description="How long a connection may be open with nothing to do."
    )
    address_rate: _Rate = Field(
        default=200.0, description="Requests a second from one address (IPv6: one /64) in the long run; more are 429."
    )
    address_burst: _Burst = Field(default=400.0, description="As many at once are taken from an address.")
    sender_rate: _Rate = Field(
        default=100.0, description="Proven messages a second from one sender's domain in the long run; more are 429."
    )
    sender_burst: _Burst = Field(default=500.0, description="As many at once are taken from a sender's domain.")
    unverified_rate: _Rate = Field(
        default=20.0,
        description="Failed signatures a second in one sender's name before messages in that name are 429, save from "
        "addresses that it was proven at within the hour: bounds what forgers can have looked up and checked.",
    )
    unverified_burst: _Burst = Field(default=100.0, description="As many failures at once are borne in one name.")
    most_in_flight: int = Field(
        default=2000, ge=1, le=100_000, description="More messages at once are answered 503, before memory grows."
    )
    most_body_bytes: int = Field(
        default=64 * 1024 * 1024, ge=1_000_000, description="More bytes of bodies at once are answered 503."
    )
    longest_lag_seconds: float = Field(
        default=1.0, gt=0, le=60, description="When the event loop is later than this, new messages are answered 503."
    )

    @property
    def json_bounds(self) -> JsonBounds:
        """How complex a message may be."""
        return _bounds(self.deepest_json, self.most_json_names)

    @model_validator(mode="after")
    def _whole_certificate(self) -> "DoorSettings":
        if (self.inbox_tls_certificate is None) != (self.inbox_tls_key is None):
            raise ValueError("FACESCAN_INBOX_TLS_CERTIFICATE and FACESCAN_INBOX_TLS_KEY: give both or neither")
        return self


def _bounds(depth: int, names: int) -> JsonBounds:
    # A value for each name and as many again in lists, and never fewer than the names that are allowed by default.
    many = max(names, _MOST_NAMES_BY_DEFAULT)
    return JsonBounds(most_depth=depth, most_values=2 * many, most_names=names, most_containers=many)


# For what a door has taken, perhaps by other settings than those of the process that reads it.
LOOSEST_JSON_BOUNDS: Final = _bounds(_MOST_DEPTH, _MOST_NAMES)
