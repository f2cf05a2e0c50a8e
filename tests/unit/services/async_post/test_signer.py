"""Signing in batches: messages that a foreign domain can verify, with a Correlation that a repeat keeps."""

import asyncio
import json
import random
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from emulators.envelopes import read_envelope, verify
from services.async_post.connect_to import PublicDestinations
from services.async_post.delivery import HttpDelivery
from services.async_post.generations import Generations, parse_generations
from services.async_post.key_ring import KeyRing
from services.async_post.records import record_names, revoked, zone_file_line
from services.async_post.sender import Sender
from services.async_post.signer import Signer
from shared.breakers import FAILURES_TO_OPEN
from shared.canonical import canonical_bytes
from shared.deliveries import Answer
from shared.errors import UnavailableError, UnprocessableError
from shared.events import PostRequested, PostSettled, PostSigned
from shared.generation import Generation
from shared.keys import SigningKey, sha256_hex
from tests.support.emulated_aws import Emulated
from tests.support.fixed_ring import FixedRing
from tests.support.received import received, to_its_end
from tests.support.recording import RecordingPublisher

NOW = datetime(2026, 11, 22, 12, 0, 0, 123456, tzinfo=UTC)
ED25519 = SigningKey.generate("pw1")
NOBODY_S = Generations()
RSA = SigningKey("pk1", rsa.generate_private_key(65537, 2048))


@pytest.fixture
def keys(emulated: Emulated) -> dict[str, KeyRing]:
    return {"ed25519": FixedRing(emulated, ED25519), "rsa": FixedRing(emulated, RSA)}


def signer(
    ring: KeyRing, publisher: RecordingPublisher, now: datetime = NOW, generations: Generations = NOBODY_S
) -> Signer:
    return Signer(domain="identity.example", keys=ring, generations=generations, publisher=publisher, clock=lambda: now)


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


VERIFIER = Path(__file__).parents[3] / "support" / "verify_message.sh"
# What canonical forms differ in: order of names beyond the Basic Multilingual Plane, numbers, escapes, nesting.
WIDE = {
    "\U0001f91d": "astral", "\ufb33": "sorts after it", "Ä": [1.5, 100.0, -0.0, 1e21, 1e-7, 123e-8, 0.1, 2**53 - 1, -7],
    "a b": 'say "\\\u0001\n/', "": {"z": None, "a": [[], {}, True]}, "10": False, "9": "", "Result": "SUCCESS",
}  # fmt: skip


def _rehashed(message: dict[str, Any]) -> None:
    """Change the body and give it the Hash that belongs to it, as whoever forges can."""
    message["Body"]["Result"] = "FAILURE"
    message["Hash"] = sha256_hex(canonical_bytes({"Body": message["Body"], "Header": message["Header"]}))


TAMPERED: dict[Callable[[dict[str, Any]], object], str] = {
    lambda message: message["Body"].update(Result="FAILURE"): "Hash is not of these bytes",
    lambda message: message["Header"].update(To="thief.example"): "Hash is not of these bytes",
    _rehashed: "the signature is not by the key",
    lambda message: message.update(Signature=f"AAAA{message['Signature'][4:]}"): "the signature is not by the key",
}


async def by_openssl(folder: Path, message: str, zone: list[str]) -> tuple[int, str]:
    """What a shell script with openssl says of a message, given the records as ``facescan dns print`` writes them."""
    (folder / "message").write_text(message)
    (folder / "zone").write_text("\n".join(zone) + "\n")
    script = await asyncio.create_subprocess_exec(
        "sh", str(VERIFIER), str(folder / "message"), str(folder / "zone"),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await script.communicate()
    return script.returncode or 0, said.decode().strip()


def zone_of(*keys: SigningKey) -> list[str]:
    return [
        zone_file_line(name, key.record, 300)
        for key in keys
        for name in record_names(key.selector, "identity.example").values()
    ]


@pytest.mark.parametrize("kind", ["ed25519", "rsa"])
@pytest.mark.parametrize("generation", Generation)
async def test_openssl_and_a_shell_script_verify_what_was_signed_and_nothing_else(
    keys: dict[str, KeyRing], publisher: RecordingPublisher, tmp_path: Path, generation: Generation, kind: str
) -> None:
    requests = [request(generation=generation, body=body) for body in ({"Result": "SUCCESS"}, {}, WIDE)]
    await signer(keys[kind], publisher).sign([received(each, id=str(n)) for n, each in enumerate(requests)])
    messages, zone = [data.message for data in signed(publisher)], zone_of(ED25519, RSA)
    assert len(messages) == 3
    for message in messages:
        assert await by_openssl(tmp_path, message, zone) == (0, "verified")
    for change, why in TAMPERED.items():
        tampered = json.loads(messages[0])
        change(tampered)
        code, said = await by_openssl(tmp_path, json.dumps(tampered, ensure_ascii=False), zone)
        assert (code, why in said) == (1, True), said
    key = ED25519 if kind == "ed25519" else RSA
    another = SigningKey.generate("pw1") if kind == "ed25519" else SigningKey(
        "pk1", rsa.generate_private_key(65537, 2048)
    )  # fmt: skip
    emptied = [
        zone_file_line(name, revoked(key.record), 300)
        for name in record_names(key.selector, "identity.example").values()
    ]
    for records, why in ((zone_of(another), "not by the key"), (emptied, "is revoked"), ([], "no record")):
        code, said = await by_openssl(tmp_path, messages[0], records)
        assert (code, why in said) == (1, True), said


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


@pytest.mark.parametrize(
    ("to", "asked", "spoken"),
    [("shop.example", None, "pollyweb"), ("shop.example", "nlweb", "nlweb"), ("other.example", None, "nlweb"),
     ("other.example", "pollyweb", "pollyweb"), ("Shop.Example", None, "pollyweb")],
)  # fmt: skip
async def test_a_message_speaks_as_was_asked_else_as_its_receiver_is_configured_else_nlweb(
    keys: dict[str, KeyRing], publisher: RecordingPublisher, to: str, asked: str | None, spoken: str
) -> None:
    signing = signer(keys["ed25519"], publisher, generations=parse_generations("shop.example=pollyweb"))
    await signing.sign([received(request(to=to, generation=asked))])
    (data,) = signed(publisher)
    assert read_envelope(orjson.loads(data.message)).generation.value == data.generation == spoken
    # A retry is asked for like the first try, so that it speaks as the settings say by then.
    assert data.request.generation == asked


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


class Answering(HttpDelivery):
    """Refuses for the time being, with ``status``."""

    def __init__(self) -> None:
        super().__init__(PublicDestinations(), timeout_seconds=1)
        self.status = 503

    async def post(self, receiver: str, generation: Generation, message: str) -> Answer:
        """See HttpDelivery."""
        return Answer(self.status)


async def test_what_could_not_be_tried_now_is_held_unsigned_and_the_rest_of_the_batch_is_signed(
    keys: dict[str, KeyRing], publisher: RecordingPublisher
) -> None:
    now = 1000.0
    delivery = Answering()
    sender = Sender(
        delivery=delivery, publisher=publisher, give_up_seconds=3600, most_in_flight_per_domain=16,
        clock=lambda: NOW, chance=random.Random(1), monotonic=lambda: now,
    )  # fmt: skip
    signing = Signer(
        domain="identity.example", keys=keys["ed25519"], generations=NOBODY_S, publisher=publisher,
        clock=lambda: NOW, held=sender.holds.unsigned,
    )  # fmt: skip
    for _ in range(FAILURES_TO_OPEN):
        publisher.sent.clear()
        assert await signing.sign([received(request(to="away.example"))]) == [None]
        (data,) = signed(publisher)
        await to_its_end(sender.send(received(data)))

    publisher.sent.clear()
    batch = [
        received(request(to="away.example", order_key="a"), offset=7),
        received(request(body={"n": 2**70})),
        received(request()),
        received(request(to="away.example", order_key="a"), offset=8),
    ]
    ends = await signing.sign(batch)
    assert [type(end) for end in ends] == [type(None), UnprocessableError, type(None), type(None)]
    assert [data.request.to for data in signed(publisher)] == ["shop.example"]
    held = publisher.of(PostRequested)
    assert [sent.topic == PostRequested.topic for sent in held] == [False, False]
    assert [sent.data.position for sent in held if isinstance(sent.data, PostRequested)] == [7, 8]
    assert all(sent.due is not None and sent.due >= NOW.timestamp() + 5 for sent in held)
    assert len({sent.event.id for sent in held}) == 2

    # Its pause is over: one is tried, and those behind it keep their order.
    now, delivery.status = 1100.0, 200
    publisher.sent.clear()
    assert await signing.sign([batch[3], batch[0]]) == [None, None]
    later, first = signed(publisher)
    await to_its_end(sender.send(received(later)))
    assert publisher.of(PostSettled) == []
    await to_its_end(sender.send(received(first)))
    assert len(publisher.of(PostSettled)) == 1


async def test_what_is_past_its_deadline_is_not_held_again(
    keys: dict[str, KeyRing], publisher: RecordingPublisher
) -> None:
    sender = Sender(
        delivery=Answering(), publisher=publisher, give_up_seconds=3600, most_in_flight_per_domain=16,
        clock=lambda: NOW, chance=random.Random(1),
    )  # fmt: skip
    for _ in range(FAILURES_TO_OPEN):
        data = PostSigned(request=request(attempt=1), message="m", signed_at=NOW, generation=Generation.NLWEB)
        await to_its_end(sender.send(received(data)))
    assert sender.holds.unsigned(request(), received(request()).position) is not None
    late = request(deadline=NOW - timedelta(seconds=1))
    assert sender.holds.unsigned(late, received(late).position) is None
