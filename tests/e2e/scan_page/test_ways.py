"""The real page and component, a fake camera, the whole system on a real Kafka.

Each way ends in the right screen and in one signed answer, which is right.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import Page, async_playwright

from services.session.page_files import BUILT
from tests.e2e.conftest import Running
from tests.e2e.scan_page.side_by_side import side_by_side
from tests.e2e.scanning import (
    Person,
    again,
    agree,
    asked,
    begin,
    filming,
    give_up,
    launched,
    screen,
    screens,
    start,
    stop,
)

TRIES = 3

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(420)]  # one test waits for all: see side_by_side


@asynccontextmanager
async def broken_off(person: Person, *, start_from: str = "about:blank") -> AsyncIterator[Page]:
    """Give a page that films. What is done to it must end that try, and another one, with its own session, succeed."""
    await person.before_camera(fits=False)
    async with person.page() as page:
        await page.goto(start_from)
        await start(page, person.url)
        await filming(page)
        yield page
        await screen(page, "not_done")
        await person.before_camera()
        await again(person, page)
    assert await person.sessions() == 2 + person.slow
    assert await person.answer() == "SUCCESS"


@side_by_side
async def test_with_no_face_until_the_page_s_own_deadline_the_try_is_over(person: Person) -> None:
    """The component reports nothing then; a black picture has no face in it."""
    async with person.page(dark=True) as page:
        await start(page, person.url)
        await page.wait_for_selector(".liveness-detector video", timeout=40_000)
        await screen(page, "not_done", 80)
        await give_up(page)
    assert await person.answer() == "FAILURE"


@side_by_side
async def test_a_second_tab_disturbs_nothing_and_another_browser_is_refused(person: Person) -> None:
    await person.before_camera()
    async with person.page() as page:
        await agree(page, person.url)
        async with person.page(page.context) as second:
            await agree(second, person.url)
            await page.click("button.primary")
            await page.wait_for_selector(".liveness-detector video", timeout=40_000)
            await second.click("button.primary")
            await person.done(page)
            await screen(second, "done")
            assert "running_elsewhere" in await screens(second)
    stranger = await person.browsers.light.new_page()
    refused = await stranger.goto(person.url)
    assert refused is not None
    assert refused.status == 403
    await stranger.close()
    assert await person.sessions() == 1 + person.slow
    assert await person.answer() == "SUCCESS"


@pytest.mark.parametrize("lights", [True, False], ids=["light challenge", "without lights"])
@side_by_side
async def test_a_live_owner_is_a_success_with_each_challenge(person: Person, lights: bool) -> None:
    """Every chunk's signature was verified on the way; the policy allows what WebAssembly needs and no other code."""
    await person.before_camera()
    async with person.page() as page:
        document = await page.goto(person.url)
        assert document is not None
        policy = (await document.all_headers())["content-security-policy"]
        assert [word for word in policy.replace(";", "").split() if "unsafe" in word] == ["'wasm-unsafe-eval'"]
        assert policy.startswith("default-src 'none';")
        await screen(page, "welcome")
        await page.click("button.primary")
        await begin(page, lights=lights)
        await person.done(page, lights=lights)
        text = (await page.inner_text("main")).lower()
        assert not any(word in text for word in ("success", "fail", "97"))
    assert await person.answer() == "SUCCESS"


@pytest.mark.parametrize(
    ("face", "confidence"), [("mallory", 97.0), (None, 12.0)], ids=["wrong person", "spoof"]
)  # fmt: skip
@side_by_side
async def test_a_wrong_person_and_a_spoof_see_what_everybody_sees_and_the_answer_is_no(
    person: Person, face: str | None, confidence: float
) -> None:
    await person.before_camera(face, confidence=confidence)
    async with person.page() as page:
        await start(page, person.url)
        await person.done(page)
        assert "shop.example gets the answer" in await page.inner_text("main")
    assert await person.answer() == "FAILURE"


@side_by_side
async def test_an_attempt_that_is_cancelled_may_be_repeated_with_a_session_of_its_own(person: Person) -> None:
    async with broken_off(person) as page:
        await stop(page)


@side_by_side
async def test_who_gives_up_is_believed_at_once_and_the_answer_is_no(person: Person) -> None:
    async with person.page() as page:
        await page.goto(person.url)
        await screen(page, "welcome")
        assert "shop.example" in await page.inner_text("main")
        assert "to open an account" in await page.inner_text("main")
        await give_up(page)
    assert await person.answer() == "FAILURE"
    assert await person.sessions() == 0


@side_by_side
async def test_a_refused_camera_costs_no_session_and_says_what_to_do(person: Person) -> None:
    async with person.page(camera=False) as page:
        await start(page, person.url)
        await screen(page, "camera_refused")
        await give_up(page)
    assert await person.sessions() == 0
    assert await person.answer() == "FAILURE"


@pytest.mark.parametrize(("error", "view"), [("NotFoundError", "camera_missing"), ("NotReadableError", "camera_busy")])
@side_by_side
async def test_a_missing_and_a_busy_camera_have_screens_of_their_own(person: Person, error: str, view: str) -> None:
    """The error is the browser's; only the device that would raise it is played."""
    async with person.page() as page:
        await page.add_init_script(
            f"navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('', '{error}'))"
        )
        await start(page, person.url)
        await screen(page, view)
        await give_up(page)
    assert await person.sessions() == 0
    assert await person.answer() == "FAILURE"


@side_by_side
async def test_a_reload_in_the_middle_ends_that_attempt_and_the_next_one_succeeds(person: Person) -> None:
    async with broken_off(person) as page:
        await page.reload()


@side_by_side
async def test_the_back_button_and_the_way_forward_lead_to_the_same_verification(person: Person) -> None:
    await person.before_camera()
    async with person.page() as page:
        await page.goto(f"{person.running.workbench.system.session}/scan.css")
        await agree(page, person.url)
        await page.go_back()
        await page.go_forward()
        await screen(page, "welcome")
        await again(person, page)
    assert await person.answer() == "SUCCESS"


@side_by_side
async def test_the_back_button_in_the_middle_ends_that_attempt_and_the_next_one_succeeds(person: Person) -> None:
    async with broken_off(person, start_from=f"{person.running.workbench.system.session}/scan.css") as page:
        await page.go_back()
        await page.go_forward()


@side_by_side
async def test_a_throttled_provider_makes_the_person_wait_and_then_the_check_begins(person: Person) -> None:
    await person.before_camera()
    await person.throttle(1)
    async with person.page() as page:
        await start(page, person.url)
        await person.done(page)
        assert "starting" in await screens(page)
    assert await person.sessions() == 1 + person.slow
    assert await person.answer() == "SUCCESS"


@pytest.mark.parametrize("error", ["ThrottlingException", "InternalServerException"])
@side_by_side
async def test_an_error_frame_of_the_provider_ends_the_try_and_says_no_reason(person: Person, error: str) -> None:
    await person.before_camera(error=error)
    async with person.page() as page:
        await start(page, person.url)
        await screen(page, "not_done")
        assert "exception" not in (await page.inner_text("main")).lower()
        await give_up(page)
    assert await person.answer() == "FAILURE"


@side_by_side
async def test_going_offline_in_the_middle_ends_the_try_and_the_page_goes_on_when_online(person: Person) -> None:
    async with broken_off(person) as page:
        await page.context.set_offline(True)
        await screen(page, "offline")
        await page.context.set_offline(False)


@side_by_side
async def test_the_whole_check_can_be_done_by_keyboard_alone(person: Person) -> None:
    await person.before_camera()
    async with person.page() as page:
        await page.goto(person.url)
        await screen(page, "welcome")
        for name, presses in (("welcome", ["Tab", "Enter"]), ("ready", ["Tab", "Space", "Tab", "Enter"])):
            await screen(page, name)
            assert await page.evaluate("document.activeElement.tagName") in ("H1", "BODY")
            for key in presses:
                await page.keyboard.press(key)
                if key == "Tab":
                    outline = await page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
                    assert outline == "solid", "the focus must be seen"
        await person.done(page)
    assert await person.answer() == "SUCCESS"


def test_the_page_is_usable_within_two_seconds(page_system: Running, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Nothing was loaded before: from the address of the pop-up to the first button.

    The machine is shared: the best of a few tries, each by a browser of its own, says what the page needs.
    """

    async def look() -> float:
        async with async_playwright() as playwright, launched(playwright, tmp_path_factory.mktemp("film")) as browsers:
            person = await asked(page_system, browsers)
            async with person.page() as page:
                began = time.monotonic()
                await page.goto(person.url)
                await screen(page, "welcome")
                assert await page.is_enabled("button.primary")
                return time.monotonic() - began

    took: list[float] = []
    while not took or (min(took) >= 2 and len(took) < TRIES):
        took.append(asyncio.run(look()))
    print(f"the page was usable after {min(took):.2f} s")
    assert min(took) < 2, took


def test_the_program_weighs_less_than_450_kilobytes_compressed() -> None:
    """Everything that is loaded for a check, with one language, before the component's model and WebAssembly."""
    files = [file for file in (BUILT / "assets").glob("*.gz") if file.name.split(".")[-2] in ("js", "css")]
    other_languages = ("de-", "es-", "fr-", "pt-", "ar-")
    weight = sum(file.stat().st_size for file in files if not file.name.startswith(other_languages))
    print(f"the page's program weighs {weight / 1000:.0f} kB compressed")
    assert 100_000 < weight <= 450_000, weight
