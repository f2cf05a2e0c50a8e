"""The gateway's composition root."""

import random
import ssl
import time

from services.gateway.asked import AskedTable
from services.gateway.asking import Asking
from services.gateway.client_store import CurrentClients, FileClients, SecretClients
from services.gateway.clients import public_target
from services.gateway.http import Gateway
from services.gateway.sender import GROUP, WebhookDelivery, WebhookSender, lane
from services.gateway.settings import GatewaySettings
from services.gateway.telling import Telling
from shared.addresses import Addresses, networks
from shared.clock import now_utc
from shared.consuming import Consuming
from shared.events import VerdictReached, VerificationRequested, WebhookRequested
from shared.outbound import OutboundClient, any_target
from shared.outbound_addresses import AnyAddress
from shared.rates import Buckets, Rate
from shared.received import event_decoder
from shared.service import Service
from shared.tables import ASKED

SETTINGS = GatewaySettings

# Clients are few, addresses may be many: what buckets take in memory is what was touched.
_CLIENT_PLACES = 4096
_ADDRESS_PLACES = 65_536


def build(settings: GatewaySettings) -> Service:
    """Put the gateway together: requests in over HTTP, outcomes out by webhooks."""
    file = settings.development_clients_file
    service = Service("gateway", settings, tables=[ASKED], uses=[] if file else ["secretsmanager"])
    clients = CurrentClients(
        FileClients(file) if file else SecretClients(service.aws, settings.clients_secret),
        reread_seconds=settings.clients_reread_seconds,
    )
    service.before_start(clients.read)
    service.beside(clients.read_regularly)
    table = AskedTable(service.tables)
    _listen(service, settings, clients, table)
    _tell(service, settings, clients, table)
    service.writes(VerificationRequested, WebhookRequested)
    return service


def _listen(service: Service, settings: GatewaySettings, clients: CurrentClients, table: AskedTable) -> None:
    gateway = Gateway(
        Asking(table=table, publisher=service.publisher, clock=now_utc),
        clients,
        client_rate=Buckets(
            Rate(settings.client_rate, settings.client_burst), places=_CLIENT_PLACES, clock=time.monotonic
        ),
        address_rate=Buckets(
            Rate(settings.gateway_address_rate, settings.gateway_address_burst),
            places=_ADDRESS_PLACES,
            clock=time.monotonic,
        ),
        addresses=Addresses(networks(settings.gateway_trusted_proxies)),
    )
    service.serve(gateway, settings.gateway_host, settings.gateway_port, variable="FACESCAN_GATEWAY_PORT")


def _tell(service: Service, settings: GatewaySettings, clients: CurrentClients, table: AskedTable) -> None:
    telling = Telling(table=table, publisher=service.publisher)
    service.read(
        Consuming(
            topic=VerdictReached.topic,
            group="facescan.gateway.verdicts",
            decode=event_decoder(VerdictReached),
            publisher=service.publisher,
            handle=telling.on_verdict,
            drain_seconds=settings.drain_seconds,
        ),
        VerdictReached,
        "Notes outcomes that clients have asked for.",
    )
    anywhere = settings.development_webhooks_anywhere
    delivery = WebhookDelivery(
        OutboundClient(rules=AnyAddress() if anywhere else settings.address_rules, trust=ssl.create_default_context()),
        any_target if anywhere else public_target,
        timeout_seconds=settings.webhook_timeout_seconds,
    )
    service.after_stop(delivery.close)
    sender = WebhookSender(
        delivery=delivery,
        clients=clients,
        publisher=service.publisher,
        give_up_seconds=settings.webhook_give_up_seconds,
        most_in_flight_per_client=settings.webhook_most_in_flight_per_client,
        clock=now_utc,
        chance=random.Random(),  # noqa: S311 - jitter, no secret
    )
    service.read(
        Consuming(
            topic=WebhookRequested.topic,
            group=GROUP,
            decode=event_decoder(WebhookRequested),
            publisher=service.publisher,
            handle=sender.send,
            lane=lane,
            max_in_flight=settings.webhook_most_in_flight,
            drain_seconds=settings.drain_seconds,
        ),
        WebhookRequested,
        "Delivers webhooks by HTTPS.",
    )
