"""The real page and component, a fake camera, the whole system: each way ends in the right screen and answer."""

import time
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Playwright

from services.session.page_files import BUILT
from tests.e2e.scan_page_fixtures import browser, person, playwright
from tests.e2e.scanning import Person, agree, filming, launch, screen, start
from tests.unit.emulators.clients import side_door

__all__ = ["browser", "person", "playwright"]


@pytest.mark.parametrize("lights", [True, False], ids=["light challenge", "without lights"])
def test_a_live_owner_is_a_success_with_each_challenge(person: Person, browser: Browser, lights: bool) -> None:
    """Every chunk's signature was verified on the way, and the page is usable within two seconds."""
    person.before_camera()
    with person.page(browser) as page:
        began = time.monotonic()
        page.goto(person.url)
        screen(page, "welcome")
        assert time.monotonic() - began < 2
        assert "shop.example" in page.inner_text("main")
        assert "to open an account" in page.inner_text("main")
        page.click("button.primary")
        if not lights:
            page.check("input[type=checkbox]")
        page.click("button.primary")
        screen(page, "done", 25)
        text = page.inner_text("main").lower()
        assert not any(word in text for word in ("success", "fail", "97"))
    assert person.answer() == "SUCCESS"


@pytest.mark.parametrize(
    ("face", "confidence"), [("mallory", 97.0), (None, 12.0)], ids=["wrong person", "spoof"]
)  # fmt: skip
def test_a_wrong_person_and_a_spoof_see_what_everybody_sees_and_the_answer_is_no(
    person: Person, browser: Browser, face: str | None, confidence: float
) -> None:
    person.before_camera(face, confidence=confidence)
    with person.page(browser) as page:
        start(page, person.url)
        screen(page, "done", 25)
        assert "shop.example gets the answer" in page.inner_text("main")
    assert person.answer() == "FAILURE"


def test_an_attempt_that_is_cancelled_may_be_repeated_with_a_session_of_its_own(
    person: Person, browser: Browser
) -> None:
    person.before_camera(fits=False)
    before = _sessions(person)
    with person.page(browser) as page:
        start(page, person.url)
        filming(page)
        page.click("button[aria-label='Stop the check']")
        screen(page, "not_done")
        person.before_camera()
        page.click("button.primary")
        screen(page, "ready")
        page.check("input[type=checkbox]")
        page.click("button.primary")
        screen(page, "done", 25)
    assert _sessions(person) == before + 2
    assert person.answer() == "SUCCESS"


def test_who_gives_up_is_believed_at_once_and_the_answer_is_no(person: Person, browser: Browser) -> None:
    before = _sessions(person)
    with person.page(browser) as page:
        page.goto(person.url)
        screen(page, "welcome")
        page.click("button.secondary")
        screen(page, "declined")
    assert person.answer() == "FAILURE"
    assert _sessions(person) == before


def test_a_refused_camera_costs_no_session_and_says_what_to_do(
    person: Person, playwright: Playwright, tmp_path: Path
) -> None:
    before = _sessions(person)
    browser = launch(playwright, tmp_path, allow=False)
    with person.page(browser) as page:
        start(page, person.url)
        screen(page, "camera_refused")
        page.click("button.secondary")
        screen(page, "declined")
    browser.close()
    assert _sessions(person) == before
    assert person.answer() == "FAILURE"


@pytest.mark.parametrize(("error", "view"), [("NotFoundError", "camera_missing"), ("NotReadableError", "camera_busy")])
def test_a_missing_and_a_busy_camera_have_screens_of_their_own(
    person: Person, browser: Browser, error: str, view: str
) -> None:
    """The error is the browser's; only the device that would raise it is played."""
    with person.page(browser) as page:
        page.add_init_script(
            f"navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('', '{error}'))"
        )
        start(page, person.url)
        screen(page, view)


def test_a_reload_in_the_middle_ends_that_attempt_and_the_next_one_succeeds(person: Person, browser: Browser) -> None:
    person.before_camera(fits=False)
    with person.page(browser) as page:
        start(page, person.url)
        filming(page)
        page.reload()
        screen(page, "not_done")
        person.before_camera()
        page.click("button.primary")
        screen(page, "ready")
        page.check("input[type=checkbox]")
        page.click("button.primary")
        screen(page, "done", 25)
    assert person.answer() == "SUCCESS"


def test_a_second_tab_disturbs_nothing_and_another_browser_is_refused(person: Person, browser: Browser) -> None:
    person.before_camera()
    with person.page(browser) as page:
        agree(page, person.url)
        with person.page(browser, page.context) as second:
            agree(second, person.url)
            page.click("button.primary")
            page.wait_for_selector(".liveness-detector video")
            second.click("button.primary")
            screen(second, "running_elsewhere")
            screen(page, "done", 25)
            screen(second, "done")
    stranger = browser.new_page()
    refused = stranger.goto(person.url)
    assert refused is not None
    assert refused.status == 403
    stranger.close()
    assert person.answer() == "SUCCESS"


def test_the_back_button_and_the_way_forward_lead_to_the_same_verification(person: Person, browser: Browser) -> None:
    person.before_camera()
    with person.page(browser) as page:
        page.goto(f"{person.running.workbench.system.session}/scan.css")
        agree(page, person.url)
        page.go_back()
        page.go_forward()
        screen(page, "welcome")
        page.click("button.primary")
        page.check("input[type=checkbox]")
        page.click("button.primary")
        screen(page, "done", 25)
    assert person.answer() == "SUCCESS"


@pytest.mark.parametrize("error", ["ThrottlingException", "InternalServerException"])
def test_an_error_frame_of_the_provider_ends_the_try_and_says_no_reason(
    person: Person, browser: Browser, error: str
) -> None:
    person.before_camera()
    person.order_error(error)
    with person.page(browser) as page:
        start(page, person.url)
        screen(page, "not_done")
        assert "exception" not in page.inner_text("main").lower()
        page.click("button.secondary")
        screen(page, "declined")
    assert person.answer() == "FAILURE"


def test_going_offline_in_the_middle_ends_the_try_and_the_page_goes_on_when_online(
    person: Person, browser: Browser
) -> None:
    person.before_camera(fits=False)
    with person.page(browser) as page:
        start(page, person.url)
        filming(page)
        page.context.set_offline(True)
        screen(page, "offline")
        page.context.set_offline(False)
        screen(page, "not_done")
        person.before_camera()
        page.click("button.primary")
        screen(page, "ready")
        page.check("input[type=checkbox]")
        page.click("button.primary")
        screen(page, "done", 25)
    assert person.answer() == "SUCCESS"


def test_with_no_face_until_the_page_s_own_deadline_the_try_is_over_and_then_the_time(
    person: Person, playwright: Playwright, tmp_path: Path
) -> None:
    """The component reports nothing then; a black picture has no face in it."""
    browser = launch(playwright, tmp_path, brightness=0)
    with person.page(browser) as page:
        start(page, person.url)
        page.wait_for_selector(".liveness-detector video", timeout=15_000)
        screen(page, "not_done", 40)
        page.click("button.secondary")
        screen(page, "declined")
    browser.close()
    assert person.answer() == "FAILURE"


def test_the_whole_check_can_be_done_by_keyboard_alone(person: Person, browser: Browser) -> None:
    person.before_camera()
    with person.page(browser) as page:
        page.goto(person.url)
        screen(page, "welcome")
        for name, presses in (("welcome", ["Tab", "Enter"]), ("ready", ["Tab", "Space", "Tab", "Enter"])):
            screen(page, name)
            assert page.evaluate("document.activeElement.tagName") in ("H1", "BODY")
            for key in presses:
                page.keyboard.press(key)
                if key == "Tab":
                    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
                    assert outline == "solid", "the focus must be seen"
        screen(page, "done", 25)
    assert person.answer() == "SUCCESS"


def test_the_program_weighs_less_than_450_kilobytes_compressed() -> None:
    """Everything that is loaded for a check, with one language, before the component's model and WebAssembly."""
    files = [file for file in (BUILT / "assets").glob("*.gz") if file.name.split(".")[-2] in ("js", "css")]
    other_languages = ("de-", "es-", "fr-", "pt-", "ar-")
    weight = sum(file.stat().st_size for file in files if not file.name.startswith(other_languages))
    assert 100_000 < weight <= 450_000, weight


def _sessions(person: Person) -> int:
    return len(side_door(person.running.workbench.system.aws, "sessions")[1])
