"""The synchronous Post as an HTTP call: who may call, what a call may be, what it answers; on real sockets."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from services.async_post.app import build
from services.async_post.connect_to import ConnectTo
from services.async_post.key_ring import KeyRing
from services.async_post.openapi import openapi
from services.async_post.settings import AsyncPostSettings
from services.async_post.synchronous_answers import STATUS, Refusal
from services.async_post.synchronous_http import MOST_CALL_BYTES, SynchronousPostCall
from shared.errors import ConfigurationError
from shared.keys import SigningKey
from shared.settings import load
from tests.support.asgi import serving
from tests.support.emulated_aws import Emulated
from tests.support.tls_inbox import TlsInbox, http
from tests.unit.services.async_post.synchronous_parts import TO, delivery_to, replying, ring, synchronous

TOKEN = "a-token-of-the-tests-with-32-or-more"
GOOD = {"Authorization": f"Bearer {TOKEN}"}
CALL = {"to": TO, "subject": "Manifest@Domain", "body": {}, "deadline_seconds": 5}
CORRELATION = "125a5c75-cb72-43d2-9695-37026dfcaa48"
LEAST = {"FACESCAN_DOMAIN": "identity.example", "FACESCAN_KAFKA_BOOTSTRAP": "kafka:9092"}


class Caller:
    """Calls; ``inbox`` is the receiver."""

    def __init__(self, url: str, inbox: TlsInbox, session: aiohttp.ClientSession) -> None:
        self.url = url
        self.inbox = inbox
        self._session = session

    async def __call__(self, headers: dict[str, str] | None = None, **more: Any) -> tuple[int, dict[str, Any], Any]:
        """Return status, document and headers."""
        how: dict[str, Any] = {"json": CALL} | more
        path, method = how.pop("path", "/post"), how.pop("method", "POST")
        if "data" in how:
            del how["json"]
        async with self._session.request(method, self.url + path, headers=headers or GOOD, **how) as response:
            return response.status, await response.json(content_type=None), response.headers


@pytest.fixture
async def caller(tmp_path: Path, emulated: Emulated) -> AsyncIterator[Caller]:
    inbox, delivery = TlsInbox(), delivery_to(ConnectTo(tmp_path))
    application = SynchronousPostCall(synchronous(ring(emulated, SigningKey.generate("pw1")), delivery), TOKEN)
    async with inbox.running(tmp_path, TO), serving(application) as url, aiohttp.ClientSession() as session:
        yield Caller(url, inbox, session)
    await delivery.close()


async def test_a_call_is_answered_with_the_reply(caller: Caller) -> None:
    async def reply(message: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        writer.write(replying(message))

    caller.inbox.behaviour = reply
    status, document, _ = await caller(json=CALL | {"correlation": CORRELATION})
    assert (status, document) == (
        200,
        {"outcome": "replied", "correlation": CORRELATION, "receiver_status": 200, "response": {"Paid": True}},
    )


async def test_a_delivery_without_reply_is_answered_as_one(caller: Caller) -> None:
    status, document, _ = await caller()
    assert (status, document["outcome"], document["response"]) == (200, "delivered", None)


async def test_a_receiver_s_trouble_is_a_problem_with_its_reason(caller: Caller) -> None:
    for answer, status, reason, retry_after in (
        (http(422), 502, "refused", None),
        (http(200, b"no"), 502, "bad_reply", None),
        (http(500), 503, "unavailable", "5"),
        (http(429, b"", "retry-after: 17"), 503, "unavailable", "17"),
    ):
        caller.inbox.answer = answer
        got, document, headers = await caller(json=CALL | {"correlation": CORRELATION})
        assert (got, document["status"], document["reason"]) == (status, status, reason)
        assert (document["correlation"], document["receiver_status"]) == (CORRELATION, int(answer[9:12]))
        assert headers["Content-Type"] == "application/problem+json"
        assert headers.get("Retry-After") == retry_after


async def test_a_deadline_is_a_problem_with_its_reason(caller: Caller) -> None:
    async def hang(_: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(30)

    caller.inbox.behaviour = hang
    status, document, _ = await caller(json=CALL | {"deadline_seconds": 0.3})
    assert (status, document["reason"], document["trouble"]) == (504, "deadline", "timeout")


async def test_without_the_token_nothing_is_posted_or_told(caller: Caller) -> None:
    for headers in (
        {"Authorization": f"Bearer {TOKEN}x"},
        {"Authorization": f"Bearer {TOKEN[:-1]}"},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": TOKEN},
        {"Authorization": "Bearer "},
        {"X-Token": TOKEN},
    ):
        for path in ("/post", "/elsewhere"):
            status, document, answered = await caller(headers, path=path)
            assert (status, document["reason"], answered["WWW-Authenticate"]) == (401, "unauthentic", "Bearer"), headers
            assert TOKEN not in str(document)
    assert caller.inbox.connections == 0


NO_CALLS: list[tuple[dict[str, Any], int, str, str]] = [
    ({"path": "/"}, 404, "not_found", "/post"),
    ({"method": "PUT"}, 405, "method_not_allowed", ""),
    ({"data": b"{}", "headers": GOOD | {"Content-Type": "text/plain"}}, 415, "media_type", "Content-Type"),
    ({"data": b"{", "headers": GOOD | {"Content-Type": "application/json"}}, 400, "not_json", "no JSON"),
    ({"json": []}, 422, "invalid", "the call"),
    ({"json": CALL | {"to": "localhost"}}, 422, "invalid", "to: "),
    ({"json": CALL | {"to": "127.0.0.1"}}, 422, "invalid", "to: "),
    ({"json": CALL | {"subject": "none"}}, 422, "invalid", "subject: "),
    ({"json": CALL | {"body": []}}, 422, "invalid", "body: "),
    ({"json": CALL | {"correlation": "1"}}, 422, "invalid", "correlation: "),
    ({"json": CALL | {"generation": "smtp"}}, 422, "invalid", "generation: "),
    ({"json": CALL | {"deadline_seconds": 0}}, 422, "invalid", "deadline_seconds: "),
    ({"json": CALL | {"deadline_seconds": 60.1}}, 422, "invalid", "deadline_seconds: "),
    ({"json": CALL | {"more": 1}}, 422, "invalid", "more: "),
    ({"json": CALL | {"body": {"n": [[0] * 1500, [0] * 1500]}}}, 422, "invalid", "values"),
    ({"json": CALL | {"body": {"n": "x" * MOST_CALL_BYTES}}}, 413, "too_large", str(MOST_CALL_BYTES)),
]


async def test_what_is_no_call_is_refused_by_name_and_nothing_posted(caller: Caller) -> None:
    for more, status, reason, where in NO_CALLS:
        got, document, headers = await caller(**more)
        assert (got, document["reason"], headers["Content-Type"]) == (status, reason, "application/problem+json"), where
        assert where in document["detail"]
        assert "\n" not in document["detail"]
    assert caller.inbox.connections == 0


async def test_an_endless_call_is_cut(caller: Caller) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            yield bytes(65536)
            sent += 65536

    # The answer, or an end of the connection: which of them comes first is chance.
    with contextlib.suppress(aiohttp.ClientError):
        status, _, _ = await caller(data=endless(), headers=GOOD | {"Content-Type": "application/json"})
        assert status == 413
    assert sent < 20_000_000


async def test_without_a_key_the_caller_is_told_to_come_back(tmp_path: Path, emulated: Emulated) -> None:
    delivery = delivery_to(ConnectTo(tmp_path))
    application = SynchronousPostCall(synchronous(KeyRing(emulated.aws, "test/absent"), delivery), TOKEN)
    async with serving(application) as url, aiohttp.ClientSession() as session:
        status, document, headers = await Caller(url, TlsInbox(), session)()
    assert (status, document["reason"], headers["Retry-After"]) == (503, "no_key", "5")
    await delivery.close()


async def test_more_calls_than_places_are_told_to_come_back(tmp_path: Path, emulated: Emulated) -> None:
    delivery = delivery_to(ConnectTo(tmp_path))
    busy = synchronous(ring(emulated, SigningKey.generate("pw1")), delivery, most_in_flight=0)
    async with serving(SynchronousPostCall(busy, TOKEN)) as url, aiohttp.ClientSession() as session:
        status, document, headers = await Caller(url, TlsInbox(), session)()
    assert (status, document["reason"], headers["Retry-After"]) == (503, "busy", "1")
    await delivery.close()


def test_every_reason_stands_in_the_openapi_document_under_its_status_and_nothing_else_does() -> None:
    answers = openapi("1")["paths"]["/post"]["post"]["responses"]
    documented = {
        (reason, int(status))
        for status, answer in answers.items()
        if status != "200"
        for reason in answer["content"]["application/problem+json"]["schema"]["allOf"][1]["properties"]["reason"][
            "enum"
        ]
    }
    assert documented == {(reason.value, status) for reason, status in STATUS.items() if status != 200}
    assert {status for status, answer in answers.items() if "headers" in answer} == {str(STATUS[Refusal.BUSY])}


def test_without_a_token_there_is_no_call() -> None:
    assert not build(load(AsyncPostSettings, LEAST))._listen
    assert build(load(AsyncPostSettings, LEAST | {"FACESCAN_SYNC_POST_TOKEN": TOKEN}))._listen


@pytest.mark.parametrize("token", ["", "short", "x" * 31, "x" * 40 + " y", "é" * 40, "x" * 40 + "\n"])
def test_a_token_that_can_be_guessed_or_not_be_sent_is_refused_and_not_shown(token: str) -> None:
    with pytest.raises(ConfigurationError, match="FACESCAN_SYNC_POST_TOKEN") as caught:
        load(AsyncPostSettings, LEAST | {"FACESCAN_SYNC_POST_TOKEN": token})
    assert not token or token not in str(caught.value)
