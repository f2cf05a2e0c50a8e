"""Who may show the scan page in a frame."""

import pytest
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Scope

from services.session.page_headers import PRIVATE, framed_by, program_headers
from services.session.settings import SessionSettings
from shared.errors import ConfigurationError
from shared.settings import load

ORIGIN = "http://127.0.0.1:20999"
FRAME = {"FACESCAN_DEVELOPMENT_FRAMED_BY": ORIGIN}
LEAST = {
    "FACESCAN_DOMAIN": "id.example",
    "FACESCAN_KAFKA_BOOTSTRAP": "127.0.0.1:9092",
    "FACESCAN_SCAN_TOKEN_SECRET": "s" * 32,
    "FACESCAN_SESSION_PUBLIC_URL": "https://scan.id.example",
    "FACESCAN_STREAMING_ROLE": "arn:aws:iam::123456789012:role/streaming",
    "FACESCAN_FACE_MODEL": "face-model",
}


@pytest.mark.parametrize("environment", [{}, {"FACESCAN_ENVIRONMENT": "production"}])
def test_production_lets_nobody_frame_the_page_and_says_which_setting_would(environment: dict[str, str]) -> None:
    load(SessionSettings, LEAST | environment)
    with pytest.raises(ConfigurationError, match="FACESCAN_DEVELOPMENT_FRAMED_BY") as caught:
        load(SessionSettings, LEAST | environment | FRAME)
    assert "\n" not in str(caught.value)


def test_in_development_one_origin_may_be_named_and_nothing_but_an_origin() -> None:
    development = LEAST | {"FACESCAN_ENVIRONMENT": "development"}
    assert load(SessionSettings, development | FRAME).development_framed_by == ORIGIN
    for wrong in ("*", "http:", f"{ORIGIN}/path", f"{ORIGIN}; script-src *", f"{ORIGIN} *", "'self'"):
        with pytest.raises(ConfigurationError):
            load(SessionSettings, development | {"FACESCAN_DEVELOPMENT_FRAMED_BY": wrong})


@pytest.mark.parametrize("headers", [PRIVATE, program_headers(["wss://streams.example"])])
async def test_the_named_origin_may_frame_the_page_and_nothing_else_of_its_headers_changes(
    headers: dict[str, str],
) -> None:
    async def answer(_request: object) -> Response:
        return Response("page", headers=headers)

    application = Starlette(routes=[Route("/", answer)])
    alone, framed = await _headers(application), await _headers(framed_by(ORIGIN, application))
    policy = "content-security-policy"
    assert alone[policy].endswith("frame-ancestors 'none'")
    assert framed[policy] == alone[policy].replace("frame-ancestors 'none'", f"frame-ancestors {ORIGIN}")
    assert framed | {policy: ""} == alone | {policy: ""}


async def _headers(application: ASGIApp) -> dict[str, str]:
    got: dict[str, str] = {}

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            got.update({name.decode(): value.decode() for name, value in message["headers"]})

    scope: Scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b""}
    await application(scope, receive, send)
    return got
