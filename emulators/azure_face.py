"""Azure AI Vision Face liveness with verification, REST v1.2, and the page that Microsoft hosts for it.

    POST   /face/v1.2/detectLivenessWithVerify-sessions        multipart: verifyImage and the session's settings
    GET    /face/v1.2/detectLivenessWithVerify-sessions/{id}   as the reference has it; DELETE likewise
    POST   /api/quicklink                                      Authorization: Bearer <authToken> → {"url": "/?s=…"}
    GET    /?s=…&callbackUrl=…                                 the hosted page; its form films and comes back

The first three want the header Ocp-Apim-Subscription-Key. Who is on a picture stands in the picture
(`emulators.pictures`). Side doors, plain JSON over HTTP:

    POST /_emulator/camera    {"link": the s of the page, "person", "decision": "realface" | "spoofface" | "uncertain",
                               "status": "Succeeded" | "Failed" | "Running"}
    POST /_emulator/errors    {"operation": "create" | "get" | "delete" | "quicklink", "status": 429, "count": 3}
    GET  /_emulator/sessions  every session that is not deleted: id, status, attempts
"""

from __future__ import annotations

import asyncio
import hashlib
import html
import secrets
import signal
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click
from aiohttp import web

from emulators import json_fields
from emulators.json_fields import FieldError, JsonObject
from emulators.pictures import PictureError, read_picture

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiohttp.multipart import BodyPartReader

SESSIONS = "/face/v1.2/detectLivenessWithVerify-sessions"
PLAIN_SESSIONS = "/face/v1.2/detectLiveness-sessions"
DECISIONS = ("realface", "spoofface", "uncertain")
STATES = ("Succeeded", "Failed", "Running")
OPERATIONS = ("create", "get", "delete", "quicklink")
MODES = ("passive", "passiveactive")
MOST_SESSIONS = 50_000
_MOST_BODY_BYTES = 8 * 1024 * 1024
_CODES = {401: "401", 404: "SessionNotFound", 429: "429", 500: "InternalServerError", 503: "ServiceUnavailable"}


class Refusal(Exception):  # noqa: N818 - Azure's answer, not an error of ours
    """Raised for a request that is answered with an error."""

    def __init__(self, status: int, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code or _CODES.get(status, "BadArgument")

    def answer(self) -> web.Response:
        """In Azure's form."""
        headers = {"Retry-After": "1"} if self.status == 429 else None  # noqa: PLR2004 - Too Many Requests
        content = {"error": {"code": self.code, "message": str(self)}}
        return web.json_response(content, status=self.status, headers=headers)


@dataclass(slots=True)
class Session:
    """One liveness session; `link` is empty until its token was exchanged."""

    session_id: str
    token: str
    owner: str
    photo_sha256: str
    threshold: float
    status: str = "NotStarted"
    link: str = ""
    attempts: list[JsonObject] = field(default_factory=list)

    def as_json(self) -> JsonObject:
        """As Azure shows it; the newest attempt comes first."""
        return {
            "sessionId": self.session_id,
            "authToken": self.token,
            "status": self.status,
            "modelVersion": "2024-11-15",
            "results": {
                "attempts": self.attempts[::-1],
                "verifyReferences": [{"referenceType": "image", "qualityForRecognition": "high"}],
            },
        }


class AzureFace:
    """One Face resource and the hosted page beside it."""

    def __init__(self, key: str) -> None:
        self._key = key
        self._sessions: dict[str, Session] = {}
        self._by_link: dict[str, Session] = {}
        self._orders: dict[str, JsonObject] = {}
        self._injected: dict[str, tuple[int, int]] = {}

    def application(self) -> web.Application:
        """The HTTP application."""
        application = web.Application(client_max_size=_MOST_BODY_BYTES, middlewares=[_refusals])
        application.add_routes(
            [
                web.post(SESSIONS, self._create),
                web.post(PLAIN_SESSIONS, self._create_plain),
                web.get(f"{PLAIN_SESSIONS}/{{id}}", self._get),
                web.delete(f"{PLAIN_SESSIONS}/{{id}}", self._delete),
                web.get(f"{SESSIONS}/{{id}}", self._get),
                web.delete(f"{SESSIONS}/{{id}}", self._delete),
                web.post("/api/quicklink", self._quick_link),
                web.get("/", self._page),
                web.get("/favicon.ico", _no_icon),  # browsers ask for one by themselves
                web.post("/film", self._film),
                web.post("/_emulator/camera", self._camera),
                web.post("/_emulator/errors", self._errors),
                web.get("/_emulator/sessions", self._listing),
            ]
        )
        return application

    # -- the Face resource ---------------------------------------------------------------------------------------

    async def _create(self, request: web.Request) -> web.Response:
        self._admit(request, "create")
        fields = await _form(request)
        mode, picture = _text(fields, "livenessOperationMode"), fields.get("verifyimage")
        if mode.lower() not in MODES:
            raise Refusal(400, "livenessOperationMode: Passive or PassiveActive is expected")
        for name in ("deviceCorrelationId", "userCorrelationId"):
            _text(fields, name)
        seconds = int(_text(fields, "authTokenTimeToLiveInSeconds", "600"))
        if not 60 <= seconds <= 86_400:  # noqa: PLR2004 - the reference's bounds
            raise Refusal(400, "authTokenTimeToLiveInSeconds: 60 to 86400 is expected")
        if not isinstance(picture, bytes):
            raise Refusal(400, "verifyImage is missing")
        try:
            shown = read_picture(picture)
        except PictureError:
            raise Refusal(400, "Decoding error, image format unsupported.", "InvalidImage") from None
        if shown.faces != 1 or shown.person is None:
            raise Refusal(400, "The verify image must show one face.", "InvalidVerifyImage")
        threshold = float(_text(fields, "verifyConfidenceThreshold", "0.5"))
        sha256 = hashlib.sha256(picture).hexdigest().upper()
        session = Session(str(uuid.uuid4()), secrets.token_urlsafe(32), shown.person, sha256, threshold)
        self._sessions[session.session_id] = session
        while len(self._sessions) > MOST_SESSIONS:
            del self._sessions[next(iter(self._sessions))]
        return web.json_response(session.as_json())

    async def _create_plain(self, request: web.Request) -> web.Response:
        self._admit(request, "create")
        json_fields.text(json_fields.read_object(await request.read()), "livenessOperationMode")
        session = Session(str(uuid.uuid4()), secrets.token_urlsafe(32), "", "", 0.0)
        self._sessions[session.session_id] = session
        return web.json_response(session.as_json())

    async def _get(self, request: web.Request) -> web.Response:
        self._admit(request, "get")
        return web.json_response(self._session(request).as_json())

    async def _delete(self, request: web.Request) -> web.Response:
        self._admit(request, "delete")
        session = self._session(request)
        del self._sessions[session.session_id]
        self._by_link.pop(session.link, None)
        return web.Response(status=204)

    def _admit(self, request: web.Request, operation: str) -> None:
        given = request.headers.get("Ocp-Apim-Subscription-Key", "")
        if not secrets.compare_digest(given.encode(), self._key.encode()):
            raise Refusal(401, "Access denied due to invalid subscription key or wrong API endpoint.")
        self._fail_if_injected(operation)

    def _fail_if_injected(self, operation: str) -> None:
        status, count = self._injected.get(operation, (0, 0))
        if count:
            self._injected[operation] = (status, count - 1)
            raise Refusal(status, f"{status} as told by /_emulator/errors")

    def _session(self, request: web.Request) -> Session:
        session = self._sessions.get(request.match_info["id"])
        if session is None:
            raise Refusal(404, "Session not found.")
        return session

    # -- the hosted page -----------------------------------------------------------------------------------------

    async def _quick_link(self, request: web.Request) -> web.Response:
        self._fail_if_injected("quicklink")
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        for session in self._sessions.values():
            if secrets.compare_digest(session.token.encode(), token.encode()):
                session.link = str(uuid.uuid4())
                self._by_link[session.link] = session
                return web.json_response({"url": f"/?s={session.link}"})
        raise Refusal(401, "The token is not valid.")

    async def _page(self, request: web.Request) -> web.Response:
        link, back = request.query.get("s", ""), request.query.get("callbackUrl", "")
        session = self._by_link.get(link)
        if session is None or session.status != "NotStarted":
            return web.Response(status=410, text="This link has been used or has expired.\n")
        session.status = "Running"
        hidden = "".join(
            f'<input type="hidden" name="{name}" value="{html.escape(value)}">'
            for name, value in (("s", link), ("callbackUrl", back))
        )
        document = (
            '<!doctype html><html lang="en"><title>Liveness</title><main><h1>Look into the camera</h1>'
            f'<form method="post" id="film" action="/film">{hidden}<button type="submit">Start</button></form></main>'
        )
        return web.Response(text=document, content_type="text/html")

    async def _film(self, request: web.Request) -> web.Response:
        form = await request.post()
        link, back = str(form.get("s", "")), str(form.get("callbackUrl", ""))
        session = self._by_link.get(link)
        if session is None or session.attempts:
            return web.Response(status=410, text="This link has been used or has expired.\n")
        order = self._orders.pop(link, {"person": "nobody", "decision": "realface", "status": "Succeeded"})
        session.status = order["status"]
        session.attempts.append(_attempt(session, order))
        if not back:
            return web.Response(text="Done. You may close this page.\n")
        raise web.HTTPSeeOther(back)

    # -- side doors ----------------------------------------------------------------------------------------------

    async def _camera(self, request: web.Request) -> web.Response:
        order = json_fields.read_object(await request.read())
        link = json_fields.text(order, "link")
        if link not in self._by_link:
            return web.json_response({"error": f"no link {link}"}, status=404)
        self._orders[link] = {
            "person": json_fields.text(order, "person"),
            "decision": json_fields.one_of(order, "decision", DECISIONS, "realface"),
            "status": json_fields.one_of(order, "status", STATES, "Succeeded"),
        }
        return web.json_response(self._orders[link])

    async def _errors(self, request: web.Request) -> web.Response:
        order = json_fields.read_object(await request.read())
        operation = json_fields.one_of(order, "operation", OPERATIONS)
        status = json_fields.whole(order, "status", 429, least=400, most=599)
        self._injected[operation] = (status, json_fields.whole(order, "count", 1, least=0, most=1_000_000))
        return web.json_response({"operation": operation, "status": status})

    async def _listing(self, _request: web.Request) -> web.Response:
        return web.json_response(
            [
                {"session_id": one.session_id, "status": one.status, "attempts": len(one.attempts)}
                for one in self._sessions.values()
            ]
        )


def _attempt(session: Session, order: JsonObject) -> JsonObject:
    attempt: JsonObject = {"attemptId": len(session.attempts) + 1, "attemptStatus": order["status"]}
    if order["status"] == "Failed":
        return attempt | {"error": {"code": "FaceWithMaskDetected", "message": "Mask detected on face image."}}
    if order["status"] == "Running":
        return attempt
    if not session.owner:  # nothing to compare with
        return attempt | {"result": {"livenessDecision": order["decision"], "digest": secrets.token_hex(32).upper()}}
    confidence = 0.95 if order["person"] == session.owner else 0.08
    # The reference writes the word in lower case, its example does not.
    decision = "realFace" if order["decision"] == "realface" else order["decision"]
    return attempt | {
        "result": {
            "livenessDecision": decision,
            "digest": secrets.token_hex(32).upper(),
            "verifyResult": {"matchConfidence": confidence, "isIdentical": confidence >= session.threshold},
            "verifyImageHash": session.photo_sha256,
        }
    }


async def _form(request: web.Request) -> dict[str, str | bytes]:
    """The parts of a multipart form by lower-case name: ASP.NET does not look at the case."""
    if not request.content_type.startswith("multipart/"):
        raise Refusal(415, "multipart/form-data is expected", "UnsupportedMediaType")
    fields: dict[str, str | bytes] = {}
    async for part in await request.multipart():
        reader: BodyPartReader = part  # type: ignore[assignment] # no form of forms comes here
        content = bytes(await reader.read())
        fields[(reader.name or "").lower()] = content if reader.filename else content.decode()
    return fields


def _text(fields: dict[str, str | bytes], name: str, usual: str | None = None) -> str:
    value = fields.get(name.lower(), usual)
    if not isinstance(value, str) or not value:
        raise Refusal(400, f"{name} is missing")
    return value


async def _no_icon(_request: web.Request) -> web.Response:
    return web.Response(status=204)


@web.middleware
async def _refusals(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except Refusal as refusal:
        return refusal.answer()
    except FieldError as error:
        return web.json_response({"error": str(error)}, status=400)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(0, 65535), default=0, show_default="any free one")
@click.option("--key", default="azure-local-key", show_default=True, help="The key that callers must show.")
def main(host: str, port: int, key: str) -> None:
    """Serve the emulated Face resource and its hosted page until SIGTERM or SIGINT."""

    async def run() -> None:
        runner = web.AppRunner(AzureFace(key).application(), access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, host, port)
        try:
            await site.start()
        except OSError as error:
            raise click.ClickException(f"cannot listen on {host}:{port}: {error.strerror}") from None
        click.echo(f"azure: ready on http://{host}:{_port(runner)}")
        stopped = asyncio.Event()
        for stop in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(stop, stopped.set)
        await stopped.wait()
        await runner.cleanup()

    asyncio.run(run())


def _port(runner: web.AppRunner) -> Any:
    return runner.addresses[0][1]


if __name__ == "__main__":
    main()
