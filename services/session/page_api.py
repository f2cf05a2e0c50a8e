"""What the page's program asks and says: JSON beside the documents, for the same browser and by the same rules."""

import logging
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Final, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from services.session.admission import Admission, bounded_body
from services.session.answers import MOST_SIGNS, Answers
from services.session.attempts import Attempts, BlockedError, TakenError, Wish
from services.session.domain import Screen, screen
from services.session.page_headers import PRIVATE
from services.session.scan_page import lets_in, page_span
from services.session.tokens import BrowserKey
from services.session.turns import NotYetError
from shared.errors import UnavailableError
from shared.liveness import Redirect
from shared.liveness_providers import Providers
from shared.stores import ConditionFailedError
from shared.verification import State, Verification
from shared.verifications import Verifications

log = logging.getLogger(__name__)

CONSENT_VERSION: Final = "2026-11"
"""Which text the page's program shows; a change of its meaning is a new one."""

_MOST_BODY_BYTES: Final = 2048
_AGAIN_SECONDS: Final = 3


class _Consent(BaseModel):
    version: str = Field(max_length=20)
    language: str = Field(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$")


class _Begin(BaseModel):
    model_config = ConfigDict(extra="forbid")

    page: str = Field(pattern=r"^[A-Za-z0-9_-]{16,64}$", description="One loaded page, made by chance.")
    lights: bool = True
    consent: _Consent


class _Ended(BaseModel):
    model_config = ConfigDict(extra="forbid")

    attempt: int = Field(ge=1)


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")

    answer: str = Field(min_length=1, max_length=MOST_SIGNS, repr=False)


class _Nothing(BaseModel):
    model_config = ConfigDict(extra="forbid")


M = TypeVar("M", bound=BaseModel)
Answer = Callable[[BrowserKey, Verification, M], Awaitable[Response]]


class PageApi:
    """The routes below ``/check/<verification>``. Errors: ``{"error": "elsewhere"}``, forged, unknown, wrong, busy."""

    def __init__(
        self,
        *,
        verifications: Verifications,
        attempts: Attempts,
        answers: Answers,
        admission: Admission,
        providers: Providers,
        most_attempts: int,
        lights_optional: bool,
        clock: Callable[[], datetime],
    ) -> None:
        self._verifications = verifications
        self._attempts = attempts
        self._answers = answers
        self._admission = admission
        self._providers = providers
        self._most_attempts = most_attempts
        self._lights_optional = lights_optional
        self._clock = clock

    def routes(self) -> list[BaseRoute]:
        """Return the routes."""
        base = "/check/{verification_id}"
        return [
            Route(f"{base}/state", self._route(_Nothing, self._state), methods=["GET"]),
            Route(f"{base}/attempt", self._route(_Begin, self._begin), methods=["POST"]),
            Route(f"{base}/finished", self._route(_Ended, self._finished), methods=["POST"]),
            Route(f"{base}/ended", self._route(_Ended, self._ended), methods=["POST"]),
            Route(f"{base}/answer", self._route(_Answer, self._answer), methods=["POST"]),
            Route(f"{base}/declined", self._route(_Nothing, self._declined), methods=["POST"]),
        ]

    def _route(self, model: type[M], answer: "Answer[M]") -> Callable[[Request], Awaitable[Response]]:
        async def handle(request: Request) -> Response:
            identifier = request.path_params["verification_id"]
            key = self._admission.key(request, identifier)
            if key is None:
                return _json({"error": "elsewhere"}, 403)
            if request.method == "POST" and not await self._admission.is_own(request, key):
                return _json({"error": "forged"}, 403)
            try:
                body = await bounded_body(request, _MOST_BODY_BYTES) if request.method == "POST" else b"{}"
                said = model.model_validate_json(body)
            except ValidationError as error:
                where = ".".join(str(part) for part in error.errors(include_input=False)[0]["loc"]) or "body"
                return _json({"error": "wrong", "where": where}, 422)
            try:
                return await admitted(key, said)
            except UnavailableError as error:
                log.warning("scan page waits", extra={"why": str(error)})
                return _json({"error": "busy", "after_seconds": _AGAIN_SECONDS}, 503)

        async def admitted(key: BrowserKey, said: M) -> Response:
            verification = await self._verifications.get(key.verification_id)
            if verification is None:
                return _json({"error": "unknown"}, 404)
            if not lets_in(verification, key.fingerprint, self._clock()):
                return _json({"error": "elsewhere"}, 403)
            return await answer(key, verification, said)

        return handle

    async def _state(self, key: BrowserKey, verification: Verification, _said: _Nothing) -> Response:
        await self._answers.tell_again(verification)
        return _json(self._facts(key, verification))

    async def _begin(self, key: BrowserKey, verification: Verification, said: _Begin) -> Response:
        if where := self._wrong(verification, said):
            return _json({"error": "wrong", "where": where}, 422)
        if screen(verification, self._clock(), self._most_attempts) not in (Screen.START, Screen.CHECK):
            return _json(self._facts(key, verification), 409)
        wish = Wish(said.page, said.lights, said.consent.version, said.consent.language, key.address)
        with page_span("start", verification):
            try:
                attempt = await self._attempts.begin(verification, wish)
            except NotYetError as early:
                return _json({"wait_seconds": early.about_seconds, "ask_again_seconds": early.ask_again_seconds}, 202)
            except (TakenError, BlockedError, ConditionFailedError):
                now = await self._verifications.get(verification.verification_id)
                return _json(self._facts(key, now or verification), 409)
            access = await self._attempts.access(attempt, self._admission.return_url(attempt.verification_id))
        begun = {
            "attempt": attempt.attempt,
            "seconds": max(0, attempt.expires_at - int(self._clock().timestamp())),
        }
        if isinstance(access, Redirect):
            return _json({**begun, "redirect": access.url})
        return _json(
            {
                **begun,
                "session_id": attempt.provider_session_id,
                "region": access.region,
                "endpoint": access.endpoint or None,
                "credentials": access.credentials,
            }
        )

    def _wrong(self, verification: Verification, said: _Begin) -> str:
        """Return which part of a wish cannot be had; empty: none."""
        if said.consent.version != CONSENT_VERSION:
            return "consent.version"
        return "" if said.lights or self._may_choose(verification) else "lights"

    def _may_choose(self, verification: Verification) -> bool:
        """Whether the check without flashing lights can be had."""
        return self._lights_optional and self._providers.of_requester(verification.requester).lights_optional

    async def _finished(self, key: BrowserKey, verification: Verification, said: _Ended) -> Response:
        if said.attempt == verification.attempt and verification.attempt_open:
            verification = await self._attempts.done(verification.verification_id, key.fingerprint) or verification
        return _json(self._facts(key, verification))

    async def _ended(self, key: BrowserKey, verification: Verification, said: _Ended) -> Response:
        await self._attempts.give_up(verification, said.attempt)
        return _json(self._facts(key, verification))

    async def _answer(self, key: BrowserKey, verification: Verification, said: _Answer) -> Response:
        if screen(verification, self._clock(), self._most_attempts) in (Screen.ANSWER, Screen.WAIT):
            verification = await self._answers.give(verification, key.fingerprint, said.answer)
        return _json(self._facts(key, verification))

    async def _declined(self, key: BrowserKey, verification: Verification, _said: _Nothing) -> Response:
        if screen(verification, self._clock(), self._most_attempts) not in (Screen.FINISHED, Screen.EXPIRED):
            await self._attempts.decline(verification)
        return _json(self._facts(key, verification))

    def _facts(self, key: BrowserKey, verification: Verification) -> dict[str, Any]:
        """What the page may know: never an outcome, a score, a person or a locator (rule 9)."""
        now = self._clock()
        return {
            "screen": screen(verification, now, self._most_attempts),
            "attempt": verification.attempt,
            "tries_left": max(0, self._most_attempts - verification.tries_used),
            "seconds_left": max(0, verification.expires_at - int(now.timestamp())),
            "requester": verification.requester,
            "purpose": verification.purpose,
            "asks": verification.asks if verification.state is State.ASKED else "",
            "asked_again": verification.wrong_answers > 0,
            "lights_optional": self._may_choose(verification),
            "films": bool(self._providers.of_requester(verification.requester).streaming_url),
            "consent_version": CONSENT_VERSION,
            "form_token": self._admission.form_token(key),
        }


def _json(content: dict[str, Any], status: int = 200) -> Response:
    return Response(orjson.dumps(content), status, PRIVATE, "application/json")
