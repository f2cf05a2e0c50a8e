"""A person before a fake camera: the real page in a real Chromium, asked for by a real message."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from playwright.sync_api import Browser, BrowserContext, Page, Playwright, ViewportSize

from bench.load import SUCCESS, Load, Role
from cli.peers import SHOP, WALLET, Peers
from emulators.camera_film import write_film
from services.session.page_files import find_program
from tests.e2e.conftest import Running
from tests.support.kafka_fixtures import leave_untested
from tests.unit.emulators.clients import side_door

BY_HAND = Role("by hand", "SUCCESS", shows_up=False)
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
PHONE: ViewportSize = {"width": 320, "height": 640}


def launch(playwright: Playwright, folder: Path, *, brightness: int = 128, allow: bool = True) -> Browser:
    """Debian's Chromium, or the one that CHROMIUM names, with a film for a camera."""
    executable = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if executable is None:
        leave_untested("the scan page in a real browser", "no chromium on the PATH")
    if find_program() is None:
        leave_untested("the scan page's program", "it is not built: make page needs Node 18.19 or newer")
    film = folder / f"camera-{brightness}.y4m"
    write_film(film, brightness)
    flags = [*FLAGS, "--use-fake-device-for-media-stream", f"--use-file-for-fake-video-capture={film}"]
    answer = "--use-fake-ui-for-media-stream" if allow else "--deny-permission-prompts"
    return playwright.chromium.launch(executable_path=executable, args=[*flags, answer])


@dataclass
class Person:
    """Somebody who was asked for; ``problems`` are errors, broken policies and requests to other hosts."""

    running: Running
    correlation: str
    url: str
    name: str
    problems: list[str] = field(default_factory=list)

    def before_camera(self, face: str | None = None, **more: Any) -> None:
        """Stand before the camera, or let somebody else."""
        order = {"person": face or self.name, "confidence": 97.0, **more}
        assert side_door(self.running.workbench.system.aws, "stage", order)[0] == 200

    def order_error(self, error: str) -> None:
        """Let the provider's next stream end in an error frame."""
        order = {"operation": "StartFaceLivenessSession", "error": error, "count": 1}
        assert side_door(self.running.workbench.system.aws, "errors", order)[0] == 200

    def answer(self, wait_seconds: float = 20) -> str | None:
        """The Result that the asking domain got, signed and verified."""

        async def get(_load: Load, peers: Peers) -> str | None:
            answer = await peers.answer(SHOP, self.correlation, wait_seconds)
            return str(answer["body"]["Result"]) if answer else None

        return self.running.drive(get)

    @contextmanager
    def page(self, browser: Browser, context: BrowserContext | None = None, **options: Any) -> Iterator[Page]:
        """A window of a context, which ends with it unless given."""
        own = context or browser.new_context(ignore_https_errors=True, viewport=PHONE, locale="en-GB", **options)
        page = own.new_page()
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("console", lambda message: self._note(message.type, message.text))
        page.on("request", lambda request: self._look_at(request.url))
        yield page
        if context is None:
            own.close()

    def _note(self, kind: str, text: str) -> None:
        if (
            "Content Security Policy" in text
            or "Permissions policy" in text
            or (kind == "error" and not any(known in text for known in ("ERR_INTERNET_DISCONNECTED", "409 (Conflict)")))
        ):
            self.problems.append(text)

    def _look_at(self, url: str) -> None:
        ours = (self.running.workbench.system.session, "data:", "blob:")
        if not url.startswith(ours):
            self.problems.append(f"a request to {url}")


def asked(running: Running) -> Person:
    """Ask for a verification of somebody who waits for the page to open."""
    correlation = str(uuid4())

    async def ask(load: Load, peers: Peers) -> tuple[str, str]:
        await load.enrol((BY_HAND, SUCCESS), persons_each=1)
        order = {"inbox": running.demo.inbox, "to": running.demo.domain, "correlation": correlation}
        before = {popup["popup"] for popup in await peers.popups(WALLET)}
        order |= {"locator": load.locator(BY_HAND), "purpose": "to open an account"}
        await peers.ask(SHOP, order)
        popup = await load.new_popup(before)
        return str(popup["url"]), str(popup["wallet"])

    url, name = running.drive(ask)
    return Person(running, correlation, url, name)


def screen(page: Page, name: str, seconds: float = 15) -> None:
    """Wait for a screen."""
    page.wait_for_selector(f'[data-screen="{name}"]', timeout=seconds * 1000)


def agree(page: Page, url: str) -> None:
    """Open the page and agree."""
    page.goto(url)
    screen(page, "welcome")
    page.click("button.primary")
    screen(page, "ready")


def start(page: Page, url: str, *, lights: bool = False) -> None:
    """Open the page, agree, press start and wait for the camera."""
    agree(page, url)
    if not lights:
        page.check("input[type=checkbox]")
    page.click("button.primary")


def filming(page: Page) -> None:
    """Wait until the component has connected and films."""
    page.wait_for_selector(".liveness-detector video", timeout=15_000)
    page.wait_for_selector("text=Rec", timeout=15_000)
