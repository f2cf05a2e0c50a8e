"""The session service's composition root."""

from services.session.attempts import Attempts
from services.session.liveness import RekognitionSessions
from services.session.prompting import Prompting
from services.session.scan_page import ScanPage
from services.session.settings import SessionSettings
from services.session.tokens import Tokens
from shared.clock import now_utc
from shared.consuming import Consuming, event_decoder
from shared.events import CaptureCompleted, DeadlinePassed, PostRequested, SessionCreated, VerificationRequested
from shared.people import People
from shared.service import Service
from shared.tables import ATTEMPTS, LOCATORS, PERSONS, VERIFICATIONS
from shared.verifications import Verifications

SETTINGS = SessionSettings


def build(settings: SessionSettings) -> Service:
    """Put the session service together."""
    service = Service("session", settings, tables=[LOCATORS, PERSONS, VERIFICATIONS, ATTEMPTS], uses=["rekognition"])
    verifications = Verifications(service.tables)
    tokens = Tokens(settings.scan_token_secret.get_secret_value())
    prompting = Prompting(
        people=People(service.tables),
        verifications=verifications,
        publisher=service.publisher,
        tokens=tokens,
        domain=settings.domain,
        public_url=settings.session_public_url,
        verification_seconds=settings.verification_seconds,
        popup_subject=settings.popup_subject,
        clock=now_utc,
    )
    attempts = Attempts(
        verifications=verifications,
        publisher=service.publisher,
        sessions=RekognitionSessions(service.aws),
        attempt_seconds=settings.attempt_seconds,
        clock=now_utc,
    )
    page = ScanPage(
        verifications=verifications,
        attempts=attempts,
        tokens=tokens,
        most_attempts=settings.most_attempts,
        clock=now_utc,
    )
    service.serve(page.application(), settings.session_host, settings.session_port, variable="FACESCAN_SESSION_PORT")
    service.read(
        Consuming(
            topic=VerificationRequested.topic,
            group="facescan.session.prompting",
            decode=event_decoder(VerificationRequested),
            publisher=service.publisher,
            handle=prompting.on_requested,
            drain_seconds=settings.drain_seconds,
        ),
        VerificationRequested,
        "Opens the pop-up and sets the deadline.",
    )
    service.writes(PostRequested, SessionCreated, CaptureCompleted, DeadlinePassed)
    return service
