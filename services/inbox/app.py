"""The inbox's composition root."""

import logging
from typing import Any

from services.inbox.claims import Claims
from services.inbox.endpoint_readers import EndpointReaders
from services.inbox.endpoint_reload import DEFAULT_FILE, CurrentMap
from services.inbox.feedback import Feedback
from services.inbox.front import front_door
from services.inbox.http_server import DoorServer
from services.inbox.intake import Intake
from services.inbox.key_cache import KeyCache
from services.inbox.manifest import Manifest, OwnManifest, default_manifest, read_manifest
from services.inbox.manifests import Manifests
from services.inbox.open_files import allow_connections
from services.inbox.opener import Opener
from services.inbox.registered import RegisteredKeyResolver
from services.inbox.router import Router, decode_accepted
from services.inbox.settings import DOOR, ROUTER, InboxSettings
from services.inbox.synchronous import Synchronous
from shared.clock import now_utc
from shared.consuming import Consuming
from shared.errors import ConfigurationError
from shared.events import INBOX_ACCEPTED_TOPIC, EndpointRequested, PostRequested, VerificationRequested
from shared.outbound import OutboundClient
from shared.registered_keys import RegisteredKeys
from shared.resolver import ValidatingResolver
from shared.resolver_probe import Validation, probe
from shared.service import Service
from shared.tables import CLAIMS, REGISTERED_KEYS

log = logging.getLogger(__name__)

SETTINGS = InboxSettings


def build(settings: InboxSettings) -> Service:
    """Put the inbox together: the door before the log, the router behind it, or the one of them that is asked for."""
    service = Service("inbox", settings, tables=[CLAIMS, REGISTERED_KEYS])
    endpoints = CurrentMap(settings.endpoint_map or DEFAULT_FILE)
    service.before_start(endpoints.start)
    service.after_stop(endpoints.stop)
    if DOOR in settings.roles:
        _listen(service, settings, endpoints)
    if ROUTER in settings.roles:
        _route(service, settings, endpoints)
    return service


def _listen(service: Service, settings: InboxSettings, endpoints: CurrentMap) -> None:
    """Add the front door, with the synchronous endpoints behind it."""
    resolver = settings.open_resolver(settings.dns_resolver)
    opener = Opener(
        domain=settings.domain,
        window_seconds=settings.window_seconds,
        subjects=endpoints,
        keys=KeyCache(
            resolver,
            bounds=settings.key_cache_bounds,
            budget=settings.look_up_budget(),
        ),
        registered=KeyCache(
            RegisteredKeyResolver(RegisteredKeys(service.tables)),
            source="registered",
            bounds=settings.key_cache_bounds,
            budget=settings.look_up_budget(),
        ),
        clock=now_utc,
        json_bounds=settings.json_bounds,
    )
    synchronous = Synchronous(
        service.tables,
        domain=settings.domain,
        source=service.publisher.source,
        keep_hours=settings.claim_hours,
        clock=now_utc,
    )
    manifest = OwnManifest(_manifest(settings), domain=settings.domain, clock=now_utc)
    intake = Intake(endpoints, service.publisher, manifest=manifest.reply, synchronous=synchronous.reply)

    def listen() -> DoorServer:
        allow_connections(settings.most_connections)
        return front_door(settings, opener, intake, manifest=manifest.page)

    service.listen(listen)
    endpoints.on_change(synchronous.update)
    service.before_start(lambda: _look_at(resolver, settings))
    service.after_stop(resolver.close)
    service.after_stop(synchronous.close)


def _route(service: Service, settings: InboxSettings, endpoints: CurrentMap) -> None:
    """Add what is behind the log: the router, the endpoints' readers, feedback on what is discarded."""
    manifests = Manifests(OutboundClient, clock=now_utc)
    feedback = Feedback(
        service.tables,
        service.publisher,
        manifests,
        most_per_hour=settings.feedback_per_hour,
        clock=now_utc,
    )
    readers = EndpointReaders(settings, service.publisher, feedback.discarded)
    endpoints.on_change(readers.update)
    service.after_stop(readers.stop)
    service.before_start(feedback.start)
    service.after_stop(feedback.close)
    service.after_stop(manifests.close)
    router = Router(
        claims=Claims(service.tables),
        publisher=service.publisher,
        endpoints=endpoints,
        claim_hours=settings.claim_hours,
        discarded=feedback.note,
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
    service.writes(VerificationRequested, EndpointRequested, PostRequested)


async def _look_at(resolver: ValidatingResolver, settings: InboxSettings) -> None:
    """Refuse a resolver that is seen not to validate; one that does not answer now is no reason not to start."""
    found = await probe(resolver, settings.domain, settings.dns_bogus_name)
    if found.validation is Validation.DISPROVED:
        raise ConfigurationError(f"FACESCAN_DNS_RESOLVER: {settings.dns_resolver} does not validate: {found.why}")
    level = logging.WARNING if found.validation is Validation.SILENT else logging.INFO
    log.log(level, "resolver", extra={"validation": found.validation.value, "why": found.why})


def _manifest(settings: InboxSettings) -> Manifest:
    if settings.manifest is None:
        return default_manifest(settings.domain)
    return read_manifest(settings.manifest, settings.domain)
