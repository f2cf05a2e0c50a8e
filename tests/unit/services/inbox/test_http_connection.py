"""The bounds of a connection, over real sockets: what is refused, how, and that the answer arrives."""

import asyncio
import ssl
import time
from pathlib import Path
from typing import Any

import pytest

from emulators.certificates import issue_certificate, make_authority
from services.inbox.domain import Reason
from services.inbox.http_server import DoorServer
from tests.support.recording import RecordingPublisher
from tests.unit.services.inbox.doors import serving_door
from tests.unit.services.inbox.messages import as_bytes, message

HOST = b"Host: x\r\n"


async def say(server: DoorServer, *parts: bytes, pause: float = 0.0, context: Any = None) -> bytes:
    """Return all that the door answers until it closes the connection."""
    host, _, port = server.address.rpartition(":")
    name = "id.example" if context else None
    reader, writer = await asyncio.open_connection(host, int(port), ssl=context, server_hostname=name)
    try:
        for part in parts:
            writer.write(part)
            await asyncio.sleep(pause)
        async with asyncio.timeout(10):
            return await reader.read()
    finally:
        writer.close()


def post(body: bytes, headers: bytes = HOST, *, close: bool = True) -> bytes:
    end = b"Connection: close\r\n" if close else b""
    return b"POST /inbox HTTP/1.1\r\n%s%sContent-Length: %d\r\n\r\n%s" % (headers, end, len(body), body)


def reason_of(answer: bytes) -> str:
    return answer.partition(b'"reason":"')[2].partition(b'"')[0].decode()


CHUNKED = b"Transfer-Encoding: chunked\r\n"
LINE = b"POST /inbox HTTP/1.1\r\n"


@pytest.mark.parametrize(
    ("request_bytes", "status", "reason"),
    [
        (LINE + HOST + CHUNKED + b"Content-Length: 5\r\n\r\n0\r\n\r\n", 400, Reason.MALFORMED),
        (LINE + HOST + b"Content-Length: 5\r\n" + CHUNKED + b"\r\n0\r\n\r\n", 400, Reason.MALFORMED),
        (LINE + HOST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 400, Reason.MALFORMED),
        (LINE + HOST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400, Reason.MALFORMED),
        (LINE + HOST + CHUNKED + CHUNKED + b"\r\n0\r\n\r\n", 400, Reason.MALFORMED),
        (b"POST /inbox HTTP/1.0\r\n" + CHUNKED + b"\r\n0\r\n\r\n", 400, Reason.MALFORMED),
        (LINE + b"Content-Length: 2\r\n\r\n{}", 400, Reason.MALFORMED),
        (LINE + HOST + HOST + b"Content-Length: 2\r\n\r\n{}", 400, Reason.MALFORMED),
        (LINE + HOST + b"Content-Length: +2\r\n\r\n{}", 400, Reason.MALFORMED),
        (LINE + HOST + b"Bad Header: 2\r\n\r\n{}", 400, Reason.MALFORMED),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, Reason.MALFORMED),
        (b"\x16\x03\x01\x02\x00\x01\x00", 400, Reason.MALFORMED),
        (LINE + HOST + b"Expect: tea\r\nContent-Length: 2\r\n\r\n{}", 417, Reason.EXPECTATION),
        (LINE + HOST + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}", 415, Reason.ENCODING),
        (LINE + HOST + b"X: y\r\n" * 100 + b"\r\n", 431, Reason.HEAD),
        (LINE + HOST + b"X: " + b"y" * 20_000, 431, Reason.HEAD),
        (b"POST /" + b"y" * 20_000, 431, Reason.HEAD),
        (b"\r\n" * 10_000, 431, Reason.HEAD),
    ],
)
async def test_a_request_that_two_servers_might_read_differently_or_that_is_too_large_is_refused_and_closed(
    publisher: RecordingPublisher, request_bytes: bytes, status: int, reason: Reason
) -> None:
    async with serving_door(publisher) as server:
        answer = await say(server, request_bytes)
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert reason_of(answer) == reason
    assert b"\r\nconnection: close\r\n" in answer
    assert answer.count(b"HTTP/1.1 %d " % status) == 1


async def test_many_tiny_chunks_are_refused_long_before_their_content_is_too_large(
    publisher: RecordingPublisher,
) -> None:
    async with serving_door(publisher, largest_body_bytes=4096) as server:
        answer = await say(server, LINE + HOST + CHUNKED + b"\r\n", b"1\r\n \r\n" * 1500)
    assert reason_of(answer) == Reason.TOO_LARGE


async def test_pipelined_messages_are_each_handled_and_answered_in_order(publisher: RecordingPublisher) -> None:
    bodies = [as_bytes(message()) for _ in range(3)]
    pieces = [post(body, close=False) for body in bodies]
    pieces.insert(2, b"GET /nothing HTTP/1.1\r\n" + HOST + b"\r\n")
    async with serving_door(publisher) as server:
        answers = await say(server, b"".join(pieces) + post(b"no json"))
    statuses = [part.split(b" ", 1)[0] for part in answers.split(b"HTTP/1.1 ")[1:]]
    assert statuses == [b"200", b"200", b"404", b"200", b"422"]
    assert [sent.value for sent in publisher.sent] == bodies


async def test_a_head_request_is_answered_without_a_body_which_would_be_read_as_the_next_answer(
    publisher: RecordingPublisher,
) -> None:
    async with serving_door(publisher) as server:
        answers = await say(
            server,
            b"HEAD /manifest HTTP/1.1\r\n" + HOST + b"\r\n",
            b"HEAD /inbox HTTP/1.1\r\n" + HOST + b"\r\n",
            b"POST /manifest HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n",
        )
    manifest, inbox, last = answers.split(b"HTTP/1.1 ")[1:]
    assert manifest.startswith(b"200 ")
    assert manifest.endswith(b"\r\n\r\n")
    assert inbox.startswith(b"405 ")
    assert inbox.endswith(b"\r\n\r\n")
    assert b"allow: GET, HEAD\r\n" in last
    assert reason_of(b"HTTP/1.1 " + last) == "method_not_allowed"


async def test_a_pipeline_that_is_too_long_is_answered_at_its_beginning_and_closed(
    publisher: RecordingPublisher,
) -> None:
    async with serving_door(publisher) as server:
        answers = await say(server, post(as_bytes(message()), close=False) * 100)
    assert 1 <= answers.count(b"HTTP/1.1 200 ") < 100
    assert len(publisher.sent) == answers.count(b"HTTP/1.1 ")


async def test_a_sender_that_expects_100_gets_it_before_it_sends_its_body(publisher: RecordingPublisher) -> None:
    body = as_bytes(message())
    whole = post(body, HOST + b"Expect: 100-continue\r\n")
    async with serving_door(publisher) as server:
        head, _, _ = whole.partition(b"\r\n\r\n")
        answer = await say(server, head + b"\r\n\r\n", body, pause=0.1)
        assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")
        refused = await say(server, LINE + HOST + b"Expect: 100-continue\r\nContent-Length: 900000\r\n\r\n")
        assert refused.startswith(b"HTTP/1.1 413 ")


async def test_slow_heads_and_bodies_are_answered_408_and_idle_connections_closed(
    publisher: RecordingPublisher,
) -> None:
    limits: dict[str, Any] = {"head_seconds": 0.2, "body_seconds": 0.2, "idle_seconds": 0.2}
    async with serving_door(publisher, **limits) as server:
        head, body, idle = await asyncio.gather(
            say(server, b"POST /inbox HT"),
            say(server, LINE + HOST + b"Content-Length: 50\r\n\r\nabc"),
            say(server, post(as_bytes(message()), close=False)),
        )
        await asyncio.sleep(0.1)
        assert server.connections == set()
    assert (reason_of(head), reason_of(body)) == (Reason.SLOW, Reason.SLOW)
    assert idle.startswith(b"HTTP/1.1 200 ")


async def test_a_drip_does_not_extend_the_time_of_a_head(publisher: RecordingPublisher) -> None:
    async with serving_door(publisher, head_seconds=0.5) as server:
        began = time.monotonic()
        answer = await say(server, LINE, *[b"X: y\r\n"] * 12, pause=0.1)
        assert reason_of(answer) == Reason.SLOW
        assert time.monotonic() - began < 5


async def test_connections_are_bounded_for_an_address_and_for_all(publisher: RecordingPublisher) -> None:
    async with serving_door(publisher, most_connections_per_address=2) as server:
        host, _, port = server.address.rpartition(":")
        held = [await asyncio.open_connection(host, int(port)) for _ in range(2)]
        await asyncio.sleep(0.05)
        assert reason_of(await say(server)) == Reason.CONNECTIONS
        for _, writer in held:
            writer.close()
        await asyncio.sleep(0.1)
        assert (await say(server, post(as_bytes(message())))).startswith(b"HTTP/1.1 200 ")
    async with serving_door(publisher, most_connections=1) as server:
        host, _, port = server.address.rpartition(":")
        _, writer = await asyncio.open_connection(host, int(port))
        await asyncio.sleep(0.05)
        assert reason_of(await say(server)) == Reason.OVERLOADED
        writer.close()


async def test_an_address_that_is_too_fast_is_answered_429_and_another_behind_the_same_proxy_is_not(
    publisher: RecordingPublisher,
) -> None:
    body = as_bytes(message())
    limits: dict[str, Any] = {"address_rate": 0.1, "address_burst": 2, "trusted_proxies": "127.0.0.0/8"}
    async with serving_door(publisher, **limits) as server:
        fast = [await say(server, post(body, HOST + b"X-Forwarded-For: 192.0.2.1\r\n")) for _ in range(3)]
        other = await say(server, post(body, HOST + b"X-Forwarded-For: 192.0.2.1, 192.0.2.2\r\n"))
    assert [answer[9:12] for answer in fast] == [b"200", b"200", b"429"]
    assert reason_of(fast[2]) == Reason.ADDRESS_RATE
    assert 1 <= int(fast[2].partition(b"retry-after: ")[2].partition(b"\r")[0]) <= 10
    assert other.startswith(b"HTTP/1.1 200 ")


class _Held(RecordingPublisher):
    """Keeps every message until it may be stored."""

    def __init__(self) -> None:
        super().__init__()
        self.open = asyncio.Event()

    async def send_all(self, records: Any) -> None:
        await self.open.wait()
        await super().send_all(records)


async def test_more_at_once_than_the_door_may_hold_is_answered_503_and_what_it_holds_200() -> None:
    publisher = _Held()
    async with serving_door(publisher, most_in_flight=2) as server:
        held = []
        for _ in range(2):
            held.append(asyncio.create_task(say(server, post(as_bytes(message())))))
            await asyncio.sleep(0.1)
        shed = await say(server, post(as_bytes(message())))
        assert (shed[9:12], reason_of(shed)) == (b"503", Reason.OVERLOADED)
        assert b"retry-after: " in shed
        publisher.open.set()
        assert [(await answer)[9:12] for answer in held] == [b"200", b"200"]


async def test_a_stop_answers_what_is_under_way_and_takes_nothing_new() -> None:
    publisher = _Held()
    async with serving_door(publisher, drain_seconds=5.0) as server:
        under_way = asyncio.create_task(say(server, post(as_bytes(message()), close=False)))
        await asyncio.sleep(0.1)
        stopping = asyncio.create_task(server.stop())
        await asyncio.sleep(0.1)
        with pytest.raises(ConnectionRefusedError):
            await say(server, post(b"{}"))
        publisher.open.set()
        answer = await under_way
        await stopping
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"connection: close" in answer


async def test_the_door_speaks_tls_itself_when_it_has_a_certificate(
    publisher: RecordingPublisher, tmp_path: Path
) -> None:
    make_authority(tmp_path)
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    certificate_bytes, key_bytes = issue_certificate(tmp_path, ["id.example"])
    chain.write_bytes(certificate_bytes)
    key.write_bytes(key_bytes)
    context = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    async with serving_door(publisher, inbox_tls_certificate=chain, inbox_tls_key=key) as server:
        answer = await say(server, post(as_bytes(message())), context=context)
    assert answer.startswith(b"HTTP/1.1 200 ")
