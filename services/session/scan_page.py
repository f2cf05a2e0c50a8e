"""The scan page's documents: what the address opens, and the same steps as plain forms where no program runs."""

import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime
from typing import Final

from opentelemetry.trace import Span
from prometheus_client import Counter
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from services.session import pages
from services.session.admission import Admission, page_path
from services.session.answers import Answers
from services.session.attempts import PLAIN, Attempts, BlockedError, TakenError
from services.session.domain import Screen, screen
from services.session.page_files import Program
from services.session.page_headers import PRIVATE
from services.session.pages import Own
from services.session.tokens import BrowserKey
from services.session.turns import NotYetError
from shared.errors import UnavailableError
from shared.liveness import Redirect
from shared.liveness_providers import Providers
from shared.stores import ConditionFailedError
from shared.telemetry import SpanKind, span
from shared.verification import ENDED, Attempt, Verification
from shared.verifications import Verifications

log = logging.getLogger(__name__)

SHOWN: Final = Counter("facescan_scan_page_total", "Answers of the scan page, by screen.", ["screen"])

Record = Callable[[str, BrowserKey], Awaitable[Verification | None]]
Answer = Callable[[Request, Own, Verification], Awaitable[Response]]


class ScanPage:
    """The documents. ``program`` and ``program_headers``: what runs in them; None: they are plain HTML alone."""

    def __init__(
        self,
        *,
        verifications: Verifications,
        attempts: Attempts,
        answers: Answers,
        providers: Providers,
        admission: Admission,
        most_attempts: int,
        clock: Callable[[], datetime],
        program: Program | None = None,
        program_headers: dict[str, str] | None = None,
        more_routes: list[BaseRoute] | None = None,
    ) -> None:
        self._verifications = verifications
        self._attempts = attempts
        self._answers = answers
        self._providers = providers
        self._admission = admission
        self._most_attempts = most_attempts
        self._clock = clock
        self._program = program
        self._program_headers = program_headers or PRIVATE
        self._more_routes = more_routes or []

    def application(self) -> Starlette:
        """Return the ASGI application."""
        return Starlette(
            routes=[
                Route("/scan.css", _style),
                Route("/favicon.ico", _no_icon),
                Route("/scan/{token}", self._enter, methods=["GET"]),
                Route("/check/{verification_id}", self._route(self._opened, self._look), methods=["GET"]),
                Route("/check/{verification_id}/start", self._route(self._found, self._start), methods=["POST"]),
                Route("/check/{verification_id}/answers", self._route(self._found, self._answer), methods=["POST"]),
                Route("/check/{verification_id}/done", self._route(self._noted_done, self._done), methods=["POST"]),
                *self._more_routes,
            ]
        )

    async def _enter(self, request: Request) -> Response:
        """Exchange the address's token for a cookie."""
        answer = self._admission.exchange(request, request.path_params["token"])
        return answer if answer is not None else _page(pages.unknown_page(), 404, "unknown")

    def _route(self, record: Record, answer: Answer) -> Callable[[Request], Awaitable[Response]]:
        async def handle(request: Request) -> Response:
            identifier = request.path_params["verification_id"]
            key = self._admission.key(request, identifier)
            if key is None:
                return _page(pages.elsewhere_page(), 403, "elsewhere")
            own = Own(page_path(identifier), self._admission.form_token(key), key.address)
            try:
                if request.method == "POST" and not await self._admission.is_own(request, key):
                    return _page(pages.elsewhere_page(), 403, "forged")
                verification = await record(identifier, key)
                if verification is None:
                    return _page(pages.unknown_page(), 404, "unknown")
                if not lets_in(verification, key.fingerprint, self._clock()):
                    return _page(pages.elsewhere_page(), 403, "elsewhere")
                return await answer(request, own, verification)
            except UnavailableError as error:
                log.warning("scan page waits", extra={"why": str(error)})
                return _page(pages.busy_page(own.path), 503, "busy")

        return handle

    # Each is one call of the store, so that each step of the page is.

    async def _opened(self, identifier: str, key: BrowserKey) -> Verification | None:
        verification = await self._verifications.open(identifier, key.fingerprint)
        if verification is not None and verification.context and verification.browser == key.fingerprint:
            await self._attempts.opened(verification)
        return verification

    async def _found(self, identifier: str, _key: BrowserKey) -> Verification | None:
        return await self._verifications.get(identifier)

    async def _noted_done(self, identifier: str, key: BrowserKey) -> Verification | None:
        return await self._attempts.done(identifier, key.fingerprint)

    async def _look(self, request: Request, own: Own, verification: Verification) -> Response:
        with page_span("look", verification):
            shown = screen(verification, self._clock(), self._most_attempts)
            answer = await self._show(own, verification, shown, returned="returned" in request.query_params)
            if self._program is None:
                return answer
            document = pages.with_program(bytes(answer.body).decode(), self._program)
            return HTMLResponse(document, answer.status_code, self._program_headers)

    async def _start(self, _request: Request, own: Own, verification: Verification) -> Response:
        with page_span("start", verification):
            shown = screen(verification, self._clock(), self._most_attempts)
            if shown not in (Screen.START, Screen.CHECK):
                return RedirectResponse(own.path, 303, PRIVATE)
            try:
                attempt = await self._attempts.begin(verification, replace(PLAIN, address=own.address))
            except TakenError:
                return _page(pages.taken_page(), 409, "taken")
            except BlockedError:
                return _page(pages.later_page(), 403, Screen.LATER)
            except NotYetError as early:
                page = _page(pages.queue_page(own, early.about_seconds), 503, "queue")
                page.headers["retry-after"] = str(early.ask_again_seconds)
                return page
            except ConditionFailedError:
                return RedirectResponse(own.path, 303, PRIVATE)
            return _page(await self._check(own, attempt), 200, Screen.CHECK)

    async def _answer(self, request: Request, own: Own, verification: Verification) -> Response:
        given = getattr(request.state, "form", {}).get("answer", [""])[0].strip()
        if given and screen(verification, self._clock(), self._most_attempts) is Screen.ANSWER:
            await self._answers.give(verification, verification.browser, given)
        return RedirectResponse(own.path, 303, PRIVATE)

    async def _done(self, _request: Request, own: Own, _verification: Verification) -> Response:
        return RedirectResponse(own.path, 303, PRIVATE)

    async def _check(self, own: Own, attempt: Attempt) -> str:
        """The page of a running attempt: where it is filmed."""
        provider = self._providers.named(attempt.provider)
        if provider.streaming_url:
            return pages.check_page(own, attempt.provider_session_id)
        access = await self._attempts.access(attempt, self._admission.return_url(attempt.verification_id))
        assert isinstance(access, Redirect)  # noqa: S101 - for the type checker: our page does not film
        return pages.away_page(own, access.url)

    async def _show(self, own: Own, verification: Verification, shown: Screen, *, returned: bool) -> Response:
        match shown:
            case Screen.START:
                again = verification.ended_attempt > 0
                page = pages.start_page(own, verification.requester, verification.purpose, again=again)
            case Screen.CHECK:
                try:
                    attempt = await self._attempts.begin(verification, replace(PLAIN, address=own.address))
                except TakenError:
                    return _page(pages.taken_page(), 200, shown)
                page = pages.back_page(own) if returned else await self._check(own, attempt)
            case Screen.ANSWER:
                page = pages.answer_page(own, verification.asks, again=verification.wrong_answers > 0)
            case Screen.WAIT:
                await self._answers.tell_again(verification)
                page = pages.wait_page()
            case Screen.FINISHED:
                page = pages.finished_page()
            case Screen.EXPIRED:
                return _page(pages.expired_page(), 410, shown)
            case Screen.USED_UP:
                page = pages.used_up_page()
            case Screen.LATER:
                page = pages.later_page()
        return _page(page, 200, shown)


def lets_in(verification: Verification, fingerprint: str, now: datetime) -> bool:
    """Whether this browser may see the verification: it was the first, or nobody came and there is nothing to do."""
    if verification.browser:
        return verification.browser == fingerprint
    return verification.state in ENDED or verification.expired(now)


def page_span(action: str, verification: Verification) -> AbstractContextManager[Span]:
    """The page's part of the verification's trace."""
    return span(f"scan page {action}", kind=SpanKind.SERVER, parent=verification.traceparent or None)


def _page(html: str, status: int, shown: str) -> HTMLResponse:
    SHOWN.labels(str(shown)).inc()
    return HTMLResponse(html, status, PRIVATE)


async def _style(_request: Request) -> Response:
    return Response(pages.STYLE, media_type="text/css", headers={"cache-control": "public, max-age=3600"})


async def _no_icon(_request: Request) -> Response:
    """Browsers ask for one by themselves."""
    return Response(status_code=204, headers={"cache-control": "public, max-age=86400"})
