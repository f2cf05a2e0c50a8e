"""Async Post's composition root."""

import random
from typing import Any, Final

from services.async_post.connect_to import ConnectTo, PublicDestinations
from services.async_post.delayer import Delayer
from services.async_post.delivery import HttpDelivery
from services.async_post.key_ring import KeyRing
from services.async_post.rotation_parts import rotator
from services.async_post.sender import GROUP as SENDER_GROUP
from services.async_post.sender import MOST_IN_LANE, Sender, lane
from services.async_post.settings import DELAYER, SENDER, SIGNER, AsyncPostSettings
from services.async_post.signer import Signer, nothing_held
from shared.clock import now_utc
from shared.consuming import Consuming
from shared.core_dumps import forbid_core_dumps
from shared.events import PostRequested, PostSettled, PostSigned
from shared.fetching import TURN_SECONDS
from shared.received import event_decoder
from shared.service import Service

SETTINGS = AsyncPostSettings

# Twice what others have: a fetch costs as much as several messages, and each message is read twice here.
_TURN_SECONDS: Final = 2 * TURN_SECONDS


def build(settings: AsyncPostSettings) -> Service:
    """Put Async Post together: signer, sender, and the delayer that everybody's waiting records come back by."""
    roles = settings.roles
    token = settings.sync_post_token
    # The synchronous Post signs and sends in one go.
    has_keys = SIGNER in roles or token is not None
    service = Service("async_post", settings, uses=["secretsmanager"] if has_keys else [])
    service.before_start(_keep_memory_private)
    keys = _keys(service, settings) if has_keys else None
    delivery = _delivery(service, settings) if SENDER in roles or token is not None else None
    if keys is not None and delivery is not None and token is not None:
        _take_synchronous_posts(service, settings, token.get_secret_value(), keys, delivery)
    sender = _sender(service, settings, delivery) if SENDER in roles and delivery is not None else None
    if SIGNER in roles and keys is not None:
        _sign(service, settings, keys, sender)
    if sender is not None:
        _send(service, settings, sender)
    if DELAYER in roles:
        waits = {PostRequested.topic: sender.holds.again} if sender is not None else {}
        delayer = Delayer(service.publisher, waits=waits)
        service.read(delayer, dict[str, Any], "Records that come back when their time has come.")
    return service


def _keys(service: Service, settings: AsyncPostSettings) -> KeyRing:
    keys = KeyRing(
        service.aws,
        settings.signing_secret,
        reread_seconds=settings.key_reread_seconds,
        trust_seconds=settings.key_trust_seconds,
        may_be_absent=settings.key_rotation_days is not None,
    )
    service.before_start(keys.first)
    service.beside(keys.read_regularly)
    return keys


def _delivery(service: Service, settings: AsyncPostSettings) -> HttpDelivery:
    folder = settings.development_connect_to
    delivery = HttpDelivery(
        ConnectTo(folder) if folder is not None else PublicDestinations(),
        timeout_seconds=settings.send_timeout_seconds,
        rules=settings.address_rules,
    )
    service.after_stop(delivery.close)
    return delivery


def _sender(service: Service, settings: AsyncPostSettings, delivery: HttpDelivery) -> Sender:
    return Sender(
        delivery=delivery,
        publisher=service.publisher,
        give_up_seconds=settings.give_up_seconds,
        most_in_flight_per_domain=settings.most_in_flight_per_domain,
        clock=now_utc,
        chance=random.Random(),  # noqa: S311 - jitter, no secret
    )


def _sign(service: Service, settings: AsyncPostSettings, keys: KeyRing, sender: Sender | None) -> None:
    signer = Signer(
        domain=settings.domain,
        keys=keys,
        generations=settings.generations,
        publisher=service.publisher,
        clock=now_utc,
        held=sender.holds.unsigned if sender is not None else nothing_held,
    )
    if settings.dns_resolver is not None:
        # It carries on what is under way; whether it begins anything by itself is FACESCAN_KEY_ROTATION_DAYS.
        service.beside(rotator(service.aws, settings).run)
    service.read(
        Consuming(
            topic=PostRequested.topic,
            group="facescan.async_post.signer",
            decode=event_decoder(PostRequested),
            publisher=service.publisher,
            handle_batch=signer.sign,
            turn_seconds=_TURN_SECONDS,
            drain_seconds=settings.drain_seconds,
        ),
        PostRequested,
        "Signs with the current key.",
    )
    service.writes(PostSigned)


def _send(service: Service, settings: AsyncPostSettings, sender: Sender) -> None:
    service.after_stop(sender.close)
    service.read(
        Consuming(
            topic=PostSigned.topic,
            group=SENDER_GROUP,
            decode=event_decoder(PostSigned),
            publisher=service.publisher,
            handle=sender.send,
            lane=lane,
            most_in_lane=MOST_IN_LANE,
            overflow=sender.put_off,
            on_release=sender.forget,
            max_in_flight=settings.most_in_flight,
            turn_seconds=_TURN_SECONDS,
            drain_seconds=settings.drain_seconds,
        ),
        PostSigned,
        "Delivers by HTTPS; retries are signed again.",
    )
    service.writes(PostRequested, PostSettled)


def _take_synchronous_posts(
    service: Service, settings: AsyncPostSettings, token: str, keys: KeyRing, delivery: HttpDelivery
) -> None:
    # Here, because most have no token, and a service that is idle has little room (ADR 7).
    from services.async_post.synchronous import SynchronousPost  # noqa: PLC0415
    from services.async_post.synchronous_http import SynchronousPostCall  # noqa: PLC0415

    post = SynchronousPost(
        domain=settings.domain,
        keys=keys,
        generations=settings.generations,
        delivery=delivery,
        most_in_flight=settings.sync_post_most_in_flight,
        most_in_flight_per_domain=settings.most_in_flight_per_domain,
        most_reply_bytes=settings.sync_post_most_reply_bytes,
        clock=now_utc,
    )
    service.serve(
        SynchronousPostCall(post, token),
        settings.sync_post_host,
        settings.sync_post_port,
        variable="FACESCAN_SYNC_POST_PORT",
    )


async def _keep_memory_private() -> None:
    forbid_core_dumps()
