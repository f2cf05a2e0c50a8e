"""Walking through the scan page as a browser without scripts would: forms, cookies, redirects on the same host."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urljoin, urlsplit

import aiohttp

if TYPE_CHECKING:
    from types import TracebackType

_MOST_REDIRECTS = 5
_MOST_PAGE_BYTES = 1024 * 1024
_TIMEOUT_SECONDS = 30.0
# How long a person presses reload when the page does not come, and how often.
_PATIENCE_SECONDS = 20.0
_AGAIN_SECONDS = 0.5


class PageError(RuntimeError):
    """Raised when the page does not answer as it should, or lacks what a person would look for."""


@dataclass(slots=True)
class Form:
    """A form of a page: where it goes and its hidden inputs."""

    method: str
    action: str
    inputs: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Page:
    """What a person, or the camera, finds on a page."""

    url: str
    forms: dict[str, Form] = field(default_factory=dict)
    session_id: str | None = None
    waits: bool = False  # it looks again by itself
    provider_url: str | None = None  # where the camera is, when it is not on this page

    def form(self, form_id: str) -> Form:
        """The form with that id, which must be posted."""
        form = self.forms.get(form_id)
        if form is None or form.method != "post":
            raise PageError(f"the page has no form of method post and id {form_id}")
        return form


class _PageParser(HTMLParser):
    def __init__(self, page: Page) -> None:
        super().__init__(convert_charrefs=True)
        self._page = page
        self._open: Form | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if given.get("data-session-id"):
            self._page.session_id = given["data-session-id"]
        if tag == "meta" and given.get("http-equiv") == "refresh":
            self._page.waits = True
        if tag == "a" and given.get("id") == "provider":
            self._page.provider_url = given.get("href")
        elif tag == "form":
            self._open = Form(given.get("method", "get").lower(), given.get("action", ""))
            self._page.forms[given.get("id", "")] = self._open
        elif tag == "input" and self._open is not None and given.get("type") == "hidden" and given.get("name"):
            self._open.inputs[given["name"]] = given.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._open = None


def read_page(url: str, html: str) -> Page:
    """The forms of a page and the liveness session that it names in `data-session-id`."""
    page = Page(url)
    parser = _PageParser(page)
    parser.feed(html)
    parser.close()
    return page


class Browser:
    """One person's browser window: cookies live as long as it is open."""

    def __init__(self, first_url: str, patience_seconds: float = _PATIENCE_SECONDS) -> None:
        self._patience_seconds = patience_seconds
        parts = urlsplit(first_url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise PageError(f"{first_url!r} is no http(s) address")
        self._origin = f"{parts.scheme}://{parts.netloc}"
        # Browsers keep cookies of bare addresses, and count loopback as secure even over plain http.
        jar = aiohttp.CookieJar(unsafe=True, treat_as_secure_origin=self._origin)
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_SECONDS)
        self._session = aiohttp.ClientSession(cookie_jar=jar, timeout=timeout)

    async def __aenter__(self) -> Browser:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def open(self, url: str) -> Page:
        """GET a page; anything but 200 is a PageError."""
        return await self._walk("GET", url, None)

    async def submit(self, page: Page, form_id: str, **typed: str) -> Page:
        """POST a form with its hidden inputs and what was typed, as pressing its button does."""
        form = page.form(form_id)
        return await self._walk("POST", urljoin(page.url, form.action), urlencode({**form.inputs, **typed}).encode())

    async def settled(self, page: Page) -> Page:
        """Look again while the page says that it waits."""
        until = time.monotonic() + self._patience_seconds
        while page.waits and time.monotonic() < until:
            await asyncio.sleep(_AGAIN_SECONDS)
            page = await self.open(page.url)
        return page

    async def film_elsewhere(self, url: str) -> str:
        """Go through the provider's own page, which is another site, and return where it leads back to."""
        async with self._session.get(url, allow_redirects=False) as answer:
            page = read_page(url, (await answer.content.read(_MOST_PAGE_BYTES)).decode("utf-8", "replace"))
            if answer.status != 200:  # noqa: PLR2004 - HTTP's OK
                raise PageError(f"the provider's page answered {answer.status}")
        form = page.form("film")
        async with self._session.post(urljoin(url, form.action), data=form.inputs, allow_redirects=False) as answer:
            back = answer.headers.get("Location")
            if answer.status != 303 or back is None:  # noqa: PLR2004 - See Other
                raise PageError(f"the provider's page answered {answer.status} and leads nowhere")
        return back

    async def _walk(self, method: str, url: str, body: bytes | None) -> Page:
        for _ in range(_MOST_REDIRECTS):
            if not url.startswith(f"{self._origin}/"):
                raise PageError(f"the page leads away to {urlsplit(url).netloc!r}")
            headers = {"Accept": "text/html"}
            if body is not None:
                headers |= {"Content-Type": "application/x-www-form-urlencoded", "Origin": self._origin}
            status, location, html = await self._patiently(method, url, body, headers)
            if status in {301, 302, 303} and location is not None:
                method, body, url = "GET", None, urljoin(url, location)
                continue
            if status != 200:  # noqa: PLR2004 - HTTP's OK
                raise PageError(f"{method} of the page answered {status}")
            return read_page(url, html)
        raise PageError("the page redirects without end")

    async def _patiently(
        self, method: str, url: str, body: bytes | None, headers: dict[str, str]
    ) -> tuple[int, str | None, str]:
        """Status, Location and text; a page that does not come, or says 503, is asked for again, as a person would."""
        until = time.monotonic() + self._patience_seconds
        while True:
            try:
                async with self._session.request(
                    method, url, data=body, headers=headers, allow_redirects=False
                ) as answer:
                    if answer.status != 503 or time.monotonic() > until:  # noqa: PLR2004 - Service Unavailable
                        html = (await answer.content.read(_MOST_PAGE_BYTES)).decode("utf-8", "replace")
                        return answer.status, answer.headers.get("Location"), html
            except (aiohttp.ClientConnectionError, ConnectionError):
                if time.monotonic() > until:
                    raise
            await asyncio.sleep(_AGAIN_SECONDS)
