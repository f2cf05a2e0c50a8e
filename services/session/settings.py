"""Settings of the session service."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator

from shared.addresses import networks
from shared.liveness_settings import REKOGNITION, LivenessSettings
from shared.settings import Environment, Port


def _networks(text: str) -> str:
    networks(text)
    return text


class SessionSettings(LivenessSettings):
    """What the session service needs to know."""

    session_host: str = Field(default="127.0.0.1", description="Where the scan page is served.")
    session_port: Port = Field(default=8081, description="Its port.")
    session_public_url: str = Field(
        pattern=r"^https?://[^/\s]+$", description="The scan page's origin as wallets reach it, for example "
        "https://scan.id.example."
    )  # fmt: skip
    scan_trusted_proxies: Annotated[str, AfterValidator(_networks)] = Field(
        default="",
        description="Networks (a.b.c.d/n, comma-separated) whose X-Forwarded-For is believed at the scan page: failed "
        "checks are counted by address. Name just those that write it themselves.",
    )
    scan_token_secret: SecretStr = Field(
        min_length=32, description="Makes the scan page's addresses unguessable; the same for all replicas."
    )
    streaming_role: str | None = Field(
        default=None,
        pattern=r"^arn:aws[a-z-]*:iam::\d{12}:role/[A-Za-z0-9+=,.@_/-]+$",
        description="ARN of the role whose credentials a person's browser gets, for one action and 15 minutes. Needed "
        "in production.",
    )
    face_model: Path | None = Field(
        default=None,
        description="Folder with the face detector that the page loads: BlazeFace's model.json and its weights (see "
        "docs/scan-page.md). Needed in production.",
    )
    check_without_lights: bool = Field(
        default=True,
        description="Whether a person may choose the check without flashing lights, which shuts nobody out who must "
        "not see them, and tells the provider less.",
    )
    development_streaming_url: str | None = Field(
        default=None,
        pattern=r"^wss://[^/\s]+$",
        description="Development only: where the page streams to instead of AWS, for example the stand-in.",
    )
    development_framed_by: str | None = Field(
        default=None,
        pattern=r"^https?://[^/\s;,'\"]+$",
        description="Development only: the one origin whose pages may show the scan page in a frame, for example the "
        "playground's. Everywhere else no page may: whoever frames it could lead a person's clicks.",
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
    chat_host: str = Field(default="127.0.0.1", description="Where the inbox reaches the session service.")
    chat_port: Port | None = Field(
        default=None,
        description="The port there: POST /prompted for Prompted@Host and /replied for Reply@Host. Set it, and name it "
        "in the endpoint map, where brokers invite this Identity into chats (docs/chats.md).",
    )
    popup_subject: str = Field(default="OpenPopup@Wallet", description="The message that opens the pop-up.")

    @model_validator(mode="after")
    def _whole_in_production(self) -> Self:
        if self.environment is Environment.DEVELOPMENT:
            return self
        if self.development_streaming_url is not None:
            raise ValueError(
                "FACESCAN_DEVELOPMENT_STREAMING_URL sends video elsewhere than to the provider: it is refused unless "
                "FACESCAN_ENVIRONMENT is development"
            )
        if self.development_framed_by is not None:
            raise ValueError(
                "FACESCAN_DEVELOPMENT_FRAMED_BY lets another page frame the scan page: it is refused unless "
                "FACESCAN_ENVIRONMENT is development"
            )
        if REKOGNITION in self.providers_used and (self.streaming_role is None or self.face_model is None):
            raise ValueError(
                "FACESCAN_STREAMING_ROLE and FACESCAN_FACE_MODEL must be set: without them no browser can film"
            )
        return self
