"""A webhook as Standard Webhooks has it (standardwebhooks.com, version 1): body, id, time and signatures. Pure."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime
from typing import Final

import orjson

from shared.events import Outcome, utc_text

EVENT_TYPE: Final = "verdict.reached"
_PREFIX: Final = "whsec_"
# The specification's own bounds of a secret.
_SHORTEST_KEY, _LONGEST_KEY = 24, 64


def secret_key(secret: str) -> bytes:
    """Return the key in ``whsec_<base64>``. Raises ValueError without repeating it."""
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(_PREFIX) or not _SHORTEST_KEY <= len(key) <= _LONGEST_KEY:
        raise ValueError(f"a webhook's secret is {_PREFIX} and base64 of {_SHORTEST_KEY} to {_LONGEST_KEY} bytes")
    return key


def body(verification_id: str, outcome: Outcome, decided_at: datetime) -> bytes:
    """Return the body: the id and the outcome, and nothing more."""
    return orjson.dumps(
        {
            "type": EVENT_TYPE,
            "timestamp": utc_text(decided_at),
            "data": {"verification_id": verification_id, "outcome": outcome.value},
        }
    )


def signed_headers(webhook_id: str, at: datetime, contents: bytes, secrets: Sequence[str]) -> dict[str, str]:
    """Return the headers; ``at`` is the moment of this try. Each secret signs, so that either is good in a rotation."""
    moment = int(at.timestamp())
    signed = b"%b.%d.%b" % (webhook_id.encode(), moment, contents)
    signatures = (hmac.new(secret_key(secret), signed, hashlib.sha256).digest() for secret in secrets)
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(moment),
        "webhook-signature": " ".join(f"v1,{base64.b64encode(one).decode()}" for one in signatures),
    }
