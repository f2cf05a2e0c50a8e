"""How long each kind of datum is kept: settings, with defaults from the strictest reading of the law.

GDPR Article 5(1)(e): no longer than is necessary for the purposes. Illinois BIPA §15(a): destroyed when the purpose is
satisfied, or three years after the last interaction, whichever comes first. Texas CUBI §503.001(c): within a year
after the purpose has expired.
"""

from dataclasses import dataclass
from typing import Final

from pydantic import Field

from shared.settings import StoreSettings
from shared.tables import LOCATORS, TABLES, TableSpec

DAY_SECONDS: Final = 86_400
HOUR_SECONDS: Final = 3600


class RetentionSettings(StoreSettings):
    """How long things are kept, and how often the deleter looks."""

    retention_minutes: float = Field(
        default=60.0, gt=0, le=1440, description="How often the deleter looks for what has had its time."
    )
    keep_evidence_hours: float = Field(
        default=2.0,
        ge=1,
        le=72,
        description="After this the deleter removes pictures of checks; the verdict itself does as soon as it has "
        "decided. A verification lasts an hour at most.",
    )
    keep_replaced_photo_hours: float = Field(
        default=24.0,
        ge=2,
        le=720,
        description="How long a legal photo stays after another took its place (checks under way still compare with "
        "it), or when no person belongs to it.",
    )
    keep_person_days: float = Field(
        default=30.0,
        ge=0,
        le=365,
        description="A person is erased so long after the last locator has expired: its purpose is served then.",
    )
    keep_idle_person_days: float = Field(
        default=1095.0,
        ge=1,
        le=1095,
        description="A person is erased so long after the enrolment when no check is remembered of the time since; "
        "enrol anew to keep. Three years is the most that the law of Illinois allows.",
    )


@dataclass(frozen=True, slots=True)
class Rule:
    """Items of a table are removed when the epoch seconds in ``attribute`` are ``keep_seconds`` ago."""

    table: TableSpec
    attribute: str
    keep_seconds: float


# Items that carry their own end: DynamoDB's time to live removes them within days, the deleter within its period.
RULES: Final = tuple(Rule(spec, spec.expires_by, 0) for spec in TABLES if spec.expires_by is not None)


def locator_rule(settings: RetentionSettings) -> Rule:
    """Return when locators go: with the last one the person goes too."""
    return Rule(LOCATORS, "expires_at", settings.keep_person_days * DAY_SECONDS)
