"""Signing in batches: messages that a foreign domain can verify, with a Correlation that a repeat keeps."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from emulators.envelopes import read_envelope, verify
from services.async_post.key_ring import KeyRing
from services.async_post.signer import Signer
from shared.errors import UnavailableError, UnprocessableError
from shared.events import PostRequested, PostSigned
from shared.generation import Generation
from shared.keys import SigningKey
from tests.support.emulated_aws import Emulated
from tests.support.received import received
from tests.support.recording import RecordingPublisher

NOW = datetime(2026, 11, 22, 12, 0, 0, 123456, tzinfo=UTC)
ED25519 = SigningKey.generate("pw1")
RSA = SigningKey("pk1", rsa.generate_private_key(65537, 2048))


class _Ring(KeyRing):
    """A ring with a key that needs no secret."""

    def __init__(self, emulated: Emulated, key: SigningKey) -> None:
        super().__init__(emulated.aws, "unused")
        self._key = key


@pytest.fixture
def keys(emulated: Emulated) -> dict[str, KeyRing]:
    return {"ed25519": _Ring(emulated, ED25519), "rsa": _Ring(emulated, RSA)}


def signer(ring: KeyRing, publisher: RecordingPublisher, now: datetime = NOW) -> Signer:
    return Signer(domain="identity.example", keys=ring, publisher=publisher, clock=lambda: now)


def request(**more: Any) -> PostRequested:
    fields: dict[str, Any] = {"to": "shop.example", "subject": "LocatorVerified@Domain", "body": {"Result": "SUCCESS"}}
    return PostRequested(**{**fields, **more})


def signed(publisher: RecordingPublisher) -> list[PostSigned]:
    return [sent.data for sent in publisher.of(PostSigned) if isinstance(sent.data, PostSigned)]


@pytest.mark.parametrize("kind", ["ed25519", "rsa"])
@pytest.mark.parametrize("generation", Generation)
async def test_a_foreign_domain_verifies_what_was_signed(
    keys: dict[str, KeyRing], publisher: RecordingPublisher, generation: Generation, kind: str
) -> None:
    body = {"Ä": [1.5, None, {"b": "€", "a": True}], "Result": "SUCCESS"}
    assert await signer(keys[kind], publisher).sign([received(request(generation=generation, body=body))]) == [None]
    (data,) = signed(publisher)
    message = orjson.loads(data.message)
    verify(message, (ED25519 if kind == "ed25519" else RSA).record)
    envelope = read_envelope(message)
    assert (envelope.sender, envelope.receiver) == ("identity.example", "shop.example")
    assert (envelope.generation.value, envelope.body) == (generation.value, body)
    assert (envelope.timestamp, data.signed_at) == ("2026-11-22T12:00:00.123Z", NOW)
    assert publisher.sent[0].key == b"shop.example"


async def test_the_correlation_comes_from_the_event_so_that_a_repeat_is_the_same_message(
    keys: dict[str, KeyRing], publisher: RecordingPublisher
) -> None:
    signing = signer(keys["ed25519"], publisher)
    for event in ("e-1", "e-1", "e-2"):
        await signing.sign([received(request(), id=event)])
    first, again, other = signed(publisher)
    assert first.request.correlation == again.request.correlation != other.request.correlation
    assert first.request.correlation is not None
    uuid.UUID(first.request.correlation)
    assert publisher.sent[0].event.id == publisher.sent[1].event.id != publisher.sent[2].event.id


async def test_a_given_correlation_is_kept(keys: dict[str, KeyRing], publisher: RecordingPublisher) -> None:
    correlation = str(uuid.uuid4())
    await signer(keys["ed25519"], publisher).sign([received(request(correlation=correlation))])
    assert read_envelope(orjson.loads(signed(publisher)[0].message)).correlation == correlation


async def test_a_retry_is_signed_again_with_the_time_of_now_and_the_same_correlation(
    keys: dict[str, KeyRing], publisher: RecordingPublisher
) -> None:
    later = NOW + timedelta(hours=2)
    await signer(keys["ed25519"], publisher).sign([received(request(), id="e-1", time=NOW)])
    (first,) = signed(publisher)
    retry = first.request.model_copy(update={"attempt": 2})
    await signer(keys["rsa"], publisher, later).sign([received(retry, id="e-2", time=later)])
    _, second = signed(publisher)
    assert second.request.correlation == first.request.correlation
    assert second.request.first_requested_at == first.request.first_requested_at == NOW
    assert second.signed_at == later
    envelope = read_envelope(orjson.loads(second.message))
    assert (envelope.timestamp, envelope.selector) == ("2026-11-22T14:00:00.123Z", "pk1")
    assert publisher.sent[0].event.id != publisher.sent[1].event.id


@pytest.mark.parametrize("size", [3, 40])
async def test_a_bad_one_in_a_batch_is_put_aside_alone_and_the_order_is_kept(
    keys: dict[str, KeyRing], publisher: RecordingPublisher, size: int
) -> None:
    batch = [received(request(body={"n": number})) for number in range(size)]
    bad = PostRequested.model_construct(**{**dict(request()), "body": {"n": float("nan")}})
    batch[1] = received(bad)
    errors = await signer(keys["ed25519"], publisher).sign(batch)
    assert isinstance(errors[1], UnprocessableError)
    assert [error for number, error in enumerate(errors) if number != 1] == [None] * (size - 1)
    assert [data.request.body["n"] for data in signed(publisher)] == [n for n in range(size) if n != 1]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "\ud800", {"\ud800": 1}])
async def test_a_body_without_a_canonical_form_is_unprocessable(
    keys: dict[str, KeyRing], publisher: RecordingPublisher, value: Any
) -> None:
    asked = received(request())
    bad = PostRequested.model_construct(**{**dict(asked.data), "body": {"v": value}})
    (error,) = await signer(keys["ed25519"], publisher).sign([type(asked)(bad, asked.event, asked.record)])
    assert isinstance(error, UnprocessableError)
    assert publisher.sent == []


async def test_an_outage_of_the_broker_signs_the_whole_batch_again(
    keys: dict[str, KeyRing], publisher: RecordingPublisher
) -> None:
    publisher.refusals = 1
    batch = [received(request(), id=str(number)) for number in range(3)]
    with pytest.raises(UnavailableError):
        await signer(keys["ed25519"], publisher).sign(batch)
    await signer(keys["ed25519"], publisher).sign(batch)
    assert len(signed(publisher)) == 3


async def test_no_key_is_in_what_is_published(keys: dict[str, KeyRing], publisher: RecordingPublisher) -> None:
    await signer(keys["ed25519"], publisher).sign([received(request())])
    assert "PRIVATE" not in str(publisher.sent)
    assert "PRIVATE" not in repr(ED25519)
