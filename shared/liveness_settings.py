"""Settings of whoever speaks to a liveness provider (docs/providers.md)."""

from typing import Final

from pydantic import Field, SecretStr, field_validator, model_validator

from shared.domain_names import domain_name
from shared.settings import Environment, Settings

REKOGNITION: Final = "rekognition"
AZURE: Final = "azure"
PROVIDERS: Final = (REKOGNITION, AZURE)
_MOST_REQUESTERS: Final = 1000


def parse_by_requester(text: str) -> dict[str, str]:
    """Return provider by domain from ``domain=provider[,…]``. Raises ValueError naming the part that is wrong."""
    chosen: dict[str, str] = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        domain, equals, provider = (piece.strip() for piece in part.partition("="))
        if not equals:
            raise ValueError(f"{part[:100]!r} is not of the form domain=provider")
        if provider not in PROVIDERS:
            raise ValueError(f"{domain[:100]}: {provider[:40]!r} is no provider; there are {', '.join(PROVIDERS)}")
        name = domain_name(domain)
        if name in chosen:
            raise ValueError(f"{name} stands there twice")
        chosen[name] = provider
    if len(chosen) > _MOST_REQUESTERS:
        raise ValueError(f"{len(chosen)} domains; at most {_MOST_REQUESTERS} may have a provider of their own")
    return chosen


class LivenessSettings(Settings):
    """Which provider, and how to reach it."""

    liveness_provider: str = Field(
        default=REKOGNITION, pattern=r"^(rekognition|azure)$", description="Who checks: rekognition or azure."
    )
    liveness_provider_by_requester: str = Field(
        default="",
        description="Requesters with another one: domain=provider[,…]. The same for session and verdict.",
    )
    rekognition_sessions_per_second: float | None = Field(
        default=None,
        ge=0,
        le=1000,
        description="How many sessions Rekognition lets this account create a second; the quota of the region (25 or "
        "5) when left out, 0 for as many as come. Whoever comes sooner waits for their turn and is told how long.",
    )
    azure_endpoint: str | None = Field(
        default=None,
        pattern=r"^https?://[^/\s@]+$",
        description="The Azure Face resource, for example https://name.cognitiveservices.azure.com. http is for "
        "development alone.",
    )
    azure_key: SecretStr | None = Field(default=None, min_length=8, description="A key of that resource.")
    azure_key_secret: str | None = Field(
        default=None,
        min_length=1,
        max_length=512,
        pattern=r"^[A-Za-z0-9/_+=.@:-]+$",
        description="Instead of the key: name or ARN of a secret in Secrets Manager that is the key. It is read again "
        "when Azure refuses what was read before.",
    )
    azure_quick_link: str = Field(
        default="https://liveness.face.azure.com",
        pattern=r"^https?://[^/\s@]+$",
        description="Where Microsoft hosts the page that films. http is for development alone.",
    )
    azure_sessions_per_second: float = Field(
        default=3.0,
        ge=0,
        le=1000,
        description="How many sessions may be created a second; 0 for as many as come. A check is three calls, and the "
        "resource takes 10 a second.",
    )
    azure_least_match_confidence: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="Below this confidence (0 to 1) of Azure's comparison the face is not the legal photo's. Azure's "
        "own default is 0.5.",
    )

    @field_validator("liveness_provider_by_requester")
    @classmethod
    def _by_requester(cls, text: str) -> str:
        parse_by_requester(text)
        return text

    @property
    def provider_of_requester(self) -> dict[str, str]:
        """Provider by requesting domain, where it is another than ``liveness_provider``'s."""
        return parse_by_requester(self.liveness_provider_by_requester)

    @property
    def providers_used(self) -> frozenset[str]:
        """Names of all providers that a new session may be created at."""
        return frozenset({self.liveness_provider, *self.provider_of_requester.values()})

    @model_validator(mode="after")
    def _azure_is_whole(self) -> "LivenessSettings":
        given = (self.azure_key is not None) + (self.azure_key_secret is not None)
        if AZURE in self.providers_used and (self.azure_endpoint is None or given == 0):
            raise ValueError(
                "FACESCAN_AZURE_ENDPOINT and FACESCAN_AZURE_KEY or FACESCAN_AZURE_KEY_SECRET must be set: the provider "
                "azure is chosen"
            )
        if given == 2:  # noqa: PLR2004 - both of two
            raise ValueError("FACESCAN_AZURE_KEY and FACESCAN_AZURE_KEY_SECRET are two answers to one question")
        if self.environment is Environment.PRODUCTION:
            for variable, url in (
                ("FACESCAN_AZURE_ENDPOINT", self.azure_endpoint),
                ("FACESCAN_AZURE_QUICK_LINK", self.azure_quick_link),
            ):
                if url is not None and not url.startswith("https://"):
                    raise ValueError(f"{variable}: pictures and keys go there: only https is taken")
        return self
