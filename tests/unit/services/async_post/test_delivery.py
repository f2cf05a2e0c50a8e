"""One delivery against real servers, well-behaved and not."""

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from aiohttp import web

from emulators.certificates import issue_certificate, make_authority
from services.async_post.connect_to import ConnectTo
from services.async_post.delivery import HttpDelivery
from shared.deliveries import Answer
from shared.generation import Generation
from tests.unit.emulators.processes import free_port

TO = "shop.example"
MESSAGE = '{"Body":{"€":1}}'
TIMEOUT_SECONDS = 0.5

Answering = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Receiver:
    """A receiver's inbox; ``answering`` says what it does, ``received`` what came."""

    world: Path
    received: list[tuple[str, bytes, dict[str, str]]] = field(default_factory=list)
    answering: Answering | None = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)

    async def take(self, request: web.Request) -> web.StreamResponse:
        self.received.append(
            (request.path, await request.read(), {name.lower(): text for name, text in request.headers.items()})
        )
        if self.answering is not None:
            return await self.answering(request)
        return web.Response(status=self.status, headers=self.headers, body=None if self.status == 204 else b"ok")

    def is_at(self, url: str) -> None:
        (self.world / f"{TO}.json").write_text(json.dumps({"inbox": url}))


@asynccontextmanager
async def running(receiver: Receiver, context: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", receiver.take)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    try:
        yield f"{'https' if context else 'http'}://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.fixture
async def receiver(tmp_path: Path) -> AsyncIterator[Receiver]:
    receiver = Receiver(tmp_path)
    async with running(receiver) as url:
        receiver.is_at(f"{url}/inbox")
        yield receiver


@pytest.fixture
async def delivery(tmp_path: Path) -> AsyncIterator[HttpDelivery]:
    delivery = HttpDelivery(ConnectTo(tmp_path), timeout_seconds=TIMEOUT_SECONDS)
    yield delivery
    await delivery.close()


async def post(delivery: HttpDelivery) -> Answer:
    return await delivery.post(TO, Generation.NLWEB, MESSAGE)


async def test_the_message_arrives_byte_for_byte_as_json(receiver: Receiver, delivery: HttpDelivery) -> None:
    assert await post(delivery) == Answer(200)
    ((path, body, headers),) = receiver.received
    assert (path, body) == ("/inbox", MESSAGE.encode())
    assert headers["content-type"] == "application/json"
    assert "cookie" not in headers


@pytest.mark.parametrize("status", [201, 202, 204, 400, 401, 404, 422, 500, 502, 503])
async def test_a_status_is_reported_as_it_is(receiver: Receiver, delivery: HttpDelivery, status: int) -> None:
    receiver.status = status
    assert await post(delivery) == Answer(status)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(receiver: Receiver, delivery: HttpDelivery, status: int) -> None:
    receiver.status, receiver.headers = status, {"Location": "/elsewhere"}
    assert await post(delivery) == Answer(status)
    assert len(receiver.received) == 1


async def test_a_cookie_is_not_kept(receiver: Receiver, delivery: HttpDelivery) -> None:
    receiver.headers = {"Set-Cookie": "a=b"}
    for _ in range(2):
        await post(delivery)
    assert "cookie" not in receiver.received[1][2]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("120", 120.0), ("0", 0.0), ("007", 7.0), ("-1", None), ("1.5", None), ("soon", None), ("", None), ("²", None),
     ("Fri, 01 Jan 99999999999999999999 00:00:00 GMT", None), ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0)],
)  # fmt: skip
async def test_retry_after_in_seconds_is_read_and_anything_odd_ignored(
    receiver: Receiver, delivery: HttpDelivery, text: str, seconds: float | None
) -> None:
    receiver.status, receiver.headers = 429, {"Retry-After": text}
    assert await post(delivery) == Answer(429, retry_after_seconds=seconds)


async def test_retry_after_as_a_date_is_read(receiver: Receiver, delivery: HttpDelivery) -> None:
    at = datetime.now(UTC) + timedelta(seconds=100)
    receiver.status, receiver.headers = 503, {"Retry-After": format_datetime(at, usegmt=True)}
    answer = await post(delivery)
    assert answer.retry_after_seconds == pytest.approx(100, abs=2)


async def test_a_receiver_that_hangs_costs_the_time_out_and_no_more(receiver: Receiver, delivery: HttpDelivery) -> None:
    async def hang(_: web.Request) -> web.Response:
        await asyncio.sleep(30)
        raise AssertionError

    receiver.answering = hang
    began = time.monotonic()
    assert await post(delivery) == Answer(None, "timeout")
    assert time.monotonic() - began < TIMEOUT_SECONDS + 0.5


async def test_an_answer_that_trickles_costs_the_same_time_out(receiver: Receiver, delivery: HttpDelivery) -> None:
    async def trickle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(300):
            await response.write(b".")
            await asyncio.sleep(0.1)
        return response

    receiver.answering = trickle
    assert await post(delivery) == Answer(None, "timeout")


async def test_an_endless_answer_is_cut_and_its_status_counts(receiver: Receiver, delivery: HttpDelivery) -> None:
    written = 0

    async def pour(request: web.Request) -> web.StreamResponse:
        nonlocal written
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(bytes(65536))
            written += 65536

    receiver.answering = pour
    assert await post(delivery) == Answer(200)
    assert written < 20_000_000


async def test_a_connection_that_is_reset_is_trouble(receiver: Receiver, delivery: HttpDelivery) -> None:
    async def reset(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    receiver.answering = reset
    answer = await post(delivery)
    assert answer.status is None
    assert answer.trouble == "closed"


async def test_a_port_where_nobody_listens_is_trouble(receiver: Receiver, delivery: HttpDelivery) -> None:
    receiver.is_at(f"http://127.0.0.1:{free_port()}/inbox")
    assert await post(delivery) == Answer(None, "connect")


async def test_a_name_that_does_not_exist_is_trouble(receiver: Receiver, delivery: HttpDelivery) -> None:
    receiver.is_at("http://nowhere.invalid/inbox")
    assert await post(delivery) == Answer(None, "dns")


@pytest.mark.parametrize("url", ["no url", "http://", "ftp://127.0.0.1/inbox", "http://127.0.0.1:99999/inbox"])
async def test_an_inbox_that_is_no_url_is_trouble(receiver: Receiver, delivery: HttpDelivery, url: str) -> None:
    receiver.is_at(url)
    assert (await post(delivery)).status is None


async def test_bytes_that_are_no_http_are_trouble(receiver: Receiver, delivery: HttpDelivery) -> None:
    async def say(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(say, "127.0.0.1", 0)
    async with server:
        receiver.is_at(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/inbox")
        answer = await post(delivery)
    assert answer.status is None


def _context(world: Path, authority: Path, names: list[str]) -> ssl.SSLContext:
    make_authority(authority)
    certificate, key = issue_certificate(authority, names)
    (world / "server.pem").write_bytes(certificate)
    (world / "server-key.pem").write_bytes(key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(world / "server.pem", world / "server-key.pem")
    return context


async def test_a_certificate_of_the_world_s_authority_is_trusted(tmp_path: Path) -> None:
    receiver = Receiver(tmp_path)
    async with running(receiver, _context(tmp_path, tmp_path, ["127.0.0.1"])) as url:
        receiver.is_at(f"{url}/inbox")
        delivery = HttpDelivery(ConnectTo(tmp_path), timeout_seconds=5)
        assert await post(delivery) == Answer(200)
        await delivery.close()


@pytest.mark.parametrize(
    ("authority", "names"), [("another", ["127.0.0.1"]), (".", ["nlweb.other.example"])],
    ids=["of an authority that nobody knows", "for another name"],
)  # fmt: skip
async def test_a_wrong_certificate_gets_no_message(tmp_path: Path, authority: str, names: list[str]) -> None:
    receiver = Receiver(tmp_path)
    make_authority(tmp_path)
    async with running(receiver, _context(tmp_path, tmp_path / authority, names)) as url:
        receiver.is_at(f"{url}/inbox")
        delivery = HttpDelivery(ConnectTo(tmp_path), timeout_seconds=5)
        assert await post(delivery) == Answer(None, "certificate")
        await delivery.close()
    assert receiver.received == []
