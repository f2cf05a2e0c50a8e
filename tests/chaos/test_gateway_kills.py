"""kill -9 between asking over HTTP and the webhook: what was answered 202 is told, each outcome under one id."""

import asyncio
import time
import uuid
from collections import Counter
from pathlib import Path

import aiohttp
from aiohttp import web
from standardwebhooks.webhooks import Webhook

from cli.ports import free_ports
from cli.run import ALL
from cli.workbench import Workbench
from services.gateway.clients import Clients, add

VERIFICATIONS = 12
REFUSED = 3
DEADLINE_SECONDS = 120.0


class Receiver:
    """A client's own server: verifies what comes; the first webhooks of some outcomes are refused with a 503."""

    def __init__(self, secret: str) -> None:
        self._webhook = Webhook(secret)
        self.outcomes: dict[str, str] = {}
        self.ids: dict[str, str] = {}
        self.posts: Counter[str] = Counter()

    async def take(self, request: web.Request) -> web.Response:
        told = self._webhook.verify(await request.read(), dict(request.headers))
        identifier = told["data"]["verification_id"]
        self.posts[identifier] += 1
        assert self.ids.setdefault(identifier, request.headers["webhook-id"]) == request.headers["webhook-id"]
        # Fewer than open the breaker: how long that waits is another test's.
        if self.posts[identifier] == 1 and len(self.posts) <= REFUSED:
            return web.Response(status=503)
        assert self.outcomes.setdefault(identifier, told["data"]["outcome"]) == told["data"]["outcome"]
        return web.Response(status=204)


async def ask(session: aiohttp.ClientSession, url: str, token: str) -> str:
    """Ask as a client should: the same key until the answer is a 202."""
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": str(uuid.uuid4())}
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        try:
            async with session.post(f"{url}/v1/verifications", json={"locator": "nobody"}, headers=headers) as answer:
                if answer.status == 202:
                    return str((await answer.json())["verification_id"])
        except aiohttp.ClientError:
            pass
        await asyncio.sleep(0.1)
    raise TimeoutError("the gateway did not answer 202")


async def test_a_gateway_killed_between_ask_and_webhook_loses_nothing_and_tells_each_outcome_under_one_id(
    tmp_path: Path,
) -> None:
    (port,) = free_ports(1)
    clients, token, secret = add(Clients(), "bank", f"http://127.0.0.1:{port}/")
    receiver = Receiver(str(secret))
    application = web.Application()
    application.router.add_post("/", receiver.take)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    file = tmp_path / "clients.json"
    file.write_text(clients.to_text())
    settings = {"FACESCAN_VERIFICATION_SECONDS": "2", "FACESCAN_DEVELOPMENT_CLIENTS_FILE": str(file)}
    bench = Workbench(tmp_path / "system", settings=settings, services=ALL)
    try:
        await asyncio.to_thread(bench.start)
        async with aiohttp.ClientSession() as session:
            asking = [asyncio.create_task(ask(session, bench.system.gateway, token)) for _ in range(VERIFICATIONS)]
            await asyncio.sleep(0.05)
            await asyncio.to_thread(bench.kill, "gateway")
            wanted = set(await asyncio.gather(*asking))
            await asyncio.to_thread(bench.kill, "gateway")
            deadline = time.monotonic() + DEADLINE_SECONDS
            while set(receiver.outcomes) < wanted:
                assert time.monotonic() < deadline, (len(receiver.outcomes), receiver.posts)
                if len(receiver.posts) >= VERIFICATIONS // 2 and receiver.posts.total() < 1000:
                    receiver.posts.update({"": 1000})  # once, in the middle of the telling
                    await asyncio.to_thread(bench.kill, "gateway")
                await asyncio.sleep(0.1)
            headers = {"Authorization": f"Bearer {token}"}
            await asyncio.to_thread(bench.wait_ready, "gateway")
            for identifier in wanted:
                async with session.get(f"{bench.system.gateway}/v1/verifications/{identifier}", headers=headers) as got:
                    assert (await got.json())["state"] == receiver.outcomes[identifier] == "failure"
    finally:
        await asyncio.to_thread(bench.stop)
        await runner.cleanup()
    assert set(receiver.outcomes) == wanted
    assert len(wanted) == len(set(receiver.ids.values())) == VERIFICATIONS
