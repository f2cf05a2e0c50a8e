"""The verdict service's composition root."""

from services.verdict.announcing import Announcing
from services.verdict.comparison import RekognitionFaces
from services.verdict.evidence import EvidenceStore
from services.verdict.handlers import Verdicts
from services.verdict.settings import VerdictSettings
from shared.clock import now_utc
from shared.consuming import Consuming, event_decoder
from shared.events import CaptureCompleted, DeadlinePassed, PostRequested, VerdictReached
from shared.legal_photos import LegalPhotos
from shared.liveness_providers import providers_from
from shared.person_keys import PersonKeys
from shared.service import Service
from shared.tables import ATTEMPTS, PERSON_KEYS, VERDICTS, VERIFICATIONS
from shared.verifications import Verifications

SETTINGS = VerdictSettings

_TABLES = (VERIFICATIONS, ATTEMPTS, VERDICTS, PERSON_KEYS)


def build(settings: VerdictSettings) -> Service:
    """Put the verdict service together."""
    service = Service("verdict", settings, tables=_TABLES, uses=["s3", "rekognition", "kms"])
    verifications = Verifications(service.tables)
    keys = PersonKeys(service.aws, service.tables, settings)
    verdicts = Verdicts(
        verifications=verifications,
        providers=providers_from(settings, service.aws),
        evidence=EvidenceStore(service.aws, settings.bucket, keys),
        faces=RekognitionFaces(
            service.aws, LegalPhotos(service.aws, keys, settings), settings.least_similarity_percent
        ),
        announcing=Announcing(
            verifications=verifications,
            publisher=service.publisher,
            close_subject=settings.popup_close_subject,
            answer_subject=settings.answer_subject,
        ),
        least_confidence_percent=settings.least_confidence_percent,
        most_attempts=settings.most_attempts,
        clock=now_utc,
    )
    service.read(
        Consuming(
            topic=CaptureCompleted.topic,
            group="facescan.verdict.captures",
            decode=event_decoder(CaptureCompleted),
            publisher=service.publisher,
            handle=verdicts.on_capture,
            drain_seconds=settings.drain_seconds,
        ),
        CaptureCompleted,
        "Fetches the provider's result at once, compares, decides, announces.",
    )
    service.read(
        Consuming(
            topic=DeadlinePassed.topic,
            group="facescan.verdict.deadlines",
            decode=event_decoder(DeadlinePassed),
            publisher=service.publisher,
            handle=verdicts.on_deadline,
            patient=True,
            drain_seconds=settings.drain_seconds,
        ),
        DeadlinePassed,
        "Ends attempts whose page went silent, and verifications whose time is over.",
    )
    service.writes(VerdictReached, PostRequested)
    return service
