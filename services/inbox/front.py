"""The front door, put together from its settings."""

import time
from collections.abc import Callable

from services.inbox.door import Door
from services.inbox.guard import Guard, Rates
from services.inbox.http_application import ConnectionLimits
from services.inbox.http_server import DoorServer
from services.inbox.intake import Intake
from services.inbox.opener import Opener
from services.inbox.settings import InboxSettings
from services.inbox.shedding import Load, LoadLimits
from services.inbox.tls import Tls
from shared.addresses import Addresses, networks
from shared.rates import Rate


def front_door(
    settings: InboxSettings,
    opener: Opener,
    intake: Intake,
    *,
    manifest: bytes,
    clock: Callable[[], float] = time.monotonic,
    port: int | None = None,
) -> DoorServer:
    """Return the server of ``POST /inbox`` and, with ``manifest`` as its JSON, ``GET /manifest``, bound to its port.

    ``port`` is another than the settings', 0 for any.
    """
    addresses = Addresses(networks(settings.trusted_proxies))
    load = Load(
        LoadLimits(
            most_in_flight=settings.most_in_flight,
            most_body_bytes=settings.most_body_bytes,
            longest_lag_seconds=settings.longest_lag_seconds,
        )
    )
    guard = Guard(
        Rates(
            address=Rate(settings.address_rate, settings.address_burst),
            sender=Rate(settings.sender_rate, settings.sender_burst),
            unverified=Rate(settings.unverified_rate, settings.unverified_burst),
            most_waiting=max(1, settings.most_in_flight // 2),
        ),
        clock,
    )
    door = Door(
        opener,
        intake,
        guard=guard,
        load=load,
        addresses=addresses,
        manifest=manifest,
        clock=clock,
    )
    tls = None
    if settings.inbox_tls_certificate is not None and settings.inbox_tls_key is not None:
        tls = Tls(settings.inbox_tls_certificate, settings.inbox_tls_key)
    return DoorServer(
        door,
        settings.inbox_host,
        settings.inbox_port if port is None else port,
        variable="FACESCAN_INBOX_PORT",
        limits=ConnectionLimits(
            largest_body_bytes=settings.largest_body_bytes,
            largest_head_bytes=settings.largest_head_bytes,
            most_headers=settings.most_headers,
            head_seconds=settings.head_seconds,
            body_seconds=settings.body_seconds,
            idle_seconds=settings.idle_seconds,
        ),
        load=load,
        addresses=addresses,
        most_connections=settings.most_connections,
        most_connections_per_address=settings.most_connections_per_address,
        drain_seconds=settings.drain_seconds,
        tls=tls,
    )
