"""The playground's door: this machine's own page alone, and a policy that loads from nowhere else."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from cli.playground.server import STATIC, Playground
from cli.system_file import System

SYSTEM = System(
    kafka="127.0.0.1:1", aws="http://127.0.0.1:1", inbox="http://127.0.0.1:1/inbox", session="http://127.0.0.1:2",
    streaming="wss://127.0.0.1:3", dns="127.0.0.1:1", domain="id.example", world="world", pids={}, ops={}, emulators={},
    log_dir="log", pid=1, verification_seconds=60.0,
)  # fmt: skip


@pytest.fixture
async def client(unused_tcp_port: int) -> AsyncIterator[TestClient[web.Request, web.Application]]:
    """The application alone: neither topics nor keys."""
    application = Playground(SYSTEM, f"http://127.0.0.1:{unused_tcp_port}").application()
    application.cleanup_ctx.clear()
    async with TestClient(TestServer(application, host="127.0.0.1", port=unused_tcp_port)) as client:
        yield client


async def test_the_page_loads_from_here_alone_and_frames_the_scan_page_alone(
    client: "TestClient[web.Request, web.Application]",
) -> None:
    answer = await client.get("/")
    policy = answer.headers["Content-Security-Policy"].split("; ")
    assert answer.status == 200
    assert {"default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'"} <= set(policy)
    assert "frame-src http://127.0.0.1:2" in policy
    assert "connect-src 'self' https://127.0.0.1:3" in policy
    assert "unsafe" not in str(policy)


async def test_every_file_of_the_page_is_served_and_nothing_beside_them(
    client: "TestClient[web.Request, web.Application]",
) -> None:
    for path in STATIC.iterdir():
        answer = await client.get(f"/static/{path.name}")
        assert await answer.read() == path.read_bytes()
    for name in ("..%2fserver.py", "none.js", "%2e%2e%2f__init__.py", "style.css%00"):
        assert (await client.get(f"/static/{name}")).status == 404


async def test_under_another_name_nothing_is_served(client: "TestClient[web.Request, web.Application]") -> None:
    """A page of somebody's whose name is led to this machine (DNS rebinding) reads nothing."""
    for path in ("/", "/api/events"):
        answer = await client.get(path, headers={"Host": "evil.example"})
        assert answer.status == 421


@pytest.mark.parametrize("origin", [None, "null", "http://evil.example"])
async def test_another_site_s_page_presses_no_button(
    client: "TestClient[web.Request, web.Application]", origin: str | None
) -> None:
    headers = {"Origin": origin} if origin else {}
    for path in ("/api/verify", "/api/stage"):
        assert (await client.post(path, json={}, headers=headers)).status == 403


@pytest.mark.parametrize(
    ("body", "problem"),
    [(b"{", "the order is no JSON"), (b"[]", "the order is no JSON object"), (b'{"who": "x"}', "who: one of")],
)
async def test_a_wrong_order_is_answered_in_one_line(
    client: "TestClient[web.Request, web.Application]", body: bytes, problem: str
) -> None:
    origin = str(client.make_url("/")).rstrip("/")
    headers = {"Origin": origin, "Content-Type": "application/json"}
    answer = await client.post("/api/stage", data=body, headers=headers)
    assert answer.status == 400
    assert (await answer.json())["error"].startswith(problem)
