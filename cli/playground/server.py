"""The playground's own server: the page's files, its buttons, what happens as server-sent events, and two inboxes."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
import orjson
from aiohttp import web

from cli.local_aws import LocalAws
from cli.playground.camera import Who
from cli.playground.desk import Desk
from cli.playground.ledger import Ledger
from cli.playground.sides import Sides
from cli.system_file import System
from emulators.keys_over_dns import Resolver
from services.session.page_files import find_program
from shared.errors import FacescanError
from shared.settings import StoreSettings

STATIC: Final = Path(__file__).with_name("static")
_TYPES: Final = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
_MOST_BODY_BYTES: Final = 1024 * 1024
_ALIVE_SECONDS: Final = 10.0
_START_SECONDS: Final = 30.0
_CLIENT: Final = aiohttp.ClientTimeout(total=30)
_SHUTDOWN_SECONDS: Final = 0.5

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Playground:
    """The application for one system, at ``origin`` (``http://127.0.0.1:port``)."""

    def __init__(self, system: System, origin: str) -> None:
        self._system = system
        self._origin = origin
        self._host = urlsplit(origin).netloc
        self._ledger = Ledger()
        self._headers = page_headers(system)

    def application(self) -> web.Application:
        """The HTTP application; keys, readers and watchers come to be when it starts."""
        application = web.Application(client_max_size=_MOST_BODY_BYTES, middlewares=[self._guard])
        application.cleanup_ctx.append(self._live)
        application.add_routes(
            [
                web.get("/", self._file),
                web.get("/static/{name}", self._file),
                web.get("/favicon.ico", self._no_icon),
                web.get("/api/events", self._events),
                web.post("/api/verify", self._verify),
                web.post("/api/stage", self._stage),
                web.post("/{name}/inbox", self._inbox),
            ]
        )
        return application

    async def _live(self, _: web.Application) -> AsyncIterator[None]:
        aws = LocalAws(StoreSettings(), self._system.aws)
        async with aiohttp.ClientSession(timeout=_CLIENT, trust_env=False) as session:
            resolver = Resolver.at(self._system.dns)
            self._sides = Sides(Path(self._system.world), resolver, session, self._origin, self._note)
            self._desk = Desk(self._system, self._ledger, self._sides, aws, session)
            ready = asyncio.Event()
            watchers = [
                asyncio.create_task(work)
                for work in (self._desk.read_topics(ready), self._desk.watch_records(), self._desk.watch_services())
            ]
            async with asyncio.timeout(_START_SECONDS):
                await ready.wait()
            yield
            for watcher in watchers:
                watcher.cancel()
            await asyncio.gather(*watchers, return_exceptions=True)
        aws.close()

    def _note(self, kind: str, verification_id: str, content: dict[str, Any]) -> None:
        self._ledger.add(kind, verification_id, **content)

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let nobody in under another name (DNS rebinding), and no other site's page press a button."""
        if request.host != self._host:
            return _said(f"this is {self._origin}/, and nothing under the name {request.host}", 421)
        if request.path.startswith("/api/") and request.method == "POST":
            if request.headers.get("Origin") != self._origin:
                return _said("only the playground's own page may press its buttons", 403)
            if request.content_type != "application/json":
                return _said("application/json is expected", 415)
        try:
            return await handler(request)
        except web.HTTPException as error:
            return _said(error.reason, error.status)
        except FacescanError as error:
            return _said(str(error), 503)

    async def _file(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info.get("name", "index.html")
        path = STATIC / name
        kind = _TYPES.get(path.suffix)
        if kind is None or path.parent != STATIC or not path.is_file():
            return _said(f"there is no {name}", 404)
        return web.Response(body=path.read_bytes(), content_type=kind, charset="utf-8", headers=self._headers)

    async def _no_icon(self, _: web.Request) -> web.Response:
        return web.Response(status=204)

    async def _events(self, request: web.Request) -> web.StreamResponse:
        """Everything that is remembered, then what comes; a reader that comes again gets what it has not had."""
        boot, _, number = request.headers.get("Last-Event-ID", "").partition("-")
        after = int(number) if boot == self._ledger.boot and number.isdecimal() else 0
        headers = {"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        before = self._ledger.since(after)
        up_to = before[-1].number if before else 0
        hello = {"boot": self._ledger.boot, "up_to": up_to, **self._facts_of_system()}
        await response.write(b"event: hello\ndata: " + orjson.dumps(hello) + b"\n\n")
        facts = self._ledger.follow(after)
        try:
            waiting = asyncio.ensure_future(anext(facts))
            while True:
                done, _pending = await asyncio.wait({waiting}, timeout=_ALIVE_SECONDS)
                if not done:
                    await response.write(b": still here\n\n")
                    continue
                fact = waiting.result()
                line = f"id: {self._ledger.boot}-{fact.number}\ndata: ".encode() + orjson.dumps(fact.as_json())
                await response.write(line + b"\n\n")
                waiting = asyncio.ensure_future(anext(facts))
        except (StopAsyncIteration, ConnectionResetError):
            return response
        finally:
            waiting.cancel()
            with contextlib.suppress(asyncio.CancelledError, StopAsyncIteration):
                await waiting
            await facts.aclose()  # type: ignore[attr-defined] # an async generator, which its type does not say

    def _facts_of_system(self) -> dict[str, Any]:
        system = self._system
        return {
            "domain": system.domain,
            "session": system.session,
            "streaming": system.streaming.replace("wss:", "https:"),
            "films": find_program() is not None and bool(system.streaming),
            "services": list(system.ops),
            "seconds": system.verification_seconds,
        }

    async def _verify(self, request: web.Request) -> web.Response:
        order = await _order(request)
        who, by_stand_in = _who(order), order.get("camera") != "own"
        return _json(await self._desk.verify(who, by_stand_in=by_stand_in))

    async def _stage(self, request: web.Request) -> web.Response:
        order = await _order(request)
        who, by_stand_in = _who(order), order.get("camera") != "own"
        await self._desk.stage(who, by_stand_in=by_stand_in)
        return _json({})

    async def _inbox(self, request: web.Request) -> web.Response:
        answer = await self._sides.receive(request.match_info["name"], await request.read())
        if answer is None:
            return _said("nobody has an inbox here", 404)
        status, headers, problem = answer
        return web.Response(
            status=status, headers=headers, body=orjson.dumps({"error": problem} if problem else {}),
            content_type="application/json",
        )  # fmt: skip


def page_headers(system: System) -> dict[str, str]:
    """Return the headers of the page: it loads from here alone, and frames the scan page alone."""
    streaming = f" {system.streaming.replace('wss:', 'https:')}" if system.streaming else ""
    policy = (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        f"connect-src 'self'{streaming}; frame-src {system.session}; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'; require-trusted-types-for 'script'"
    )
    return {
        "Cache-Control": "no-store",
        "Content-Security-Policy": policy,
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": f'camera=(self "{system.session}"), microphone=(), geolocation=(), display-capture=()',
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }


async def _order(request: web.Request) -> dict[str, Any]:
    try:
        order = orjson.loads(await request.read())
    except orjson.JSONDecodeError:
        raise web.HTTPBadRequest(reason="the order is no JSON") from None
    if not isinstance(order, dict):
        raise web.HTTPBadRequest(reason="the order is no JSON object")
    return order


def _who(order: dict[str, Any]) -> Who:
    try:
        return Who(order.get("who", Who.PERSON))
    except ValueError:
        raise web.HTTPBadRequest(reason=f"who: one of {', '.join(Who)} is expected") from None


def _json(value: Any, status: int = 200) -> web.Response:
    return web.Response(
        status=status, body=orjson.dumps(value), content_type="application/json", headers={"Cache-Control": "no-store"}
    )


def _said(text: str, status: int) -> web.Response:
    return _json({"error": text}, status)


def serve(system: System, port: int, ready: Callable[[str], None]) -> None:
    """Serve the playground of a running system on this machine until SIGTERM or SIGINT."""
    origin = f"http://127.0.0.1:{port}"
    web.run_app(
        Playground(system, origin).application(), host="127.0.0.1", port=port, print=lambda _: ready(origin),
        access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS,
    )  # fmt: skip
