"""Settings of the verdict service."""

from pydantic import Field

from shared.liveness_settings import LivenessSettings


class VerdictSettings(LivenessSettings):
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
