"""The inbox's composition root."""

from typing import Any

from services.inbox.claims import Claims
from services.inbox.front import front_door
from services.inbox.opener import Opener
from services.inbox.resolver import CachingResolver, ValidatingResolver
from services.inbox.router import Router, decode_accepted
from services.inbox.settings import InboxSettings
from services.inbox.subjects import SUBJECTS
from shared.clock import now_utc
from shared.consuming import Consuming
from shared.events import INBOX_ACCEPTED_TOPIC, VerificationRequested
from shared.service import Service
from shared.tables import CLAIMS

SETTINGS = InboxSettings


def build(settings: InboxSettings) -> Service:
    """Put the inbox together: the door before the log, the router behind it."""
    service = Service("inbox", settings, tables=[CLAIMS])
    resolver = CachingResolver(ValidatingResolver(settings.dns_resolver, settings.dns_timeout_seconds))
    opener = Opener(
        domain=settings.domain,
        window_seconds=settings.window_seconds,
        subjects=SUBJECTS,
        resolver=resolver,
        clock=now_utc,
    )
    service.listen(lambda: front_door(settings, opener, service.publisher))
    router = Router(
        claims=Claims(service.tables),
        publisher=service.publisher,
        subjects=SUBJECTS,
        claim_hours=settings.claim_hours,
    )
    service.read(
        Consuming(
            topic=INBOX_ACCEPTED_TOPIC,
            group="facescan.inbox.router",
            decode=decode_accepted,
            publisher=service.publisher,
            handle_batch=router.route,
            drain_seconds=settings.drain_seconds,
        ),
        dict[str, Any],
        "Signed messages, verified at the door, byte for byte as they came.",
    )
    service.writes(VerificationRequested)
    return service
