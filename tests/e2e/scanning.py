"""A person before a fake camera: the real page in a real Chromium, asked for by a real message."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from playwright.async_api import Browser, BrowserContext, Page, Playwright, ViewportSize
from playwright.async_api import TimeoutError as NothingShownError

from bench.load import SUCCESS, Load, Role
from cli.peers import SHOP, WALLET, Peers
from emulators.camera_film import write_film
from services.session.page_files import find_program
from shared.events import derived_id
from tests.e2e.conftest import Running
from tests.support.kafka_fixtures import leave_untested
from tests.unit.emulators.clients import side_door

BY_HAND = Role("by hand", "SUCCESS", shows_up=False)
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
PHONE: ViewportSize = {"width": 320, "height": 640}
# On a full machine a check takes several times as long as on a quiet one.
SCREEN_SECONDS = 40.0
# The component gives a browser five seconds to draw the oval and as long to begin its film, and the system of these
# tests gives an attempt 28; on a full machine they may pass. Who is told so tries again, as a person would.
TOO_SLOW = ("RUNTIME_ERROR", "TIMEOUT", "DEADLINE")
SLOW_TRIES = 2
# Some screens are passed in less time than a full machine needs to look.
NOTE_SCREENS = """
window.screensShown = [];
new MutationObserver(() => {
  const shown = document.querySelector("[data-screen]")?.dataset.screen;
  if (shown && screensShown.at(-1) !== shown) screensShown.push(shown);
}).observe(document, {subtree: true, childList: true, attributeFilter: ["data-screen"]});
"""


def chromium() -> str:
    """Debian's Chromium, or the one that CHROMIUM names; without it or the page's program the test cannot run."""
    executable = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if executable is None:
        leave_untested("the scan page in a real browser", "no chromium on the PATH")
    if find_program() is None:
        leave_untested("the scan page's program", "it is not built: make page needs Node 18.19 or newer")
    return executable


async def launch(playwright: Playwright, folder: Path, *, brightness: int = 128) -> Browser:
    """A browser with a film for a camera. Who is asked for permission denies it, unless the context has it."""
    film = folder / f"camera-{brightness}.y4m"
    write_film(film, brightness)
    camera = ["--use-fake-device-for-media-stream", f"--use-file-for-fake-video-capture={film}"]
    flags = [*FLAGS, *camera, "--deny-permission-prompts"]
    return await playwright.chromium.launch(executable_path=chromium(), args=flags)


@dataclass(frozen=True)
class Browsers:
    """One in the light, and one in the dark: its camera sees nobody."""

    light: Browser
    dark: Browser


@asynccontextmanager
async def launched(playwright: Playwright, folder: Path) -> AsyncIterator[Browsers]:
    """Start the browsers; they end with the block."""
    browsers = Browsers(await launch(playwright, folder), await launch(playwright, folder, brightness=0))
    yield browsers
    await browsers.light.close()
    await browsers.dark.close()


@dataclass
class Person:
    """Somebody who was asked for.

    ``problems`` are errors, broken policies and requests to other hosts; ``ends`` the component's words for checks that
    came to no end.
    """

    running: Running
    browsers: Browsers
    correlation: str
    url: str
    name: str
    problems: list[str] = field(default_factory=list)
    ends: list[str] = field(default_factory=list)
    slow: int = 0

    @property
    def verification_id(self) -> str:
        """The id that the inbox gave the request."""
        return derived_id("verification", SHOP, self.correlation)

    async def before_camera(self, face: str | None = None, **more: Any) -> None:
        """Stand before the camera of one's own checks, or let somebody else."""
        order = {"person": face or self.name, "confidence": 97.0, "token": self.verification_id, **more}
        await self._order("stage", order)

    async def throttle(self, times: int) -> None:
        """Let the provider refuse to create this person's next sessions."""
        order = {"operation": "CreateFaceLivenessSession", "error": "ThrottlingException", "count": times}
        await self._order("errors", order | {"token": self.verification_id})

    async def sessions(self) -> int:
        """How many sessions were created for this person."""
        _, found = await asyncio.to_thread(side_door, self.running.workbench.system.aws, "sessions")
        return sum(session["token"].startswith(self.verification_id) for session in found)

    async def answer(self, wait_seconds: float = 40) -> str | None:
        """The Result that the asking domain got, signed and verified; fails when there are two."""
        async with Peers(self.running.demo.peers) as peers:
            answer = await peers.answer(SHOP, self.correlation, wait_seconds)
            messages = await peers.messages(SHOP)
        bodies = [one["message"]["Body"] for one in messages if one["verified"] and not one["duplicate"]]
        results = [body["Result"] for body in bodies if body.get("Request") == self.correlation]
        assert len(results) == (1 if answer else 0), results
        return results[0] if results else None

    async def done(self, page: Page, *, lights: bool = False) -> None:
        """Go through the check that was begun, up to its end."""
        self.slow += await done(page, self.ends, lights=lights)

    @asynccontextmanager
    async def page(
        self, context: BrowserContext | None = None, *, dark: bool = False, camera: bool = True
    ) -> AsyncIterator[Page]:
        """A window of a context, which ends with it unless given."""
        browser = self.browsers.dark if dark else self.browsers.light
        own = context or await browser.new_context(ignore_https_errors=True, viewport=PHONE, locale="en-GB")
        if camera:
            await own.grant_permissions(["camera"])
        page = await own.new_page()
        await page.add_init_script(NOTE_SCREENS)
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("console", lambda message: self._note(message.type, message.text))
        page.on("request", lambda request: self._look_at(request.url))
        yield page
        if context is None:
            await own.close()

    async def _order(self, door: str, order: dict[str, Any]) -> None:
        status, answer = await asyncio.to_thread(side_door, self.running.workbench.system.aws, door, order)
        assert status == 200, answer

    def _note(self, kind: str, text: str) -> None:
        note_end(self.ends, text)
        # The last: the component's recorder sends what it has when its page is left, and its socket is closed by then.
        expected = ("ERR_INTERNET_DISCONNECTED", "409 (Conflict)", "503 (Service Unavailable)", "CLOSING or CLOSED")
        if (
            "Content Security Policy" in text
            or "Permissions policy" in text
            or (kind == "error" and not any(known in text for known in expected))
        ):
            self.problems.append(text)

    def _look_at(self, url: str) -> None:
        ours = (self.running.workbench.system.session, "data:", "blob:")
        if not url.startswith(ours):
            self.problems.append(f"a request to {url}")


async def asked(running: Running, browsers: Browsers) -> Person:
    """Ask for a verification of somebody who waits for the page to open."""
    correlation = str(uuid4())
    async with Peers(running.demo.peers) as peers:
        load = Load(running.demo, peers)
        await load.enrol((BY_HAND, SUCCESS), persons_each=1)
        order = {"inbox": running.demo.inbox, "to": running.demo.domain, "correlation": correlation}
        await peers.ask(SHOP, order | {"locator": load.locator(BY_HAND), "purpose": "to open an account"})
        person = Person(running, browsers, correlation, "", load.wallet(BY_HAND))
        async with asyncio.timeout(40):
            while not person.url:
                mine = (one for one in await peers.popups(WALLET) if one["popup"] == person.verification_id)
                person.url = next((str(one["url"]) for one in mine if one["url"]), "")
                await asyncio.sleep(0.1)
    return person


async def screen(page: Page, name: str, seconds: float = SCREEN_SECONDS) -> None:
    """Wait for a screen."""
    try:
        await page.wait_for_selector(f'[data-screen="{name}"]', timeout=seconds * 1000)
    except NothingShownError:
        shown = await page.evaluate("document.querySelector('[data-screen]')?.dataset.screen ?? document.title")
        raise AssertionError(f"{name} was expected, {shown} is shown after {seconds:.0f} s") from None


async def screens(page: Page) -> list[str]:
    """Return the screens that the page has shown since it was loaded, in their order."""
    shown: list[str] = await page.evaluate("screensShown")
    return shown


def note_end(ends: list[str], text: str) -> None:
    """Note the component's word for a check that came to no end, if the console's line says one."""
    said, colon, state = text.partition(": ")
    if colon and said == "The check came to no end":
        ends.append(state)


async def done(page: Page, ends: list[str], *, lights: bool = False) -> int:
    """Go through the check that was begun, up to its end; return how often this machine was too slow for it."""
    slow = 0
    while True:
        await page.wait_for_selector('[data-screen="done"], [data-screen="not_done"]', timeout=SCREEN_SECONDS * 1000)
        if await page.query_selector('[data-screen="done"]'):
            return slow
        assert ends[-1:], "the page says that nothing came of it, the component says nothing"
        assert ends[-1] in TOO_SLOW, ends
        assert slow < SLOW_TRIES, ends
        slow += 1
        await page.click("button.primary")
        await begin(page, lights=lights)


async def agree(page: Page, url: str) -> None:
    """Open the page and agree."""
    await page.goto(url)
    await screen(page, "welcome")
    await page.click("button.primary")
    await screen(page, "ready")


async def begin(page: Page, *, lights: bool = False) -> None:
    """Press start."""
    await screen(page, "ready")
    if not lights:
        await page.check("input[type=checkbox]")
    await page.click("button.primary")


async def start(page: Page, url: str, *, lights: bool = False) -> None:
    """Open the page, agree and press start."""
    await agree(page, url)
    await begin(page, lights=lights)


async def again(person: Person, page: Page) -> None:
    """Try once more, up to the end."""
    await page.click("button.primary")
    await begin(page)
    await person.done(page)


async def filming(page: Page) -> None:
    """Wait until the component has connected and films."""
    await page.wait_for_selector(".liveness-detector video", timeout=SCREEN_SECONDS * 1000)
    await page.wait_for_selector(".amplify-liveness-recording-icon", timeout=SCREEN_SECONDS * 1000)


async def stop(page: Page) -> None:
    """Press the component's button that ends the check, at once: the video before it never stands still."""
    await page.locator(".amplify-liveness-cancel-button").dispatch_event("click")


async def give_up(page: Page) -> None:
    """Want no check, after one that came to nothing."""
    await page.click("button.secondary")
    await screen(page, "declined")
