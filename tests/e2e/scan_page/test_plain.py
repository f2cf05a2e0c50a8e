"""The scan page as plain HTML in a real browser that runs no scripts: Chromium presses the buttons, on a real Kafka."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from bench.load import SUCCESS, Load, Role
from cli.peers import SHOP, WALLET, Peers
from services.session.pages import STYLE
from tests.e2e.conftest import Running
from tests.support.kafka_fixtures import leave_untested

pytestmark = pytest.mark.kafka

# Asked for, and left to the browser: the wallet does not drive the page itself.
BY_HAND = Role("by hand", "SUCCESS", shows_up=False)
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


@pytest.fixture
def browser(page_system: Running) -> Iterator[Browser]:
    """Debian's Chromium, or the one that CHROMIUM names."""
    executable = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if executable is None:
        leave_untested("the scan page in a real browser", "no chromium on the PATH")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        yield started
        started.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A phone's window that fails the test for any request to another host and any error of the page."""
    context = browser.new_context(viewport={"width": 320, "height": 640}, java_script_enabled=False)
    opened = context.new_page()
    problems: list[str] = []
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    yield opened
    context.close()
    assert not problems, problems


def test_a_person_opens_the_page_presses_start_and_done_and_the_domain_gets_its_answer(
    page_system: Running, page: Page, tmp_path: Path
) -> None:
    """Who asks is named, no result is shown, and the signed answer is at the Domain."""
    correlation, url = _asked(page_system)
    page.goto(url)
    assert SHOP in page.inner_text("main")
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    assert page.evaluate("getComputedStyle(document.querySelector('button')).fontWeight") == "600", STYLE
    page.wait_for_selector("#start button")
    page.screenshot(path=str(tmp_path / "start.png"))
    page.click("#start button")
    session_id = page.get_attribute("[data-session-id]", "data-session-id")
    _stand_before_camera(page_system, session_id or "", _person(page_system))
    page.screenshot(path=str(tmp_path / "check.png"))
    page.click("#done button")
    page.wait_for_selector("h1:has-text('Done')", timeout=15_000)
    page.screenshot(path=str(tmp_path / "done.png"))
    text = page.inner_text("main").lower()
    assert "success" not in text
    assert "fail" not in text

    async def answered(_load: Load, peers: Peers) -> Any:
        return await peers.answer(SHOP, correlation, 20)

    answer = page_system.drive(answered)
    assert answer["body"]["Result"] == "SUCCESS"


def test_reload_second_tab_and_back_button_keep_one_session(page_system: Running, browser: Browser, page: Page) -> None:
    """However the page is reached again, the running attempt stays the same one."""
    _, url = _asked(page_system)
    page.goto(url)
    page.click("#start button")
    session_id = page.get_attribute("[data-session-id]", "data-session-id")
    page.reload()
    assert page.get_attribute("[data-session-id]", "data-session-id") == session_id
    second = page.context.new_page()
    second.goto(url)
    assert second.get_attribute("[data-session-id]", "data-session-id") == session_id
    second.close()
    stranger = browser.new_page()
    answer = stranger.goto(url)
    assert answer is not None
    assert answer.status == 403
    assert str(session_id) not in stranger.content()
    stranger.close()
    page.go_back()
    page.goto(url)
    assert page.get_attribute("[data-session-id]", "data-session-id") == session_id


def test_an_address_that_was_not_made_here_shows_a_page_that_says_so(page_system: Running, browser: Browser) -> None:
    opened = browser.new_page()
    response = opened.goto(f"{page_system.workbench.system.session}/scan/{uuid4().hex}")
    assert response is not None
    assert response.status == 404
    assert "not valid" in opened.inner_text("main")
    opened.close()


_persons: dict[int, str] = {}


def _person(page_system: Running) -> str:
    return _persons[id(page_system)]


def _asked(page_system: Running) -> tuple[str, str]:
    """Ask for a verification of somebody who waits; return the request's Correlation and the page's address."""
    correlation = str(uuid4())

    async def ask(load: Load, peers: Peers) -> str:
        await load.enrol((BY_HAND, SUCCESS), persons_each=1)
        order = {"inbox": page_system.demo.inbox, "to": page_system.demo.domain, "correlation": correlation}
        before = {popup["popup"] for popup in await peers.popups(WALLET)}
        await peers.ask(SHOP, order | {"locator": load.locator(BY_HAND)})
        popup = await load.new_popup(before)
        _persons[id(page_system)] = popup["wallet"]
        return str(popup["url"])

    return correlation, page_system.drive(ask)


def _stand_before_camera(page_system: Running, session_id: str, person: str) -> None:
    order = {"session_id": session_id, "person": person, "confidence": 97.0}
    request = Request(f"{page_system.workbench.system.aws}/_emulator/camera", json.dumps(order).encode())
    with urlopen(request, timeout=10) as response:
        assert response.status == 200
