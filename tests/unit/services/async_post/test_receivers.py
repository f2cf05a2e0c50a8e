"""What each kind of receiver gets, and how its message ends: signer, sender and client as they are, over real TLS."""

import asyncio
import json
import logging
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pollyweb
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from emulators.certificates import make_authority
from emulators.envelopes import verify
from services.async_post.connect_to import ConnectTo
from services.async_post.delivery import HttpDelivery
from services.async_post.generations import Generations
from services.async_post.key_ring import KeyRing
from services.async_post.sender import Sender
from services.async_post.signer import Signer
from shared.dead_letters import PREFIX
from shared.deliveries import RETRY_SCHEDULE_SECONDS
from shared.events import PostRequested, PostSettled, PostSigned
from shared.generation import Generation
from shared.keys import SigningKey
from shared.topics import DEAD_THEIRS
from tests.support.emulated_aws import Emulated
from tests.support.fixed_ring import FixedRing
from tests.support.received import received, to_its_end
from tests.support.recording import RecordingPublisher
from tests.support.tls_receiver import (
    Behaviour,
    Endless,
    TlsReceiver,
    answers,
    listening,
    never,
    resets,
    server_context,
)
from tests.unit.emulators.processes import free_port

TO = "shop.example"
KEY = SigningKey.generate("pw1")
# For receivers that keep the whole of it; the others answer long before theirs.
IMPATIENT_SECONDS, PATIENT_SECONDS = 1.0, 15.0


class Post:
    """Signer and sender with the real client, and a clock that jumps to the time of a retry."""

    def __init__(self, ring: KeyRing, world: Path, timeout_seconds: float) -> None:
        self.now = datetime.now(UTC)
        self.publisher = RecordingPublisher()
        self.delivery = HttpDelivery(ConnectTo(world), timeout_seconds=timeout_seconds)
        self._signer = Signer(
            domain="identity.example", keys=ring, generations=Generations(), publisher=self.publisher, clock=self._clock
        )
        self._sender = Sender(
            delivery=self.delivery,
            publisher=self.publisher,
            give_up_seconds=27 * 3600.0,
            most_in_flight_per_domain=16,
            clock=self._clock,
            chance=random.Random(1),
        )

    def _clock(self) -> datetime:
        return self.now

    async def try_once(self, asked: PostRequested) -> tuple[PostSettled | PostRequested, float]:
        """Sign and send; return how it ended or what is tried again, and after how many seconds."""
        assert await self._signer.sign([received(asked)]) == [None]
        signed = self.publisher.of(PostSigned)[-1].data
        assert isinstance(signed, PostSigned)
        await to_its_end(self._sender.send(received(signed)))
        sent = self.publisher.sent[-1]
        data = sent.data
        assert isinstance(data, PostSettled | PostRequested)
        if sent.due is None:
            return data, 0.0
        wait = sent.due - self.now.timestamp()
        self.now += timedelta(seconds=wait)
        return data, wait


@dataclass(frozen=True)
class End:
    """How a try ends: ``answer`` is the status, or the trouble; tried again after a ``wait`` in seconds, from, to."""

    outcome: str
    answer: int | str
    wait: tuple[float, float] = (0.0, 0.0)


def again(answer: int | str, attempt: int = 1, asked_seconds: float = 0.0) -> End:
    least = RETRY_SCHEDULE_SECONDS[attempt - 1]
    wait = (asked_seconds - 0.01, asked_seconds + 0.01) if asked_seconds else (least - 0.01, least * 1.1 + 0.01)
    return End("again", answer, wait)


DELIVERED = End("delivered", 200)
BODY = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\n"


def twice(trouble: str) -> list[End]:
    return [again(trouble, 1), again(trouble, 2)]


# What it does, how each try ends, the deadline of a delivery.
TABLE: dict[str, tuple[Callable[[], Behaviour], list[End], float]] = {
    "slow": (lambda: answers(200, after_seconds=0.5), [DELIVERED], PATIENT_SECONDS),
    "hanging": (lambda: never, twice("timeout"), IMPATIENT_SECONDS),
    "trickling": (lambda: Endless(BODY, b".", 0.05), twice("timeout"), IMPATIENT_SECONDS),
    "500 then 200": (lambda: answers(500, 200), [again(500), DELIVERED], PATIENT_SECONDS),
    "429 with Retry-After": (
        lambda: answers(429, 200, headers="Retry-After: 120\r\n"), [again(429, asked_seconds=120), DELIVERED],
        PATIENT_SECONDS,
    ),
    "429 that asks for eternity": (
        lambda: answers(429, headers="Retry-After: 99999999\r\n"), [again(429, asked_seconds=3600)], PATIENT_SECONDS,
    ),
    "503 that asks for a hurry": (
        lambda: answers(503, 200, headers="Retry-After: 0\r\n"), [again(503), DELIVERED], PATIENT_SECONDS,
    ),
    "400": (lambda: answers(400), [End("given_up", 400)], PATIENT_SECONDS),
    "redirect": (
        lambda: answers(307, 200, headers="Location: /elsewhere\r\n"), [End("given_up", 307)], PATIENT_SECONDS,
    ),
    "endless body": (lambda: Endless(BODY, bytes(65536)), [DELIVERED], PATIENT_SECONDS),
    "endless headers": (
        lambda: Endless(b"HTTP/1.1 200 OK\r\n", b"x-more: of it\r\n" * 99), twice("too_large"), PATIENT_SECONDS,
    ),
    "reset": (lambda: resets, twice("closed"), PATIENT_SECONDS),
}  # fmt: skip


@pytest.fixture(autouse=True)
def decisions(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="services.async_post.sender")


@pytest.fixture
def ring(emulated: Emulated) -> KeyRing:
    return FixedRing(emulated, KEY)


@asynccontextmanager
async def post_to(ring: KeyRing, world: Path, url: str, timeout_seconds: float) -> AsyncIterator[Post]:
    (world / f"{TO}.json").write_text(json.dumps({"inbox": url}))
    post = Post(ring, world, timeout_seconds)
    try:
        yield post
    finally:
        await post.delivery.close()


async def ends_as(post: Post, ends: list[End], log: pytest.LogCaptureFixture) -> None:
    """Try until it ends, or for as often as is said."""
    asked: PostSettled | PostRequested = PostRequested(
        to=TO, subject="LocatorVerified@Domain", body={"Result": "SUCCESS"}, order_key="v-1"
    )
    for attempt, end in enumerate(ends, 1):
        assert isinstance(asked, PostRequested)
        asked, wait = await post.try_once(asked)
        status = end.answer if isinstance(end.answer, int) else None
        if isinstance(asked, PostSettled):
            assert (asked.outcome, asked.http_status, asked.attempts) == (end.outcome, status, attempt)
        else:
            assert (end.outcome, asked.attempt) == ("again", attempt + 1)
            assert end.wait[0] <= wait <= end.wait[1]
            logged = vars([line for line in log.records if line.msg == "delivery is tried again"][-1])
            assert (logged["status"], logged["trouble"] or status) == (status, end.answer)
    dead = [dict(sent.headers) for sent in post.publisher.sent if sent.topic == DEAD_THEIRS]
    given_up = [end for end in ends if end.outcome == "given_up"]
    assert [letter[f"{PREFIX}reason"] for letter in dead] == [
        f"given up: refused, last answer {end.answer}".encode() for end in given_up
    ]


def seen_are_tries_of_one_message(receiver: TlsReceiver, tries: int) -> None:
    """Each try is a whole message with a good signature, one Correlation and a Timestamp of its own."""
    assert [path for path, _ in receiver.requests] == ["/inbox"] * tries
    messages: list[dict[str, Any]] = [orjson.loads(body) for _, body in receiver.requests]
    for message in messages:
        verify(message, KEY.record)
    assert len({message["Header"]["Correlation"] for message in messages}) == 1
    times = [message["Header"]["Timestamp"] for message in messages]
    assert len(set(times)) == tries
    assert times == sorted(times)


@pytest.mark.parametrize("kind", TABLE)
async def test_each_kind_of_receiver_gets_as_many_tries_as_it_should(
    ring: KeyRing, tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    make, ends, timeout_seconds = TABLE[kind]
    receiver = TlsReceiver(make())
    make_authority(tmp_path)
    async with (
        listening(receiver, server_context(tmp_path)) as url,
        post_to(ring, tmp_path, url, timeout_seconds) as post,
    ):
        await ends_as(post, ends, caplog)
        seen_are_tries_of_one_message(receiver, len(ends))
        if isinstance(receiver.behaviour, Endless):
            # What was cut is not read on: its connection is gone.
            written = await stopped(receiver.behaviour)
            assert written < 20_000_000
            assert post.delivery.connections == 0


async def stopped(endless: Endless) -> int:
    """Wait until nothing more is written, and return how much was."""
    for _ in range(100):
        before = endless.written
        await asyncio.sleep(0.1)
        if endless.written == before:
            return before
    raise AssertionError("it is still read from")


@pytest.mark.parametrize(
    ("authority", "name"), [("another", "127.0.0.1"), (".", "nlweb.other.example")],
    ids=["of an authority that nobody knows", "for another name"],
)  # fmt: skip
async def test_a_receiver_with_a_wrong_certificate_gets_not_one_byte_of_the_message(
    ring: KeyRing, tmp_path: Path, caplog: pytest.LogCaptureFixture, authority: str, name: str
) -> None:
    receiver = TlsReceiver(answers(200))
    for folder in (tmp_path, tmp_path / authority):
        make_authority(folder)
    context = server_context(tmp_path / authority, name)
    async with listening(receiver, context) as url, post_to(ring, tmp_path, url, PATIENT_SECONDS) as post:
        await ends_as(post, [End("given_up", "certificate")], caplog)
    assert receiver.requests == []


@pytest.mark.parametrize(
    ("url", "trouble"), [("https://127.0.0.1:{port}/inbox", "connect"), ("https://nowhere.invalid/inbox", "dns")],
    ids=["nobody listens", "the name does not exist"],
)  # fmt: skip
async def test_a_receiver_that_cannot_be_reached_is_tried_again(
    ring: KeyRing, tmp_path: Path, caplog: pytest.LogCaptureFixture, url: str, trouble: str
) -> None:
    async with post_to(ring, tmp_path, url.format(port=free_port()), PATIENT_SECONDS) as post:
        await ends_as(post, twice(trouble), caplog)


@pytest.mark.parametrize("kind", ["ed25519", "rsa"])
async def test_every_message_verifies_at_a_receiver_that_is_the_package_pollyweb(
    emulated: Emulated, tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    """It answers 200 for what its own code verifies and 401 for the rest: for ours, and for ours after a change."""
    key = KEY if kind == "ed25519" else SigningKey("pw1", rsa.generate_private_key(65537, 2048))
    receiver = TlsReceiver(answers(200))

    def verdict(body: bytes) -> int:
        try:
            pollyweb.Msg.parse(body).verify(
                key.private.public_key(), expected_from="identity.example", expected_to=TO, expected_subject="A@B"
            )
        except pollyweb.MsgValidationError:
            return 401
        return 200

    async def judge(writer: asyncio.StreamWriter, number: int) -> None:
        await answers(verdict(receiver.requests[-1][1]))(writer, number)

    receiver.behaviour = judge
    make_authority(tmp_path)
    bodies: list[dict[str, Any]] = [
        {},
        {"Result": "SUCCESS", "Nested": {"b": [1, None, True, {"a": []}], "a": "x"}},
        {"Ä": "€ \u2028 \U0001f91d", "Zero": 0, "Large": 2**53 - 1, "Negative": -7, 'Quote "': "\\ \n \t \x7f"},
    ]
    async with (
        listening(receiver, server_context(tmp_path)) as url,
        post_to(FixedRing(emulated, key), tmp_path, url, PATIENT_SECONDS) as post,
    ):
        for body in bodies:
            asked = PostRequested(to=TO, subject="A@B", body=body, generation=Generation.POLLYWEB)
            end, _ = await post.try_once(asked)
            assert isinstance(end, PostSettled)
            assert (end.outcome, end.http_status) == ("delivered", 200)
    for _, message in receiver.requests:
        changed = orjson.loads(message)
        changed["Body"]["Result"] = "FAILURE"
        assert verdict(orjson.dumps(changed)) == 401
