"""The scan page's routes: what the address opens, the click that starts a session, the hint that it is done."""

import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Final

from opentelemetry.trace import Span
from prometheus_client import Counter
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from services.session import pages
from services.session.attempts import Attempts
from services.session.domain import Screen, screen
from services.session.tokens import Tokens
from shared.errors import UnavailableError
from shared.stores import ConditionFailedError
from shared.telemetry import SpanKind, span
from shared.verification import Verification
from shared.verifications import Verifications

log = logging.getLogger(__name__)

SHOWN: Final = Counter("facescan_scan_page_total", "Answers of the scan page, by screen.", ["screen"])

_HEADERS: Final = {
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "content-security-policy": "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "permissions-policy": "camera=(self), microphone=(), geolocation=()",
}


class ScanPage:
    """The HTTP side of the session service."""

    def __init__(
        self,
        *,
        verifications: Verifications,
        attempts: Attempts,
        tokens: Tokens,
        most_attempts: int,
        clock: Callable[[], datetime],
    ) -> None:
        self._verifications = verifications
        self._attempts = attempts
        self._tokens = tokens
        self._most_attempts = most_attempts
        self._clock = clock

    def application(self) -> Starlette:
        """Return the ASGI application."""
        return Starlette(
            routes=[
                Route("/scan.css", _style),
                Route("/scan/{token}", self._route(self._look), methods=["GET"]),
                Route("/scan/{token}/start", self._route(self._start), methods=["POST"]),
                Route("/scan/{token}/done", self._route(self._done), methods=["POST"]),
            ]
        )

    def _route(self, answer: Callable[[str, str], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        async def handle(request: Request) -> Response:
            token = request.path_params["token"]
            verification_id = self._tokens.read(token)
            if verification_id is None:
                return _unknown()
            try:
                return await answer(token, verification_id)
            except UnavailableError as error:
                log.warning("scan page waits", extra={"why": str(error)})
                return _page(pages.busy_page(token), 503, "busy")

        return handle

    async def _look(self, token: str, verification_id: str) -> Response:
        verification = await self._verifications.open(verification_id)
        if verification is None:
            return _unknown()
        with _page_span("look", verification):
            shown = screen(verification, self._clock(), self._most_attempts)
            return await self._show(token, verification, shown)

    async def _start(self, token: str, verification_id: str) -> Response:
        verification = await self._verifications.get(verification_id)
        if verification is None:
            return _unknown()
        with _page_span("start", verification):
            shown = screen(verification, self._clock(), self._most_attempts)
            if shown not in (Screen.START, Screen.CHECK):
                return RedirectResponse(f"/scan/{token}", 303, _HEADERS)
            try:
                attempt = await self._attempts.begin(verification)
            except ConditionFailedError:
                return RedirectResponse(f"/scan/{token}", 303, _HEADERS)
            return _page(pages.check_page(token, attempt.provider_session_id), 200, Screen.CHECK)

    async def _done(self, token: str, verification_id: str) -> Response:
        if await self._attempts.done(verification_id) is None:
            return _unknown()
        return RedirectResponse(f"/scan/{token}", 303, _HEADERS)

    async def _show(self, token: str, verification: Verification, shown: Screen) -> Response:
        match shown:
            case Screen.START:
                again = verification.ended_attempt > 0
                page = pages.start_page(token, verification.requester, verification.purpose, again=again)
            case Screen.CHECK:
                attempt = await self._attempts.begin(verification)
                page = pages.check_page(token, attempt.provider_session_id)
            case Screen.WAIT:
                page = pages.wait_page()
            case Screen.FINISHED:
                page = pages.finished_page()
            case Screen.EXPIRED:
                return _page(pages.expired_page(), 410, shown)
            case Screen.USED_UP:
                page = pages.used_up_page()
        return _page(page, 200, shown)


def _page_span(action: str, verification: Verification) -> AbstractContextManager[Span]:
    """The page's part of the verification's trace."""
    return span(f"scan page {action}", kind=SpanKind.SERVER, parent=verification.traceparent or None)


def _unknown() -> HTMLResponse:
    return _page(pages.unknown_page(), 404, "unknown")


def _page(html: str, status: int, shown: str) -> HTMLResponse:
    SHOWN.labels(str(shown)).inc()
    return HTMLResponse(html, status, _HEADERS)


async def _style(_request: Request) -> Response:
    return Response(pages.STYLE, media_type="text/css", headers={"cache-control": "public, max-age=3600"})
