"""A scripted Identity for tests of the sample Domain and Wallet: it notes messages and serves a page of plain forms."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson
from aiohttp import web

from emulators.envelopes import Generation, sign
from emulators.mailbox import format_timestamp
from emulators.world import make_key, publish_key
from tests.unit.emulators.clients import rekognition_client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

NAME = "id.example"


@dataclass
class Identity:
    """Signs as `id.example`; `received` are the messages posted to it."""

    url: str
    world: Path
    aws_url: str
    http: aiohttp.ClientSession
    received: list[bytes] = field(default_factory=list)
    page_status: int = 200
    start_page: str = (
        '<div data-session-id="{session}"></div><form method="post" id="done" action="/scan/t/done"></form>'
    )
    done: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._key = make_key()
        self._selector = publish_key(self.world, NAME, self._key, None)

    def message(
        self, to: str, subject: str, body: dict[str, Any], age_seconds: float = 0.0, generation: str = "nlweb"
    ) -> dict[str, Any]:
        header = {
            "From": NAME,
            "To": to,
            "Correlation": str(uuid.uuid4()),
            "Timestamp": format_timestamp(time.time() - age_seconds),
            "Subject": subject,
        }
        return sign(header, body, self._key, self._selector, Generation(generation))

    async def post(self, inbox: str, message: dict[str, Any]) -> tuple[int, dict[str, str]]:
        async with self.http.post(inbox, data=orjson.dumps(message)) as answer:
            return answer.status, dict(answer.headers)

    async def take(self, request: web.Request) -> web.Response:
        self.received.append(await request.read())
        return web.Response()

    async def page(self, _: web.Request) -> web.Response:
        html = (
            '<!doctype html><form method="post" id="start" action="start">'
            '<input type="hidden" name="csrf" value="a&amp;b"><button>Start</button></form>'
        )
        answer = web.Response(text=html, content_type="text/html", status=self.page_status)
        answer.set_cookie("visit", "42", secure=True, httponly=True, samesite="Strict")
        return answer

    async def start(self, request: web.Request) -> web.Response:
        form = await request.post()
        if request.cookies.get("visit") != "42" or form.get("csrf") != "a&b" or not request.headers.get("Origin"):
            raise web.HTTPForbidden
        raise web.HTTPSeeOther("/scan/t/camera")

    async def camera(self, _: web.Request) -> web.Response:
        session = rekognition_client(self.aws_url).create_face_liveness_session()["SessionId"]
        return web.Response(text=self.start_page.format(session=session), content_type="text/html")

    async def finish(self, request: web.Request) -> web.Response:
        self.done.append(dict(request.cookies))
        return web.Response(text="<p>Thank you", content_type="text/html")


async def running_identity(world: Path, aws_url: str) -> AsyncIterator[Identity]:
    """An Identity that listens on a free port for as long as the generator is held."""
    application = web.Application()
    runner = web.AppRunner(application)
    async with aiohttp.ClientSession() as http:
        identity = Identity("", world, aws_url, http)
        application.add_routes(
            [
                web.post("/inbox", identity.take),
                web.get("/scan/t/", identity.page),
                web.post("/scan/t/start", identity.start),
                web.get("/scan/t/camera", identity.camera),
                web.post("/scan/t/done", identity.finish),
            ]
        )
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        identity.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield identity
        await runner.cleanup()
