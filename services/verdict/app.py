"""The verdict service's composition root."""

from services.verdict.announcing import Announcing
from services.verdict.answering import Answering, look_at_answers
from services.verdict.auditing import Auditing
from services.verdict.comparison import RekognitionFaces
from services.verdict.evidence import EvidenceStore
from services.verdict.handlers import Verdicts
from services.verdict.history import History
from services.verdict.issuing import issue_locators
from services.verdict.keeping import keep_little
from services.verdict.matching import match_pictures
from services.verdict.openings import Openings
from services.verdict.proofs import Proofs
from services.verdict.settings import VerdictSettings
from services.verdict.terms import TermsTable, read_terms
from shared.answer_box import AnswerBox
from shared.audit import AuditTrail
from shared.clock import now_utc
from shared.consuming import Consuming
from shared.enrolled_factors import EnrolledFactors
from shared.events import (
    CaptureCompleted,
    DeadlinePassed,
    LocatorSettled,
    PostRequested,
    VerdictReached,
    VerificationOpened,
)
from shared.failure_tallies import FailureTallies
from shared.legal_photos import LegalPhotos
from shared.liveness_providers import providers_from
from shared.person_keys import PersonKeys
from shared.queries import Queries
from shared.received import event_decoder
from shared.service import Service
from shared.tables import (
    ATTEMPTS,
    AUDIT,
    AUDIT_ENTRIES,
    FACTORS,
    FAILURES,
    HISTORY,
    ISSUED,
    LEASES,
    LOCATORS,
    PERSON_KEYS,
    PERSONS,
    VERDICTS,
    VERIFICATIONS,
)
from shared.verifications import Verifications

SETTINGS = VerdictSettings

_TABLES = (
    VERIFICATIONS,
    ATTEMPTS,
    FACTORS,
    FAILURES,
    VERDICTS,
    HISTORY,
    PERSON_KEYS,
    AUDIT,
    AUDIT_ENTRIES,
    LEASES,
    LOCATORS,
    ISSUED,
    PERSONS,
)


def build(settings: VerdictSettings) -> Service:
    """Put the verdict service together."""
    service = Service("verdict", settings, tables=_TABLES, uses=["s3", "rekognition"])  # KMS on first use: 1.5 MiB
    verifications = Verifications(service.tables)
    keys = PersonKeys(service.aws, service.tables, settings)
    trail = AuditTrail(service.tables, Queries(service.aws, settings))
    announcing = Announcing(
        verifications=verifications,
        publisher=service.publisher,
        auditing=Auditing(verifications, trail),
        close_subject=settings.popup_close_subject,
        answer_subject=settings.answer_subject,
        answer_seconds=settings.answer_seconds,
    )
    terms = TermsTable(
        read_terms(settings.verdict_terms),
        least_confidence_percent=settings.least_confidence_percent,
        least_similarity_percent=settings.least_similarity_percent,
    )
    factors = EnrolledFactors(service.tables, Queries(service.aws, settings), keys)
    failures = FailureTallies(service.tables, settings.failure_bounds)
    proofs = Proofs(
        history=History(service.tables, settings.history_days),
        factors=factors,
        terms=terms,
        limits=settings.limits,
    )
    faces = RekognitionFaces(service.aws, LegalPhotos(service.aws, keys, settings))
    verdicts = Verdicts(
        verifications=verifications,
        providers=providers_from(settings, service.aws, service.tables),
        evidence=EvidenceStore(service.aws, settings.bucket, keys),
        faces=faces,
        proofs=proofs,
        failures=failures,
        announcing=announcing,
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
            drain_seconds=settings.drain_seconds,
        ),
        DeadlinePassed,
        "Ends attempts whose page went silent, and verifications whose time is over.",
    )
    opened = Openings(verifications=verifications, proofs=proofs, announcing=announcing, clock=now_utc)
    service.read(
        Consuming(
            topic=VerificationOpened.topic,
            group="facescan.verdict.openings",
            decode=event_decoder(VerificationOpened),
            publisher=service.publisher,
            handle=opened.on_opened,
            drain_seconds=settings.drain_seconds,
        ),
        VerificationOpened,
        "Decides at once where a success of a moment ago stands for the scan.",
    )
    answering = Answering(
        verifications=verifications,
        proofs=proofs,
        factors=factors,
        box=AnswerBox(service.aws, settings),
        failures=failures,
        announcing=announcing,
        most_wrong=settings.most_answers,
        clock=now_utc,
    )
    look_at_answers(service, answering, settings.drain_seconds)
    keep_little(service, settings, keys=keys, verifications=verifications, announcing=announcing, trail=trail)
    issue_locators(service, settings)
    match_pictures(service, settings, faces=faces, announcing=announcing, terms=terms)
    service.writes(VerdictReached, PostRequested, LocatorSettled)
    return service
