"""Settings of the senders' keys in memory, and of the look-ups that strangers may cause (ADR 15)."""

from typing import Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings

from services.inbox.key_cache import CacheBounds
from services.inbox.look_up_budget import LookUpBudget


class KeyCacheSettings(BaseSettings):
    """How many keys are remembered, for how long, and how many are asked for."""

    key_cache_names: int = Field(
        default=10_000,
        ge=10,
        le=1_000_000,
        description="Names whose key is remembered: so many that have verified a message, and as many others. Each "
        "costs about 1 KiB; more are forgotten, the longest unused first.",
    )
    key_cache_least_seconds: float = Field(
        default=5.0,
        ge=0,
        le=300,
        description="A shorter time to live counts as this, so that a time of 0 is no look-up for each message. A "
        "revoked key is believed so long.",
    )
    key_cache_longest_seconds: float = Field(
        default=3600.0,
        gt=0,
        le=86_400,
        description="A longer time to live counts as this: a revoked key is believed no longer than this and the "
        "resolver's own bound (cache-max-ttl).",
    )
    key_cache_negative_seconds: float = Field(
        default=60.0,
        gt=0,
        le=3600,
        description="An absent, unsigned or bogus record is remembered no longer. A sender that has just signed its "
        "zone is refused so long.",
    )
    key_look_ups_at_once: float = Field(
        default=10.0,
        ge=1,
        le=10_000,
        description="Look-ups that one sender's name may cause at once, beside those of its proven keys; then 429.",
    )
    key_look_ups_per_second: float = Field(
        default=0.5, gt=0, le=1000, description="As many more a second of one sender's name."
    )
    key_look_ups_overall_per_second: float = Field(
        default=200.0,
        ge=1,
        le=100_000,
        description="Look-ups a second that all unproven names cause together; then 503. Bounds what forgers make the "
        "resolver do.",
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.key_cache_least_seconds > min(self.key_cache_longest_seconds, self.key_cache_negative_seconds):
            raise ValueError(
                "FACESCAN_KEY_CACHE_LEAST_SECONDS is longer than FACESCAN_KEY_CACHE_LONGEST_SECONDS or "
                "FACESCAN_KEY_CACHE_NEGATIVE_SECONDS"
            )
        return self

    @property
    def key_cache_bounds(self) -> CacheBounds:
        """What is kept."""
        return CacheBounds(
            most_names=self.key_cache_names,
            least_seconds=self.key_cache_least_seconds,
            longest_seconds=self.key_cache_longest_seconds,
            negative_seconds=self.key_cache_negative_seconds,
        )

    def look_up_budget(self) -> LookUpBudget:
        """Return a fresh budget of look-ups."""
        return LookUpBudget(
            burst=self.key_look_ups_at_once,
            per_second=self.key_look_ups_per_second,
            overall_per_second=self.key_look_ups_overall_per_second,
            most_owners=self.key_cache_names,
        )
