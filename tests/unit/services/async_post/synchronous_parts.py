"""The synchronous Post with its real parts: a key in Secrets Manager, the guarded client, a receiver behind TLS."""

import json
import uuid
from datetime import UTC, datetime
from typing import Any

import orjson

from services.async_post.connect_to import Destinations
from services.async_post.delivery import HttpDelivery
from services.async_post.generations import Generations
from services.async_post.key_ring import KeyRing
from services.async_post.synchronous import PostCall, SynchronousPost
from shared.generation import Generation
from shared.keys import SigningKey
from tests.support.emulated_aws import Emulated
from tests.support.tls_inbox import http

US, TO = "identity.example", "shop.example"
MOST_REPLY_BYTES = 4096


def ring(emulated: Emulated, key: SigningKey) -> KeyRing:
    """Return the ring of a secret that holds ``key``."""
    name = f"test/{uuid.uuid4()}"
    secret = json.dumps({"selector": key.selector, "private_key": key.to_pem()})
    emulated.aws.client("secretsmanager").create_secret(Name=name, SecretString=secret)
    return KeyRing(emulated.aws, name)


def delivery_to(destinations: Destinations) -> HttpDelivery:
    return HttpDelivery(destinations, timeout_seconds=5)


def synchronous(keys: KeyRing, delivery: HttpDelivery, **more: Any) -> SynchronousPost:
    parts: dict[str, Any] = {
        "domain": US,
        "keys": keys,
        "generations": Generations({"polly.example": Generation.POLLYWEB}),
        "delivery": delivery,
        "most_in_flight": 3,
        "most_in_flight_per_domain": 2,
        "most_reply_bytes": MOST_REPLY_BYTES,
        "clock": lambda: datetime.now(UTC),
    }
    return SynchronousPost(**{**parts, **more})


def call(**more: Any) -> PostCall:
    return PostCall(**{"to": TO, "subject": "Manifest@Domain", "body": {"n": 1}, "deadline_seconds": 5, **more})


def replying(message: dict[str, Any], response: Any = None, **header: Any) -> bytes:
    """Return the answer of a receiver that replies to ``message``; ``header`` changes what it repeats of it."""
    document = {
        "Meta": {"From": TO, "Timestamp": "2026-11-22T12:00:00.000Z"},
        "Request": {"Header": {**message["Header"], **header}},
        "Response": {"Paid": True} if response is None else response,
    }
    return http(200, orjson.dumps(document), "content-type: application/json")
