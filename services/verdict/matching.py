"""The reader of supervised matches beside the others."""

from services.verdict.announcing import Announcing
from services.verdict.comparison import Faces
from services.verdict.settings import VerdictSettings
from services.verdict.supervised import Supervised, Uploads
from services.verdict.terms import TermsTable
from shared.clock import now_utc
from shared.consuming import Consuming
from shared.events import MatchRequested
from shared.people import People
from shared.received import event_decoder
from shared.service import Service
from shared.verifications import Verifications


def match_pictures(
    service: Service, settings: VerdictSettings, *, faces: Faces, announcing: Announcing, terms: TermsTable
) -> None:
    """Let the service read requests for supervised matches."""
    supervised = Supervised(
        people=People(service.tables),
        verifications=Verifications(service.tables),
        uploads=Uploads(service.aws, settings.bucket),
        faces=faces,
        terms=terms,
        announcing=announcing,
        publisher=service.publisher,
        supervisors=frozenset(settings.supervisors.split(",")),
        upload_seconds=settings.upload_seconds,
        offer_subject=settings.upload_subject,
        clock=now_utc,
    )
    service.read(
        Consuming(
            topic=MatchRequested.topic,
            group="facescan.verdict.matches",
            decode=event_decoder(MatchRequested),
            publisher=service.publisher,
            handle=supervised.on_requested,
            drain_seconds=settings.drain_seconds,
        ),
        MatchRequested,
        "Matches pictures of trusted domains' own cameras with locators.",
    )
