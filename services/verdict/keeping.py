"""Keeping little: the reader of erasures and the deleter beside the readers."""

from services.verdict.announcing import Announcing
from services.verdict.erasing import Erasing
from services.verdict.settings import VerdictSettings
from shared.audit import AuditTrail
from shared.clock import now_utc
from shared.consuming import Consuming
from shared.deleter import Deleter, run_regularly
from shared.erasure import Erasure
from shared.events import PersonErasureRequested
from shared.leases import Leases
from shared.person_keys import PersonKeys
from shared.queries import Queries
from shared.received import event_decoder
from shared.service import Service
from shared.verifications import Verifications


def keep_little(
    service: Service,
    settings: VerdictSettings,
    *,
    keys: PersonKeys,
    verifications: Verifications,
    announcing: Announcing,
    trail: AuditTrail,
) -> None:
    """Add to the service what removes: persons who want to be forgotten, and whatever has had its time."""
    erasure = Erasure(service.aws, service.tables, keys, settings)
    erasing = Erasing(
        verifications=verifications,
        queries=Queries(service.aws, settings),
        announcing=announcing,
        erasure=erasure,
        audit=trail,
        clock=now_utc,
    )
    service.read(
        Consuming(
            topic=PersonErasureRequested.topic,
            group="facescan.verdict.erasures",
            decode=event_decoder(PersonErasureRequested),
            publisher=service.publisher,
            handle=erasing.on_requested,
            drain_seconds=settings.drain_seconds,
        ),
        PersonErasureRequested,
        "Removes everything that is held of a person.",
    )
    deleter = Deleter(service.aws, service.tables, erasure, trail, settings)
    service.beside(lambda: run_regularly(deleter, Leases(service.tables), settings.retention_minutes))
