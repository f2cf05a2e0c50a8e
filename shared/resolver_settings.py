"""Settings of whoever asks a validating resolver. The DNS library is loaded only when one is opened."""

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field
from pydantic_settings import BaseSettings

from shared.errors import ConfigurationError

if TYPE_CHECKING:
    from shared.resolver import ValidatingResolver


class ResolverSettings(BaseSettings):
    """How the resolver is trusted; where it is stands in ``dns_resolver`` of each service."""

    dns_timeout_seconds: float = Field(
        default=2.0,
        gt=0,
        le=30,
        description="One look-up may take so long; then a record is undecided, and a message answered 503.",
    )
    dns_authority: Path | None = Field(
        default=None,
        description="PEM file of the authorities whose certificate a resolver over TLS must have; not set: those that "
        "the system knows.",
    )
    dns_bogus_name: str | None = Field(
        default=None,
        max_length=253,
        pattern=r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)+$",
        description="A name whose signature is known to be wrong, such as dnssec-failed.org: asked for at the start "
        "and by facescan dns check, for only so can a resolver be seen to validate. Not set: it is not proven.",
    )

    def open_resolver(self, where: str) -> "ValidatingResolver":
        """Return the resolver at ``where``. Raises ConfigurationError for a file that cannot be read."""
        from shared.resolver import ValidatingResolver  # noqa: PLC0415 - an idle service has little room (ADR 7)

        try:
            return ValidatingResolver(where, self.dns_timeout_seconds, authority=self.dns_authority)
        except OSError as error:
            why = error.strerror or str(error)
            raise ConfigurationError(f"FACESCAN_DNS_AUTHORITY: {self.dns_authority}: {why}") from None
