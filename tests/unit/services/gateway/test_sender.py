"""Webhooks on their way: signed, tried again on the schedule, held, given up; by the product's own outbound guard."""

import json
import random
import ssl
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from standardwebhooks.webhooks import Webhook

from emulators.certificates import make_authority
from services.gateway.clients import move_webhook, public_target, remove, rotate_secret
from services.gateway.sender import WebhookDelivery, WebhookSender
from shared.breakers import FAILURES_TO_OPEN
from shared.dead_letter_log import DeadLetter
from shared.dead_letters import PREFIX, Side
from shared.deliveries import RETRY_SCHEDULE_SECONDS, Answer
from shared.errors import UnprocessableError
from shared.events import Outcome, WebhookRequested
from shared.outbound import OutboundClient, any_target
from shared.outbound_addresses import AnyAddress
from shared.received import Received
from tests.support.received import Record, received
from tests.support.recording import RecordingPublisher
from tests.support.tls_receiver import TlsReceiver, answers, listening, server_context
from tests.unit.services.gateway.parts import Known

NOW = datetime.now(UTC)


class Scripted(WebhookDelivery):
    """Answers with each status in turn, the last one for ever, and keeps what was posted."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.posted: list[tuple[str, dict[str, str], bytes]] = []

    async def post(self, url: str, headers: dict[str, str], contents: bytes) -> Answer:
        """See WebhookDelivery."""
        self.posted.append((url, headers, contents))
        return Answer(self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0])


def sender(
    known: Known, publisher: RecordingPublisher, delivery: WebhookDelivery, *, now: datetime | None = None
) -> WebhookSender:
    return WebhookSender(
        delivery=delivery,
        clients=known.current,
        publisher=publisher,
        give_up_seconds=32 * 3600,
        most_in_flight_per_client=4,
        clock=lambda: now or datetime.now(UTC),
        chance=random.Random(1),
    )


def told(**more: object) -> Received[WebhookRequested]:
    fields = {"client": "bank", "verification_id": str(uuid.uuid4()), "outcome": Outcome.SUCCESS, "decided_at": NOW}
    return received(WebhookRequested.model_validate(fields | more))


async def test_a_webhook_is_signed_and_posted_where_the_client_wants_it(publisher: RecordingPublisher) -> None:
    known, delivery, record = Known(), Scripted(204), told()
    await sender(known, publisher, delivery).send(record)
    ((url, headers, contents),) = delivery.posted
    assert url == "https://hooks.bank.example/facescan"
    document = Webhook(known.secret).verify(contents, headers)
    assert document["data"] == {"verification_id": record.data.verification_id, "outcome": "success"}
    assert publisher.sent == []


async def test_every_try_has_one_id_and_waits_as_the_schedule_says_until_it_is_given_up(
    publisher: RecordingPublisher,
) -> None:
    known, delivery = Known(), Scripted(503)
    record, now = told(), NOW
    for wait in RETRY_SCHEDULE_SECONDS:
        # A sender of its own for each: the breaker would hold the later ones.
        await sender(known, publisher, delivery, now=now).send(record)
        (sent,) = publisher.of(WebhookRequested)
        publisher.sent.clear()
        assert sent.due is not None
        assert wait <= sent.due - now.timestamp() + 0.001 <= wait * 1.1 + 0.01
        assert isinstance(sent.data, WebhookRequested)
        record, now = received(sent.data), datetime.fromtimestamp(sent.due, UTC)
    with pytest.raises(UnprocessableError, match="webhook of bank given up: attempts, last answer 503"):
        await sender(known, publisher, delivery, now=now).send(record)
    assert len({headers["webhook-id"] for _, headers, _ in delivery.posted}) == 1
    assert len({headers["webhook-timestamp"] for _, headers, _ in delivery.posted}) == len(delivery.posted) == 9


@pytest.mark.parametrize("status", [301, 400, 401, 404, 408, 429, 500, 503])
async def test_all_but_success_and_gone_is_tried_again(publisher: RecordingPublisher, status: int) -> None:
    await sender(Known(), publisher, Scripted(status)).send(told())
    assert len(publisher.of(WebhookRequested)) == 1


async def test_a_receiver_that_says_gone_is_not_asked_again(publisher: RecordingPublisher) -> None:
    with pytest.raises(UnprocessableError, match="refused, last answer 410"):
        await sender(Known(), publisher, Scripted(410)).send(told())
    assert publisher.sent == []


async def test_a_client_in_trouble_is_left_alone_and_another_is_told_all_the_while(
    publisher: RecordingPublisher,
) -> None:
    known = Known()
    known.current.now, _ = move_webhook(known.current.now, "shop", "https://hooks.shop.example/")
    delivery = Scripted(*[500] * FAILURES_TO_OPEN, 200)
    telling = sender(known, publisher, delivery)
    for _ in range(FAILURES_TO_OPEN):
        await telling.send(told())
    await telling.send(told())  # held, untried
    held = publisher.of(WebhookRequested)[-1].data
    assert isinstance(held, WebhookRequested)
    assert held.attempt == 1
    assert held.first_requested_at is not None
    assert len(delivery.posted) == FAILURES_TO_OPEN
    await telling.send(told(client="shop"))
    assert delivery.posted[-1][0] == "https://hooks.shop.example/"


async def test_what_waited_for_too_long_is_given_up_untried(publisher: RecordingPublisher) -> None:
    delivery = Scripted(200)
    with pytest.raises(UnprocessableError, match="given up: time"):
        await sender(Known(), publisher, delivery).send(told(first_requested_at=NOW - timedelta(hours=33)))
    assert delivery.posted == []


async def test_who_has_no_webhook_or_is_no_client_any_more_is_told_nothing(publisher: RecordingPublisher) -> None:
    known, delivery = Known(), Scripted(200)
    await sender(known, publisher, delivery).send(told(client="shop"))
    known.current.now = remove(known.current.now, "bank")
    await sender(known, publisher, delivery).send(told())
    assert delivery.posted == []
    assert publisher.sent == []


async def test_in_a_rotation_the_webhook_is_signed_with_both_secrets(publisher: RecordingPublisher) -> None:
    known, delivery = Known(), Scripted(200)
    known.current.now, fresh = rotate_secret(known.current.now, "bank")
    await sender(known, publisher, delivery).send(told())
    ((_, headers, contents),) = delivery.posted
    for secret in (known.secret, fresh):
        Webhook(secret).verify(contents, headers)


def test_a_dead_webhook_that_is_replayed_has_all_of_its_tries_again() -> None:
    data = told(attempt=9, first_requested_at=NOW - timedelta(hours=40)).data
    headers = ((f"{PREFIX}topic", data.topic.encode()), (f"{PREFIX}group", b"facescan.gateway.webhooks"))
    record = Record("facescan.dead.theirs", 0, 1, data.client.encode(), data.to_json(), headers)
    topic, key, value, _ = DeadLetter(record, Side.THEIRS).revived()
    assert (topic, key) == (data.topic, b"bank")
    revived = WebhookRequested.model_validate_json(value or b"")
    assert (revived.attempt, revived.first_requested_at) == (1, None)
    assert revived.verification_id == data.verification_id


# -- over the wire ---------------------------------------------------------------------------------------------------


@pytest.fixture
def trust(tmp_path: Path) -> tuple[ssl.SSLContext, Path]:
    make_authority(tmp_path)
    return ssl.create_default_context(cafile=str(tmp_path / "ca.pem")), tmp_path


async def test_a_webhook_goes_over_https_to_a_certificate_that_is_checked(
    publisher: RecordingPublisher, trust: tuple[ssl.SSLContext, Path]
) -> None:
    known, record = Known(), told()
    receiver = TlsReceiver(answers(200))
    async with listening(receiver, server_context(trust[1])) as url:
        known.current.now, _ = move_webhook(known.current.now, "bank", url)
        for context in (trust[0], ssl.create_default_context()):
            client = OutboundClient(rules=AnyAddress(), trust=context)
            delivery = WebhookDelivery(client, any_target, timeout_seconds=5)
            await sender(known, publisher, delivery).send(record)
            await delivery.close()
    ((path, contents),) = receiver.requests
    assert (path, json.loads(contents)["data"]["outcome"]) == ("/inbox", "success")
    # With an authority that nobody here knows it was tried in vain, and is tried again.
    assert len(publisher.of(WebhookRequested)) == 1


async def test_no_name_leads_a_webhook_into_this_network(publisher: RecordingPublisher) -> None:
    async def inside(_host: str, _port: int) -> list[str]:
        return ["127.0.0.1"]

    client = OutboundClient(look_up=inside)
    answer = await WebhookDelivery(client, public_target, timeout_seconds=5).post(
        "https://hooks.bank.example/", {}, b"{}"
    )
    assert replace(answer, retry_after_seconds=None) == Answer(None, "address")
    await client.close()
