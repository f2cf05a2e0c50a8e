"""Who is let in: the address's token is exchanged for a cookie, and the cookie's browser is the only one from then on.

The exchange writes nothing, so a look-ahead of a link uses nothing up and a crash locks nobody out: the token is used
up when the cookie comes back for the first time.
"""

from dataclasses import replace
from typing import Final
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from services.session.context import Fingerprints
from services.session.page_headers import PRIVATE
from services.session.tokens import BrowserKey, Tokens
from shared.addresses import Addresses

FORM_FIELD: Final = "form_token"
FORM_HEADER: Final = "x-form-token"

# No verification lasts longer; whether this one still does is looked up each time.
_COOKIE_SECONDS: Final = 3600
_MOST_FORM_BYTES: Final = 4096


class Callers:
    """Where requests come from, as a keyed hash: IPv6 by its /64, behind proxies what trusted ones say."""

    def __init__(self, addresses: Addresses, fingerprints: Fingerprints) -> None:
        self._addresses = addresses
        self._fingerprints = fingerprints

    def address(self, request: Request) -> str:
        """Return the hash; empty where there is no address."""
        if request.client is None:
            return ""
        forwarded = [value.encode("latin-1") for value in request.headers.getlist("x-forwarded-for")]
        return self._fingerprints.address(self._addresses.client(request.client.host, forwarded))


class Admission:
    """Cookies of the scan page; ``public_url`` is the page's origin as browsers see it."""

    def __init__(self, tokens: Tokens, public_url: str, callers: "Callers | None" = None) -> None:
        self._tokens = tokens
        self._callers = callers
        self._public_url = public_url
        # Only over https do browsers take this prefix, which keeps other hosts of the domain from setting the cookie.
        self._prefix = "__Host-scan-" if public_url.startswith("https:") else "scan-"

    def exchange(self, request: Request, token: str) -> Response | None:
        """Return the answer that gives this browser a cookie and leads to the page; None: no token of ours."""
        verification_id = self._tokens.read(token)
        if verification_id is None:
            return None
        answer = RedirectResponse(page_path(verification_id), 303, PRIVATE)
        if self.key(request, verification_id) is None:
            value = self._tokens.write_key(self._tokens.new_key(verification_id))
            answer.set_cookie(
                self._prefix + verification_id, value, max_age=_COOKIE_SECONDS, secure=True, httponly=True,
                samesite="lax", path="/",
            )  # fmt: skip
        return answer

    def key(self, request: Request, verification_id: str) -> BrowserKey | None:
        """Return this browser's key to that verification, if it has one."""
        value = request.cookies.get(self._prefix + verification_id)
        key = self._tokens.read_key(value) if value else None
        if key is None or key.verification_id != verification_id:
            return None
        return replace(key, address=self._callers.address(request)) if self._callers else key

    def return_url(self, verification_id: str) -> str:
        """Return where a browser comes back to from a provider's own page. A return says nothing: see ``Redirect``."""
        return f"{self._public_url}{page_path(verification_id)}?returned"

    def form_token(self, key: BrowserKey) -> str:
        """Return what forms and calls of this browser's page carry."""
        return self._tokens.form_token(key)

    async def is_own(self, request: Request, key: BrowserKey) -> bool:
        """Whether a request that changes something comes from the page: the cookie alone does not say so."""
        given = request.headers.get(FORM_HEADER)
        if given is None:
            fields = parse_qs((await bounded_body(request, _MOST_FORM_BYTES)).decode("utf-8", "replace"))
            request.state.form = fields  # the body comes once
            given = fields.get(FORM_FIELD, [""])[0]
        return self._tokens.is_form_token(key, given)


def page_path(verification_id: str) -> str:
    """Return the page's own address, which is no secret."""
    return f"/check/{verification_id}"


async def bounded_body(request: Request, most_bytes: int) -> bytes:
    """Return the request's body; of a longer one nothing."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > most_bytes:
            return b""
    return body
