"""Settings of the verdict service."""

from pathlib import Path

from pydantic import Field, field_validator

from services.verdict.policy import Limits
from services.verdict.terms import PROOFS, StepUp
from shared.domain_names import domain_name
from shared.failures import Bounds, Kind
from shared.liveness_settings import LivenessSettings
from shared.retention import RetentionSettings


class VerdictSettings(LivenessSettings, RetentionSettings):
    """What the verdict service needs to know."""

    least_confidence_percent: float = Field(
        default=80.0, ge=0, le=100, description="Below this liveness confidence a check is not live."
    )
    least_similarity_percent: float = Field(
        default=99.0, ge=0, le=100, description="Below this similarity the face is not the legal photo's."
    )
    most_attempts: int = Field(default=3, ge=1, le=20, description="How many sessions one verification may use.")
    popup_close_subject: str = Field(default="ClosePopup@Wallet", description="The message that closes the pop-up.")
    answer_subject: str = Field(default="LocatorVerified@Domain", description="The message that carries the answer.")
    answer_seconds: float = Field(
        default=600.0,
        gt=0,
        le=86_400,
        description="How long an answer is good for: it says until when, so that nobody uses it again much later.",
    )
    verdict_terms: Path | None = Field(
        default=None,
        description="JSON file with thresholds, least proof and class per requester and purpose (docs/policy.md).",
    )
    skip_seconds: float = Field(
        default=0.0,
        ge=0,
        le=86_400,
        description="How long a success may stand for the next scan: same device, near, same class of requester. 0: "
        "each verification has a scan of its own.",
    )
    near_kilometres: float = Field(
        default=5.0, gt=0, le=1000, description="How near the recent success must be for a scan to be skipped."
    )
    far_kilometres: float = Field(
        default=500.0,
        gt=0,
        le=25_000,
        description="How far from all remembered successes counts as elsewhere, which asks for a second scan.",
    )
    absent_days: float = Field(
        default=180.0,
        gt=0,
        le=36_500,
        description="After so long without a success, a second scan is asked for. FACESCAN_HISTORY_DAYS bounds what is "
        "remembered; enrolment counts too.",
    )
    lock_out_failures: int = Field(
        default=5,
        ge=1,
        le=20,
        description="So many failed checks of one person within the window lock the person out: faces are not tried "
        "one after the other.",
    )
    lock_out_window_seconds: float = Field(default=900.0, gt=0, le=86_400, description="The window of failed checks.")
    lock_out_seconds: float = Field(
        default=1800.0,
        gt=0,
        le=86_400,
        description="How long the first lock-out lasts; each further one within a day twice as long, up to a day.",
    )
    step_up: StepUp = Field(
        default="scan twice",
        description="What one risk asks for. Of a person without that factor, the next more that can be had.",
    )
    step_up_more: StepUp = Field(
        default="scan twice and code", description="What two or more risks ask for; never less than one does."
    )
    most_answers: int = Field(
        default=3,
        ge=1,
        le=10,
        description="So many wrong answers, or wrong one-time passwords, end a verification with failure: nobody "
        "guesses.",
    )
    history_days: float = Field(
        default=365.0,
        gt=1,
        le=3650,
        description="How long it is remembered how a person's checks ended, and on which device and where.",
    )
    locator_issuers: str = Field(
        default="",
        description="domain[,domain…] that may ask for locators of persons by message; any other is refused.",
    )
    locator_days: int = Field(
        default=365, ge=1, le=3650, description="The longest that a locator is good for, and how long when nobody says."
    )
    locator_subject: str = Field(
        default="LocatorIssued@Domain", description="The message that answers a request for a locator."
    )

    supervisors: str = Field(
        default="",
        description="domain[,domain…] whose own cameras are trusted for supervised matches; any other is refused.",
    )
    upload_seconds: float = Field(
        default=120.0,
        ge=10,
        le=3600,
        description="How long an upload may be used; then the picture is removed.",
    )
    upload_subject: str = Field(default="PictureUpload@Domain", description="The message that offers an upload.")

    @field_validator("locator_issuers", "supervisors")
    @classmethod
    def _domains(cls, text: str) -> str:
        return ",".join(domain_name(name.strip()) for name in text.split(",") if name.strip())

    device_failures: int = Field(
        default=5,
        ge=0,
        le=1000,
        description="So many failed checks on one device within FACESCAN_FAILURE_WINDOW_SECONDS block it; 0: never. "
        "Devices are known where a wallet signs them (docs/chats.md).",
    )
    person_failures: int = Field(default=5, ge=0, le=1000, description="The same for one person, on any device.")
    address_failures: int = Field(
        default=20,
        ge=0,
        le=100_000,
        description="The same for one address (IPv6: its /64). Many people may share one.",
    )
    requester_failures: int = Field(
        default=500, ge=0, le=1_000_000, description="The same for one asking domain, all its people together."
    )
    failure_window_seconds: int = Field(default=180, ge=1, le=86_400, description="The window of those failures.")
    block_seconds: str = Field(
        default="1800,3600,86400",
        pattern=r"^[1-9]\d{0,6}(,[1-9]\d{0,6}){0,9}$",
        description="How long the first block lasts, the second, and so on; the last one is repeated. A day without a "
        "block begins anew.",
    )

    @property
    def failure_bounds(self) -> Bounds:
        """How many failures block whom, and for how long."""
        return Bounds(
            {kind: getattr(self, f"{kind.value}_failures") for kind in Kind},
            self.failure_window_seconds,
            tuple(int(part) for part in self.block_seconds.split(",")),
        )

    @property
    def limits(self) -> Limits:
        """Where the policy's facts begin."""
        values = {name: getattr(self, name) for name in Limits.__dataclass_fields__}
        proofs = {name: PROOFS[getattr(self, name)] for name in ("step_up", "step_up_more")}
        return Limits(**{**values, **proofs})
