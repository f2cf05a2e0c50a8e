"""Webhooks, verified by an implementation of Standard Webhooks that is not ours."""

import base64
import json
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from services.gateway.clients import new_secret
from services.gateway.webhook import body, secret_key, signed_headers
from shared.events import Outcome

NOW = datetime.now(UTC)
ID = str(uuid.uuid4())
CONTENTS = body(ID, Outcome.SUCCESS, NOW)
secrets = st.binary(min_size=24, max_size=64).map(lambda key: f"whsec_{base64.b64encode(key).decode()}")


@given(secrets, st.sampled_from(Outcome), st.uuids().map(str))
def test_the_foreign_library_finds_each_webhook_genuine_and_reads_id_and_outcome(
    secret: str, outcome: Outcome, verification_id: str
) -> None:
    contents = body(verification_id, outcome, NOW)
    told = Webhook(secret).verify(contents, signed_headers("id-1", datetime.now(UTC), contents, [secret]))
    assert told["type"] == "verdict.reached"
    assert told["data"] == {"verification_id": verification_id, "outcome": outcome.value}
    assert set(told) == {"type", "timestamp", "data"}


def test_in_a_rotation_either_secret_alone_verifies() -> None:
    old, new, other = new_secret(), new_secret(), new_secret()
    headers = signed_headers("id-1", datetime.now(UTC), CONTENTS, [old, new])
    assert Webhook(old).verify(CONTENTS, headers) == Webhook(new).verify(CONTENTS, headers) == json.loads(CONTENTS)
    with pytest.raises(WebhookVerificationError):
        Webhook(other).verify(CONTENTS, headers)


@pytest.mark.parametrize("what", ["body", "webhook-id", "webhook-timestamp"])
def test_nothing_of_a_webhook_can_be_exchanged(what: str) -> None:
    secret = new_secret()
    now = datetime.now(UTC)
    headers = signed_headers("id-1", now, CONTENTS, [secret])
    contents = CONTENTS.replace(b"success", b"failure") if what == "body" else CONTENTS
    if what in headers:
        headers[what] = {"webhook-id": "id-2", "webhook-timestamp": str(int(now.timestamp()) + 1)}[what]
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(contents, headers)


def test_an_old_webhook_is_stale_to_the_foreign_library_so_each_try_has_its_own_time() -> None:
    secret = new_secret()
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(CONTENTS, signed_headers("id-1", NOW - timedelta(hours=1), CONTENTS, [secret]))


@pytest.mark.parametrize(
    "text", ["", "whsec_", "whsec_%%%", "whsec_c2hvcnQ=", base64.b64encode(bytes(32)).decode(), "whsec_" + "A" * 400]
)
def test_what_is_no_secret_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(ValueError, match="a webhook's secret is whsec_ and base64") as caught:
        secret_key(text)
    assert len(text) < 8 or text not in str(caught.value)
