"""The playground in a real Chromium, on an embedded system: somebody presses "verify me" and looks at what happens.

PLAYGROUND_SCREENSHOTS=1 writes docs/screens/playground-*.png.
"""

import os
import re
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, FrameLocator, Page, ViewportSize, expect, sync_playwright

from bench.load import Load
from cli.enrolment import Enrolment
from cli.peers import Peers
from cli.playground.sides import PHONE
from cli.publish import publish_event
from emulators.camera_film import write_film
from emulators.pictures import make_picture
from shared.cloudevents import CloudEvent
from shared.events import VerificationRequested
from shared.locators import new_locator
from shared.settings import KafkaSettings, load
from shared.stores import Tables
from tests.e2e.conftest import Running, start_system
from tests.e2e.scanning import FLAGS, chromium
from tests.support.service_process import ROOT

PICTURES = ROOT / "docs/screens" if os.environ.get("PLAYGROUND_SCREENSHOTS") == "1" else None
AXE = ROOT / "services/session/frontend/node_modules/axe-core/axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
SECONDS = 40_000
WIDE: ViewportSize = {"width": 1440, "height": 960}
STATIONS = ["bank", "door", "router", "session", "signer", "sender", "wallet", "verdict", "answer"]
MESSAGES = ["VerifyLocator@Identity", "OpenPopup@Wallet", "ClosePopup@Wallet", "LocatorVerified@Domain"]
# What a browser says of a frame without scripts, and of a certificate that it does not know: both are meant.
EXPECTED = ("frame is sandboxed", "document is sandboxed", "ERR_CERT_AUTHORITY_INVALID")


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    settings = {"FACESCAN_VERIFICATION_SECONDS": "120", "FACESCAN_ATTEMPT_SECONDS": "28"}
    with ExitStack() as open_parts:
        folder = tmp_path_factory.mktemp("playground")
        yield start_system(folder, open_parts, kafka=None, settings=settings, playground=True)


@pytest.fixture(scope="module")
def playground(system: Running) -> str:
    return system.workbench.start_playground()


@pytest.fixture(scope="module")
def browser(playground: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One with a film for a camera; after the system, whose start needs the loop that the driver would have."""
    film = tmp_path_factory.mktemp("film") / "camera.y4m"
    write_film(film)
    camera = ["--use-fake-device-for-media-stream", f"--use-file-for-fake-video-capture={film}"]
    flags = [*FLAGS, *camera, "--use-fake-ui-for-media-stream"]
    expect.set_options(timeout=SECONDS)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium(), args=flags)
        yield started
        started.close()


@pytest.fixture
def problems() -> Iterator[list[str]]:
    """Errors of the page, broken policies and requests to other hosts: there are none at the end."""
    found: list[str] = []
    yield found
    assert not found, found


@contextmanager
def _opened(browser: Browser, playground: str, problems: list[str], **options: Any) -> Iterator[Page]:
    context = browser.new_context(locale="en-GB", viewport=WIDE, **options)
    page = context.new_page()
    page.set_default_timeout(SECONDS)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: _note(problems, message.type, message.text))
    page.on("request", lambda request: _look(problems, request.url))
    page.goto(playground)
    page.wait_for_selector("#services .good")
    try:
        yield page
    finally:
        context.close()


def _note(problems: list[str], kind: str, text: str) -> None:
    if kind == "error" and not any(known in text for known in EXPECTED):
        problems.append(text)


def _look(problems: list[str], url: str) -> None:
    if not re.match(r"(http|https|wss)://127\.0\.0\.1:\d+/|data:|blob:", url):
        problems.append(f"a request to {url}")


def _frame(page: Page) -> FrameLocator:
    return page.frame_locator("iframe.page")


def _stations(page: Page) -> list[str]:
    return page.locator("#way li.been strong, #way li.now strong").all_inner_texts()


def _picture(page: Page, name: str) -> None:
    if PICTURES:
        page.evaluate("scrollTo(0, 0)")
        page.screenshot(path=str(PICTURES / f"playground-{name}.png"), animations="disabled")


def _violations(page: Page) -> list[str]:
    # Injected beside the page's own policy, which lets no other script in.
    page.context.new_cdp_session(page).send("Page.setBypassCSP", {"enabled": True})
    result = page.evaluate(
        AXE.read_text() + "; axe.run(document, {runOnly: " + str(RULES) + ", iframes: false}).then((found) => "
        "[found.passes.length, found.violations.map((one) => one.id + ' ' + one.nodes.map((n) => n.html).join(' '))])"
    )
    assert result[0] > 8, "axe has looked at nothing"
    return list(result[1])


def test_somebody_presses_verify_me_films_and_sees_the_signed_answer_and_all_that_led_to_it(
    browser: Browser, playground: str, problems: list[str]
) -> None:
    """With a camera and a browser that takes the stand-in's certificate: the real page, in the wallet's frame."""
    with _opened(browser, playground, problems, ignore_https_errors=True) as page:
        page.wait_for_selector("input[value=own]:checked")
        page.click("#verify")
        frame = _frame(page)
        for name in ("welcome", "ready"):
            frame.locator(f'[data-screen="{name}"]').wait_for()
            frame.locator("button.primary").click()
        frame.locator(".liveness-detector video").wait_for()
        page.wait_for_selector('#events [data-step="session.created"]')
        expect(page.locator("#phone-state")).to_have_text("pop-up open")
        if PICTURES:
            frame.locator("text=Rec").wait_for()
        _picture(page, "filming-light")
        page.wait_for_selector(".result.good")
        assert "SUCCESS" in page.inner_text("#result")
        expect(page.locator("#states [aria-current]")).to_have_text("announced")
        assert _stations(page) == STATIONS
        expect(page.locator("#messages .badge.good")).to_have_count(4)
        shown = page.locator("#messages > details").evaluate_all("all => all.map((one) => one.dataset.subject)")
        assert sorted(shown) == sorted(MESSAGES)
        expect(page.locator("#phone-state")).to_have_text("closed")
        expect(page.locator("#messages .at", has_text="answered 200")).to_have_count(4)
        page.locator("#messages > details", has_text="LocatorVerified").locator("summary").first.press("Enter")
        assert '"Result": "SUCCESS"' in page.locator("#messages > details[open] pre").first.inner_text()
        page.locator('#events [data-step="verdict.reached"] summary').press("Enter")
        assert '"outcome": "success"' in page.locator('#events [data-step="verdict.reached"] pre').inner_text()
        found = []
        for theme in ("light", "dark"):
            page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
            _picture(page, f"answer-{theme}")
            found += [f"{theme}: {line}" for line in _violations(page)]
        assert not found, found
        page.set_viewport_size({"width": 320, "height": 640})
        assert page.evaluate("document.documentElement.scrollWidth") <= 320


def test_without_a_camera_the_stand_in_films_and_a_reload_in_the_middle_changes_nothing(
    browser: Browser, playground: str, problems: list[str]
) -> None:
    """A browser that does not know the stand-in's certificate is told so, and is verified all the same; twice."""
    with _opened(browser, playground, problems) as page:
        page.wait_for_selector("#camera-hint a")
        assert page.locator("input[value=own]").is_disabled()
        results = []
        for who in ("stranger", "person"):
            page.check(f"input[name=who][value={who}]")
            page.click("#verify")
            _frame(page).locator("#start button").click()
            page.wait_for_selector('#events [data-step="camera"]')
            page.reload()
            page.wait_for_selector('#events [data-step="camera"]')
            assert page.locator('#events [data-step="session.created"]').count() == 1  # however often it is announced
            _frame(page).locator("#done button").click()
            page.wait_for_selector(".result.good, .result.bad")
            results.append(page.inner_text("#result").partition(".")[0])
            expect(page.locator("#phone-state")).to_have_text("closed")
        assert results == ["FAILURE", "SUCCESS"]
        chips = page.locator("#runs button").all_inner_texts()
        assert [("SUCCESS" in chip, "FAILURE" in chip) for chip in chips[:2]] == [(True, False), (False, True)]
        page.locator("#runs button").nth(1).click()
        page.wait_for_selector('#events [data-step="camera"]:has-text("a wrong person")')


def test_a_verification_asked_for_by_an_event_opens_on_the_page_when_its_wallet_is_the_page_s_phone(
    browser: Browser, system: Running, playground: str, problems: list[str]
) -> None:
    """The tutorial's way: enrol somebody with the phone as wallet, publish a request, go through the page."""
    with _opened(browser, playground, problems) as page:
        person = f"alice-{uuid4().hex[:6]}"

        async def ask(_load: Load, _peers: Peers) -> str:
            demo = system.demo
            enrolled = await Enrolment(demo.aws, Tables(demo.aws, demo.stores), demo.stores).enrol(
                person=person, photo=make_picture(person), photo_name="alice.png", wallet_domain=PHONE, wallet_id="w-1",
                locator=new_locator(), expires_at=datetime.now(UTC) + timedelta(hours=1),
            )  # fmt: skip
            request = VerificationRequested(
                verification_id=str(uuid4()), locator=enrolled.locator, purpose="a first look"
            )
            event = CloudEvent(id=str(uuid4()), source="test", type=request.type, data=request.to_json())
            kafka = load(KafkaSettings, {"FACESCAN_KAFKA_BOOTSTRAP": demo.kafka})
            await publish_event(kafka, request, event)
            return request.verification_id

        verification_id = system.drive(ask)
        page.wait_for_selector(f'#runs button[aria-pressed="true"]:has-text("{verification_id[:8]}")')
        _frame(page).locator("#start button").click()
        page.wait_for_selector('#events [data-step="camera"]')
        _frame(page).locator("#done button").click()
        page.wait_for_selector(".result.good:has-text('success, says verdict.reached')")
        expect(page.locator("#phone-state")).to_have_text("closed")


def test_a_service_that_is_down_and_a_playground_that_ended_are_said_on_the_page(
    browser: Browser, system: Running, playground: str, problems: list[str]
) -> None:
    with _opened(browser, playground, problems) as page:
        page.click("#verify")
        page.wait_for_selector("#result.busy")
        system.workbench.send_signal("verdict", signal.SIGSTOP)
        try:
            page.wait_for_selector("#alarm:has-text('verdict does not answer')")
        finally:
            system.workbench.send_signal("verdict", signal.SIGCONT)
        page.wait_for_selector("#alarm", state="hidden")
        system.workbench.kill("playground")
        page.wait_for_selector("#alarm:has-text('The playground does not answer')")
        page.wait_for_selector("#alarm", state="hidden")
        # What the one before knew is gone; deadlines of old verifications may still come to the new one.
        expect(page.locator("#result")).to_have_text("")
        assert page.locator("#runs button:has-text('SUCCESS')").count() == 0
        problems[:] = [line for line in problems if "ERR_CONNECTION_REFUSED" not in line and "CHUNKED" not in line]
