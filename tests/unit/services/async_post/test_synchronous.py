"""The synchronous Post: every outcome, seen at a real receiver behind TLS."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from prometheus_client import REGISTRY

from emulators.envelopes import read_envelope, verify
from services.async_post.connect_to import ConnectTo
from services.async_post.key_ring import KeyRing
from services.async_post.synchronous import BusyError, Outcome, Posted, SynchronousPost
from shared.errors import UnavailableError, UnprocessableError
from shared.generation import Generation
from shared.keys import SigningKey
from shared.outbound import Target, any_target
from tests.support.emulated_aws import Emulated
from tests.support.readers import until_async
from tests.support.tls_inbox import TlsInbox, http
from tests.unit.emulators.processes import free_port
from tests.unit.services.async_post.synchronous_parts import (
    MOST_REPLY_BYTES,
    TO,
    US,
    call,
    delivery_to,
    replying,
    ring,
    synchronous,
)

KEY = SigningKey.generate("pw1")
RSA = SigningKey("pk1", rsa.generate_private_key(65537, 2048))


@pytest.fixture
async def inbox(tmp_path: Path) -> AsyncIterator[TlsInbox]:
    inbox = TlsInbox()
    async with inbox.running(tmp_path, TO):
        yield inbox


@pytest.fixture
async def post(tmp_path: Path, emulated: Emulated) -> AsyncIterator[SynchronousPost]:
    delivery = delivery_to(ConnectTo(tmp_path))
    yield synchronous(ring(emulated, KEY), delivery)
    await delivery.close()


async def reply(message: dict[str, Any], writer: asyncio.StreamWriter) -> None:
    writer.write(replying(message))


async def hang(_: dict[str, Any], writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(30)


def counted(outcome: Outcome) -> float:
    return REGISTRY.get_sample_value("facescan_sync_posts_total", {"outcome": outcome.value}) or 0.0


@pytest.mark.parametrize("generation", Generation)
@pytest.mark.parametrize("key", [KEY, RSA], ids=["ed25519", "rsa"])
async def test_the_reply_to_a_message_that_a_foreign_domain_verifies_is_returned(
    tmp_path: Path, emulated: Emulated, inbox: TlsInbox, key: SigningKey, generation: Generation
) -> None:
    inbox.behaviour = reply
    delivery, before = delivery_to(ConnectTo(tmp_path)), counted(Outcome.REPLIED)
    asked = call(generation=generation)
    posted = await synchronous(ring(emulated, key), delivery).post(asked)
    await delivery.close()
    assert posted == Posted(Outcome.REPLIED, asked.correlation, 200, response={"Paid": True})
    (message,) = inbox.messages
    verify(message, key.record)
    envelope = read_envelope(message)
    assert (envelope.sender, envelope.receiver, envelope.correlation) == (US, TO, asked.correlation)
    assert (envelope.body, envelope.generation.value) == ({"n": 1}, generation.value)
    assert counted(Outcome.REPLIED) == before + 1


async def test_posts_share_one_connection(post: SynchronousPost, inbox: TlsInbox) -> None:
    inbox.behaviour = reply
    for _ in range(3):
        assert (await post.post(call())).outcome is Outcome.REPLIED
    assert inbox.connections == 1


async def test_a_given_correlation_is_kept_in_lower_case(post: SynchronousPost, inbox: TlsInbox) -> None:
    given = "125A5C75-CB72-43D2-9695-37026DFCAA48"
    assert (await post.post(call(correlation=given))).correlation == given.lower()
    assert inbox.messages[0]["Header"]["Correlation"] == given.lower()


async def test_a_receiver_is_spoken_to_as_configured_when_the_call_does_not_say(
    post: SynchronousPost, tmp_path: Path
) -> None:
    inbox = TlsInbox()
    async with inbox.running(tmp_path, "polly.example"):
        await post.post(call(to="polly.example"))
        await post.post(call(to="polly.example", generation=Generation.NLWEB))
    assert [read_envelope(message).generation.value for message in inbox.messages] == ["pollyweb", "nlweb"]


@pytest.mark.parametrize("answer", [http(200), http(202, b"{}"), http(204)], ids=["empty", "empty object", "204"])
async def test_an_acknowledgement_is_delivered_without_a_reply(
    post: SynchronousPost, inbox: TlsInbox, answer: bytes
) -> None:
    inbox.answer = answer
    posted = await post.post(call())
    assert (posted.outcome, posted.response) == (Outcome.DELIVERED, None)


@pytest.mark.parametrize("status", [301, 307, 400, 401, 404, 422])
async def test_a_refusing_status_is_reported_and_a_redirect_not_followed(
    post: SynchronousPost, inbox: TlsInbox, status: int
) -> None:
    inbox.answer = http(status, b"why", "location: /elsewhere")
    posted = await post.post(call())
    assert (posted.outcome, posted.status) == (Outcome.REFUSED, status)
    assert len(inbox.messages) == 1


@pytest.mark.parametrize("status", [408, 425, 429, 500, 503])
async def test_a_status_that_may_pass_is_unavailable_tried_once_with_the_receiver_s_wish(
    post: SynchronousPost, inbox: TlsInbox, status: int
) -> None:
    inbox.answer = http(status, b"", "retry-after: 7")
    posted = await post.post(call())
    assert (posted.outcome, posted.status, posted.retry_after_seconds) == (Outcome.UNAVAILABLE, status, 7.0)
    assert len(inbox.messages) == 1


async def test_nobody_listening_is_unavailable(post: SynchronousPost, tmp_path: Path) -> None:
    (tmp_path / f"{TO}.json").write_text(f'{{"inbox": "https://127.0.0.1:{free_port()}/inbox"}}')
    posted = await post.post(call())
    assert (posted.outcome, posted.status, posted.trouble) == (Outcome.UNAVAILABLE, None, "connect")


async def test_a_connection_that_is_reset_is_unavailable(post: SynchronousPost, inbox: TlsInbox) -> None:
    async def reset(_: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    inbox.behaviour = reset
    posted = await post.post(call())
    assert (posted.outcome, posted.trouble) == (Outcome.UNAVAILABLE, "closed")


async def test_a_certificate_of_an_unknown_authority_gets_no_message(post: SynchronousPost, tmp_path: Path) -> None:
    inbox = TlsInbox()
    async with inbox.running(tmp_path, TO, tmp_path / "another"):
        posted = await post.post(call())
    assert (posted.outcome, posted.trouble, inbox.messages) == (Outcome.REFUSED, "certificate", [])


async def test_a_receiver_that_hangs_costs_the_deadline(post: SynchronousPost, inbox: TlsInbox) -> None:
    inbox.behaviour = hang
    began = time.monotonic()
    posted = await post.post(call(deadline_seconds=0.4))
    assert (posted.outcome, posted.trouble) == (Outcome.DEADLINE, "timeout")
    assert 0.3 < time.monotonic() - began < 5
    assert len(inbox.messages) == 1


async def test_a_reply_that_trickles_costs_the_deadline(post: SynchronousPost, inbox: TlsInbox) -> None:
    async def trickle(_: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
        for _byte in range(100):
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.05)

    inbox.behaviour = trickle
    assert (await post.post(call(deadline_seconds=0.4))).outcome is Outcome.DEADLINE


async def test_an_address_inside_is_blocked_before_any_connection(inbox: TlsInbox, emulated: Emulated) -> None:
    """The rules are production's: what development's folder says is not asked."""

    class Inside:
        def target(self, receiver: str, generation: Generation) -> Target:
            return any_target(f"https://127.0.0.1:{inbox.port}/inbox")

    delivery = delivery_to(Inside())
    posted = await synchronous(ring(emulated, KEY), delivery).post(call())
    await delivery.close()
    assert (posted.outcome, posted.trouble, inbox.connections) == (Outcome.BLOCKED_ADDRESS, "address", 0)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"OK", "no JSON"),
        (b"[]", "no JSON object"),
        (b'{"Response": 1}', "Response: not an object"),
        (b'{"Response": {}, "Mode": 1}', "more at its top"),
        (b'{"a": 1, "a": 2}', "stands twice"),
        (b'{"a":' + b"[" * 40 + b"]" * 40 + b"}", "nested"),
        (b'{"a": "' + b"x" * MOST_REPLY_BYTES + b'"}', "longer than 4096 bytes"),
    ],
    ids=["text", "list", "no object", "more at the top", "a name twice", "too deep", "too long"],
)
async def test_what_is_no_reply_is_a_bad_reply(post: SynchronousPost, inbox: TlsInbox, body: bytes, why: str) -> None:
    inbox.answer = http(200, body)
    posted = await post.post(call())
    assert (posted.outcome, posted.status, posted.response) == (Outcome.BAD_REPLY, 200, None)
    assert why in posted.detail


async def test_the_reply_to_another_message_is_a_bad_reply(post: SynchronousPost, inbox: TlsInbox) -> None:
    async def mistake(message: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        writer.write(replying(message, Correlation="125a5c75-cb72-43d2-9695-37026dfcaa48"))

    inbox.behaviour = mistake
    posted = await post.post(call())
    assert (posted.outcome, posted.response) == (Outcome.BAD_REPLY, None)
    assert "Request.Header.Correlation" in posted.detail


async def test_bytes_that_are_no_http_are_a_bad_reply(post: SynchronousPost, inbox: TlsInbox) -> None:
    inbox.answer = b"220 mail.example ESMTP\r\n\r\n"
    posted = await post.post(call())
    assert (posted.outcome, posted.trouble) == (Outcome.BAD_REPLY, "not_http")


async def test_a_slow_receiver_takes_only_its_own_places(
    post: SynchronousPost, inbox: TlsInbox, tmp_path: Path
) -> None:
    async def both_hang() -> bool:
        return len(inbox.messages) == 2

    inbox.behaviour = hang
    healthy = TlsInbox(http(200, b'{"n": 2}'))
    async with healthy.running(tmp_path, "other.example"):
        slow = [asyncio.create_task(post.post(call(deadline_seconds=30))) for _ in range(2)]
        await until_async(both_hang)
        with pytest.raises(BusyError, match=TO):
            await post.post(call())
        assert (await post.post(call(to="other.example"))).response == {"n": 2}
        for task in slow:
            task.cancel()
        await asyncio.gather(*slow, return_exceptions=True)
        inbox.behaviour = reply
        assert (await post.post(call())).outcome is Outcome.REPLIED


async def test_without_a_key_nothing_is_posted(inbox: TlsInbox, tmp_path: Path, emulated: Emulated) -> None:
    delivery = delivery_to(ConnectTo(tmp_path))
    with pytest.raises(UnavailableError):
        await synchronous(KeyRing(emulated.aws, "test/absent"), delivery).post(call())
    assert inbox.connections == 0


async def test_a_body_without_a_canonical_form_is_not_posted(post: SynchronousPost, inbox: TlsInbox) -> None:
    with pytest.raises(UnprocessableError):
        await post.post(call(body={"n": float("nan")}))
    assert inbox.connections == 0


async def test_a_name_too_long_for_an_inbox_is_not_posted_to(post: SynchronousPost) -> None:
    with pytest.raises(UnprocessableError, match="to: "):
        await post.post(call(to=".".join(["a" * 63, "a" * 63, "a" * 63, "a" * 58])))
