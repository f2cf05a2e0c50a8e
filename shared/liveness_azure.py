"""Azure AI Vision Face liveness with verification, REST v1.2, filmed on the page that Microsoft hosts ("quick link").

The legal photo is given when a session is created, never from a browser, and Azure compares; no picture of the check is
kept, at Azure or here. Sources: Face REST API v1.2, liveness session operations; "Face liveness quick link".
"""

import asyncio
import logging
import re
import secrets
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import quote

import orjson

from shared import metrics
from shared.errors import ConfigurationError
from shared.legal_photos import LegalPhotos
from shared.liveness import Finding, ProviderTroubleError, Redirect, Result, SessionOrder
from shared.liveness_settings import AZURE, LivenessSettings
from shared.outbound import OutboundClient, OutboundError, Reply, any_target
from shared.outbound_addresses import AnyAddress
from shared.stores import Aws, ServiceError
from shared.telemetry import SpanKind, span
from shared.verification import Attempt

log = logging.getLogger(__name__)

_SESSIONS: Final = "/face/v1.2/detectLivenessWithVerify-sessions"
# Nobody's locator has no photo, and its check must look like any other: alive or not, it is not the person.
_NOBODY_SESSIONS: Final = "/face/v1.2/detectLiveness-sessions"
_NOBODY: Final = "nobody."
_QUICK_LINK: Final = "/api/quicklink"
_LINK: Final = re.compile(r"/\?s=[A-Za-z0-9_-]{8,200}")
_SESSION_ID: Final = re.compile(r"[A-Za-z0-9-]{8,100}")
_CODE: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
# The link is good for one attempt of ours, which is shorter; the least that Azure takes is 60.
_TOKEN_SECONDS: Final = 180
_TIMEOUT_SECONDS: Final = 10.0
_TRIES: Final = 3
_FIRST_PAUSE_SECONDS: Final = 0.3
_LONGEST_PAUSE_SECONDS: Final = 2.0
_MOST_TOKENS: Final = 1000
_OK: Final = (200, 201, 204)
_REFUSED_KEY: Final = (401, 403)
_NOT_FOUND: Final = 404
_TOO_MANY: Final = 429
_SERVER_ERROR: Final = 500
_RUNNING: Final = ("notstarted", "running")
_OVER: Final = ("failed", "canceled")


class AzureProvider:
    """See LivenessProvider. A session's token is remembered until its link is made, else Azure is asked for it."""

    name = AZURE
    lights_optional = False
    streaming_url = ""

    def __init__(
        self, settings: LivenessSettings, aws: Aws, photos: LegalPhotos, client: OutboundClient | None = None
    ) -> None:
        if settings.azure_endpoint is None:
            raise ConfigurationError("FACESCAN_AZURE_ENDPOINT is not set")
        self.sessions_per_second = settings.azure_sessions_per_second
        self._endpoint = settings.azure_endpoint
        self._quick_link = settings.azure_quick_link
        self._least_match = settings.azure_least_match_confidence
        self._key = settings.azure_key.get_secret_value() if settings.azure_key is not None else None
        self._secret = settings.azure_key_secret
        self._aws = aws
        self._photos = photos
        # The operator names both hosts, which may be private endpoints: no stranger can lead us anywhere.
        self._client = client or OutboundClient(rules=AnyAddress())
        self._tokens: OrderedDict[str, str] = OrderedDict()

    async def create(self, order: SessionOrder) -> str:
        """See LivenessProvider. Azure knows no repeats: one that is made twice is forgotten after three minutes."""
        # Azure wants both; ours tell nobody who it is, and no two sessions that they are one person's.
        correlation = str(uuid.uuid5(uuid.NAMESPACE_URL, order.token))
        fields = {
            "livenessOperationMode": "PassiveActive",
            "deviceCorrelationId": correlation,
            "userCorrelationId": correlation,
            "authTokenTimeToLiveInSeconds": str(_TOKEN_SECONDS),
            "numberOfClientAttemptsAllowed": "1",
            "enableSessionImage": "false",
            "verifyConfidenceThreshold": f"{self._least_match:g}",
        }
        if order.person:
            content_type, body = multipart(fields, "verifyImage", await self._photos.read(order.person, order.photo))
            answer = await self._face("create", "POST", _SESSIONS, content_type, body)
        else:
            del fields["verifyConfidenceThreshold"]
            answer = await self._face("create", "POST", _NOBODY_SESSIONS, body=orjson.dumps(fields))
        session_id, token = str(answer.get("sessionId")), answer.get("authToken")
        if not _SESSION_ID.fullmatch(session_id) or not isinstance(token, str):
            raise ProviderTroubleError("azure.create: an answer without a session")
        session_id = session_id if order.person else _NOBODY + session_id
        self._tokens[session_id] = token
        if len(self._tokens) > _MOST_TOKENS:
            self._tokens.popitem(last=False)
        return session_id

    async def access(self, attempt: Attempt, return_url: str) -> Redirect:
        """See LivenessProvider: the session's token becomes a link that works once."""
        session_id = attempt.provider_session_id
        token = self._tokens.pop(session_id, None)
        if token is None:  # another replica created it, or the link was lost on its way
            token = (await self._face("get", "GET", _path(session_id))).get("authToken")
        headers = {"authorization": f"Bearer {token}"}
        reply = await self._send("azure.quicklink", "POST", self._quick_link + _QUICK_LINK, headers, b"")
        link = str(_parsed("azure.quicklink", reply).get("url"))
        if not _LINK.fullmatch(link):
            raise ProviderTroubleError("azure.quicklink: an answer without a link")
        return Redirect(f"{self._quick_link}{link}&callbackUrl={quote(return_url, safe='')}")

    async def result(self, session_id: str, least_confidence_percent: float) -> Result:
        """See LivenessProvider."""
        try:
            answer = await self._face("get", "GET", _path(session_id))
        except _NotFoundError:
            return Result(Finding.EXPIRED)
        return judged(answer, self._least_match, nobody=session_id.startswith(_NOBODY))

    async def erase(self, session_id: str) -> None:
        """See LivenessProvider; left alone, Azure forgets a session after 48 hours."""
        try:
            await self._face("erase", "DELETE", _path(session_id))
        except _NotFoundError:
            return

    async def close(self) -> None:
        """Close its connections."""
        await self._client.close()

    # -- one call ------------------------------------------------------------------------------------------------

    async def _face(
        self, what: str, method: str, path: str, content_type: str = "application/json", body: bytes = b""
    ) -> Mapping[str, Any]:
        operation = f"azure.{what}"
        for fresh in (False, True):
            headers = {"ocp-apim-subscription-key": await self._current_key(fresh=fresh), "content-type": content_type}
            reply = await self._send(operation, method, self._endpoint + path, headers, body)
            # A secret may hold a newer key than the one that was read.
            if reply.status not in _REFUSED_KEY or self._secret is None:
                break
        return _parsed(operation, reply)

    async def _current_key(self, *, fresh: bool) -> str:
        if self._key is None or (fresh and self._secret is not None):
            try:
                answer = await self._aws.call(
                    "secretsmanager.GetSecretValue",
                    self._aws.client("secretsmanager").get_secret_value,
                    SecretId=self._secret,
                )
            except ServiceError as error:
                raise ProviderTroubleError(f"FACESCAN_AZURE_KEY_SECRET: {error}") from error
            self._key = str(answer.get("SecretString", "")).strip()
        return self._key

    async def _send(self, operation: str, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Return an answer that says something; what says "later" is asked again, a little later, a few times."""
        started = time.perf_counter()
        pause = _FIRST_PAUSE_SECONDS
        try:
            with span(operation, kind=SpanKind.CLIENT):
                for number in range(1, _TRIES + 1):
                    try:
                        reply = await self._client.request(
                            method, any_target(url), headers=headers, body=body, timeout_seconds=_TIMEOUT_SECONDS
                        )
                    except OutboundError as error:
                        why = f"{operation}: {error.trouble}"
                    else:
                        if reply.status != _TOO_MANY and reply.status < _SERVER_ERROR:
                            return reply
                        why = f"{operation}: HTTP {reply.status}"
                    if number < _TRIES:
                        # Jitter, so that those who were refused together do not come back together.
                        await asyncio.sleep(pause * (0.5 + secrets.randbelow(1000) / 1000))
                        pause = min(pause * 3, _LONGEST_PAUSE_SECONDS)
                raise ProviderTroubleError(why)
        finally:
            metrics.STORE_SECONDS.labels(operation).observe(time.perf_counter() - started)


class _NotFoundError(ProviderTroubleError):
    """Raised when Azure does not know the session."""


def _parsed(operation: str, reply: Reply) -> Mapping[str, Any]:
    """Return an answer's object. What Azure refuses is trouble of ours, never a "no"; its own words may name people."""
    content: Any = None
    if reply.body and not reply.cut:
        try:
            content = orjson.loads(reply.body)
        except orjson.JSONDecodeError:
            content = None
    if reply.status in _OK and (isinstance(content, dict) or not reply.body):
        return content or {}
    error = content.get("error") if isinstance(content, dict) else None
    code = str(error.get("code")) if isinstance(error, dict) else ""
    why = f"{operation}: HTTP {reply.status}{f' {code}' if _CODE.fullmatch(code) else ''}"
    raise _NotFoundError(why) if reply.status == _NOT_FOUND else ProviderTroubleError(why)


def _path(session_id: str) -> str:
    nobody = session_id.startswith(_NOBODY)
    return f"{_NOBODY_SESSIONS if nobody else _SESSIONS}/{session_id.removeprefix(_NOBODY)}"


def judged(answer: Mapping[str, Any], least_match: float, *, nobody: bool = False) -> Result:
    """Return what a session's answer means; only the newest attempt counts.

    Only ``realface`` is live, however it is written, and only with a comparison that says so twice: by its own word and
    by its confidence. Raises ProviderTroubleError for what nobody has heard of.
    """
    results = answer.get("results")
    attempts = results.get("attempts") if isinstance(results, dict) else None
    attempt = max(attempts, key=lambda one: int(one.get("attemptId", 0))) if attempts else None
    status = str((attempt or {}).get("attemptStatus") or answer.get("status")).lower()
    if status in _RUNNING:
        return Result(Finding.RUNNING)
    if status in _OVER:
        return Result(Finding.UNDECIDED)
    if status != "succeeded" or attempt is None:
        raise ProviderTroubleError(f"azure.get: unknown status {status[:40]!r}")
    found = attempt.get("result") or {}
    decision = str(found.get("livenessDecision")).lower()
    if decision == "spoofface":
        return Result(Finding.NOT_LIVE)
    if decision == "realface" and nobody:
        return Result(Finding.LIVE, same_person=False)
    # The reference has it inside the result, an example beside it.
    comparison = found.get("verifyResult") or attempt.get("verifyResult") or {}
    confidence, identical = comparison.get("matchConfidence"), comparison.get("isIdentical")
    if decision not in ("realface", "uncertain"):
        raise ProviderTroubleError(f"azure.get: unknown decision {decision[:40]!r}")
    if decision == "uncertain" or not isinstance(confidence, int | float):
        return Result(Finding.UNDECIDED)
    return Result(Finding.LIVE, same_person=identical is True and confidence >= least_match)


def multipart(
    fields: Mapping[str, str], name: str, picture: bytes, boundary: Callable[[], str] = lambda: uuid.uuid4().hex
) -> tuple[str, bytes]:
    """Return content type and body of a form with a picture (RFC 7578)."""
    mark = boundary()
    parts = [
        f'--{mark}\r\ncontent-disposition: form-data; name="{field}"\r\n\r\n{value}\r\n'.encode()
        for field, value in fields.items()
    ]
    kind = "image/png" if picture.startswith(b"\x89PNG") else "image/jpeg"
    head = (
        f'--{mark}\r\ncontent-disposition: form-data; name="{name}"; filename="photo"\r\ncontent-type: {kind}\r\n\r\n'
    )
    return f"multipart/form-data; boundary={mark}", b"".join(
        [*parts, head.encode(), picture, f"\r\n--{mark}--\r\n".encode()]
    )
