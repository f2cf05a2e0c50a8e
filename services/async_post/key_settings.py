"""Settings of the signing keys, for the service and for `facescan keys` and `facescan dns`."""

from enum import StrEnum
from typing import Self

from pydantic import Field, SecretStr, model_validator

from services.async_post.ring import Algorithm
from services.async_post.timing import Timing
from shared.domain_names import DomainName
from shared.resolver_address import ResolverPlace
from shared.resolver_settings import ResolverSettings
from shared.settings import StoreSettings

_HOST_AND_PORT = r"^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):\d{1,5}$"


class DnsPublisher(StrEnum):
    """Who writes our records."""

    BY_HAND = "by-hand"
    ROUTE53 = "route53"
    RFC2136 = "rfc2136"


class KeySettings(ResolverSettings, StoreSettings):
    """Where the keys are, how their records get into DNS, and how long each step waits."""

    domain: DomainName = Field(description="This Identity's domain name.")
    signing_secret: str = Field(
        default="facescan/signing-key",
        min_length=1,
        max_length=512,
        description="The secret in Secrets Manager that holds the ring of signing keys; one key as JSON with selector "
        "and private_key (PEM) is taken too.",
    )
    key_algorithm: Algorithm = Field(default=Algorithm.ED25519, description="What a new key is: ed25519 or rsa-2048.")
    key_rotation_days: float | None = Field(
        default=None,
        gt=0,
        le=3650,
        description="A key this old is followed by a new one by itself; not set: only by facescan keys rotate. Needs "
        "FACESCAN_DNS_RESOLVER and a publisher that is no person.",
    )
    key_publisher: DnsPublisher = Field(
        default=DnsPublisher.BY_HAND, description="Who writes our key records: by-hand, route53 or rfc2136."
    )
    rfc2136_server: str | None = Field(
        default=None, pattern=_HOST_AND_PORT, description="address:port of the primary that takes dynamic updates."
    )
    rfc2136_key_name: str | None = Field(default=None, min_length=1, max_length=255, description="The TSIG key's name.")
    rfc2136_key_secret: SecretStr | None = Field(default=None, description="The TSIG key, base64 (hmac-sha256).")
    dns_resolver: ResolverPlace | None = Field(
        default=None,
        description="A DNSSEC-validating resolver: address:port on this very machine, or tls://address:port#name for "
        "DNS over TLS. How a rotation sees what the world sees.",
    )
    key_record_ttl_seconds: int = Field(
        default=300,
        ge=1,
        le=86_400,
        description="Time to live of our key records; a revocation takes as long to be seen.",
    )
    key_settle_seconds: float = Field(
        default=900.0,
        ge=0,
        description="A new key's record must have been seen for so long before the key signs, and at least for the "
        "zone's negative time to live: a receiver may still remember that there was none.",
    )
    key_look_seconds: float = Field(
        default=15.0, gt=0, le=3600, description="How often a rotation that waits for DNS looks again."
    )
    key_check_seconds: float = Field(
        default=3600.0,
        gt=0,
        description="A receiver may still check a message so long after it was signed; an old record stays as long.",
    )
    key_reread_seconds: float = Field(
        default=60.0, gt=0, le=3600, description="How often a running service looks which key is active."
    )
    key_trust_seconds: float = Field(
        default=3600.0,
        gt=0,
        description="A key that could not be confirmed for so long signs no more: it may have been retired meanwhile.",
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.key_trust_seconds <= self.key_reread_seconds:
            raise ValueError("FACESCAN_KEY_TRUST_SECONDS must be longer than FACESCAN_KEY_REREAD_SECONDS")
        update = (self.rfc2136_server, self.rfc2136_key_name, self.rfc2136_key_secret)
        if self.key_publisher is DnsPublisher.RFC2136 and None in update:
            raise ValueError("FACESCAN_KEY_PUBLISHER=rfc2136 needs FACESCAN_RFC2136_SERVER, _KEY_NAME and _KEY_SECRET")
        if self.key_rotation_days is not None and (
            self.dns_resolver is None or self.key_publisher is DnsPublisher.BY_HAND
        ):
            raise ValueError(
                "FACESCAN_KEY_ROTATION_DAYS needs FACESCAN_DNS_RESOLVER and FACESCAN_KEY_PUBLISHER route53 or rfc2136"
            )
        return self

    @property
    def timing(self) -> Timing:
        """How long each step of a rotation waits."""
        return Timing(
            rotate_seconds=None if self.key_rotation_days is None else self.key_rotation_days * 86_400,
            settle_seconds=self.key_settle_seconds,
            keep_seconds=self.key_trust_seconds + self.key_check_seconds + self.key_record_ttl_seconds,
        )
