"""Rekognition's streaming endpoint over TLS, as its client insists: GET /start-face-liveness-session-websocket.

GET / is for a person's own browser: a certificate of the emulated internet must be accepted once, by opening a page.
"""

from __future__ import annotations

import asyncio
import datetime
import ssl
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from aiohttp import WSMsgType, web

from emulators.aws_errors import AwsError
from emulators.certificates import issue_certificate
from emulators.event_stream import Frame, FrameError, encode
from emulators.liveness_dialogue import MOST_VIDEO_BYTES, Camera, Dialogue, disconnection, exception
from emulators.signed_streams import SignatureError, SignedStream, open_stream

if TYPE_CHECKING:
    from emulators.liveness_streams import Streams
    from emulators.signed_streams import CredentialsStore

PATH: Final = "/start-face-liveness-session-websocket"
_IDLE_SECONDS: Final = 30.0
_ANALYSIS_SECONDS: Final = 0.2
_MOST_MESSAGE_BYTES: Final = 2 * MOST_VIDEO_BYTES
_IDLE_CODE, _EXPIRED_CODE = 4001, 4003
_ACCEPTED: Final = (
    "<!doctype html><html lang=en><title>Certificate accepted</title><p>Your browser takes the certificate of the "
    "emulated streaming endpoint now. Go back to the scan page.</p></html>"
)


class StreamingEndpoint:
    """Answers one WebSocket for each check."""

    def __init__(self, streams: Streams, credentials: CredentialsStore) -> None:
        self._streams = streams
        self._credentials = credentials

    def application(self) -> web.Application:
        """The HTTP application."""
        application = web.Application()
        application.add_routes([web.get("/", _accepted), web.get(PATH, self._connect)])
        return application

    async def _connect(self, request: web.Request) -> web.StreamResponse:
        try:
            given, chain = open_stream(request.raw_path, request.host, self._credentials, _now)
        except SignatureError as error:
            return web.json_response({"Message": str(error)}, status=403)
        socket = web.WebSocketResponse(max_msg_size=_MOST_MESSAGE_BYTES, compress=False)
        await socket.prepare(request)
        try:
            await self._check(socket, given, chain)
        except AwsError as error:
            if error.code == "SessionNotFoundException":  # not in the stream's union: the connection just ends
                await socket.close(code=_EXPIRED_CODE, message=b"SessionExpired")
            else:
                await _send(socket, exception(error.code, error.message))
                await socket.close()
        except (SignatureError, FrameError) as error:
            await _send(socket, exception("ValidationException", str(error)))
            await socket.close()
        except TimeoutError:
            await socket.close(code=_IDLE_CODE, message=b"StreamIdleTimeout")
        return socket

    async def _check(self, socket: web.WebSocketResponse, given: dict[str, str], chain: SignedStream) -> None:
        camera = Camera.of(given)
        session_id = given.get("session-id", "")
        settings = self._streams.begin(session_id)
        whole = False
        try:
            fits = self._streams.stage(session_id).fits
            dialogue = Dialogue(camera, settings.challenge_type, settings.challenge_version, fits=fits)
            await _send(socket, dialogue.opening())
            ended = await _listen(socket, chain, dialogue)
            whole = ended and dialogue.whole
        finally:
            self._streams.end(session_id, whole=whole)
        if ended:
            await asyncio.sleep(_ANALYSIS_SECONDS)
            await _send(socket, disconnection())
            await socket.close()


async def _listen(socket: web.WebSocketResponse, chain: SignedStream, dialogue: Dialogue) -> bool:
    """Take chunks until the last; False when the client went before it."""
    while True:
        message = await asyncio.wait_for(socket.receive(), _IDLE_SECONDS)
        if message.type in (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR):
            return False
        if message.type is not WSMsgType.BINARY:
            raise FrameError("frames come as binary messages")
        if dialogue.take(chain.open(message.data)):
            return True


async def _send(socket: web.WebSocketResponse, frame: Frame) -> None:
    if not socket.closed:
        await socket.send_bytes(encode(frame))


async def _accepted(_: web.Request) -> web.Response:
    return web.Response(text=_ACCEPTED, content_type="text/html")


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def tls_context(world: Path, names: list[str]) -> ssl.SSLContext:
    """A server's context with a certificate of the world's authority. Raises CertificateError."""
    certificate, key = issue_certificate(world, names)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:  # the module takes files only
        files = Path(folder, "certificate.pem"), Path(folder, "key.pem")
        for file, content in zip(files, (certificate, key), strict=True):
            file.touch(mode=0o600)
            file.write_bytes(content)
        context.load_cert_chain(*files)
    return context


async def serve_streams(endpoint: StreamingEndpoint, host: str, port: int, context: ssl.SSLContext) -> None:
    """Begin to answer; returns at once. Raises OSError when the port is taken."""
    runner = web.AppRunner(endpoint.application(), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, host, port, ssl_context=context).start()
