"""Settings of the session service."""

from pydantic import Field, SecretStr

from shared.settings import Port, Settings


class SessionSettings(Settings):
    """What the session service needs to know."""

    session_host: str = Field(default="127.0.0.1", description="Where the scan page is served.")
    session_port: Port = Field(default=8081, description="Its port.")
    session_public_url: str = Field(
        pattern=r"^https?://[^/\s]+$", description="The scan page's origin as wallets reach it, for example "
        "https://scan.id.example."
    )  # fmt: skip
    scan_token_secret: SecretStr = Field(
        min_length=32, description="Makes the scan page's addresses unguessable; the same for all replicas."
    )
    verification_seconds: float = Field(
        default=600.0, gt=0, le=3600, description="How long a person may take when the request does not say."
    )
    attempt_seconds: float = Field(
        default=165.0,
        gt=0,
        le=170,
        description="How long one attempt may take; the provider forgets everything after 180 s.",
    )
    most_attempts: int = Field(default=3, ge=1, le=20, description="How many sessions one verification may use.")
    popup_subject: str = Field(default="OpenPopup@Wallet", description="The message that opens the pop-up.")
