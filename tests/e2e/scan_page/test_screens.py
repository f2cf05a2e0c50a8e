"""Every screen in both themes and every language: axe finds no violation of WCAG 2.2 AA, and a phone is wide enough.

PAGE_FULL=1 looks at all of them; otherwise English in both themes, Arabic in one, of the others the longest.
PAGE_SCREENSHOTS=1 writes docs/screens.
"""

import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, Route

from tests.e2e.scan_page.side_by_side import side_by_side
from tests.e2e.scanning import Person, filming, screen, start, stop
from tests.support.service_process import ROOT

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(420)]  # one test waits for all: see side_by_side

AXE = ROOT / "services/session/frontend/node_modules/axe-core/axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
LANGUAGES = ("en", "de", "es", "fr", "pt", "ar")
HINT_AND_BAR = (".amplify-liveness-toast", ".amplify-liveness-match-indicator__bar")
STOP = ".liveness-detector button"
CONTROLS = "[...document.querySelectorAll('#program button, #program select, #program input')]"
BOLD = "[...document.querySelectorAll('article button')].every((one) => getComputedStyle(one).fontWeight === '600')"
FULL = os.environ.get("PAGE_FULL") == "1"
PICTURES = ROOT / "docs/screens" if os.environ.get("PAGE_SCREENSHOTS") == "1" else None
CAMERA = "navigator.mediaDevices.getUserMedia = () => "
FACTS = {
    "screen": "start", "attempt": 0, "tries_left": 3, "seconds_left": 500, "requester": "shop.example",
    "purpose": "to open an account", "lights_optional": True, "films": True, "consent_version": "1", "form_token": "f",
}  # fmt: skip

# What the service would say, and what the person does, for each screen.
Steps = Callable[[Page], Awaitable[None]]


async def _ready(page: Page) -> None:
    await screen(page, "welcome")
    await page.click("button.primary")


async def _begin(page: Page) -> None:
    await _ready(page)
    await screen(page, "ready")
    await page.click("button.primary")


def _camera(error: str) -> Steps:
    async def steps(page: Page) -> None:
        await page.evaluate(f"() => {{ {CAMERA}Promise.reject(new DOMException('', '{error}')) }}")
        await _begin(page)

    return steps


async def _never(page: Page) -> None:
    await page.evaluate(f"() => {{ {CAMERA}new Promise(() => undefined) }}")
    await _begin(page)


async def _in_line(page: Page) -> None:
    early = '{"wait_seconds": 38, "ask_again_seconds": 38}'
    await page.route("**/attempt", lambda route: route.fulfill(status=202, content_type="application/json", body=early))
    await _begin(page)


async def _leaving(page: Page) -> None:
    # An attempt of its own: this tab would take the next screen's for one that it has begun.
    away = json.dumps({"attempt": 9, "seconds": 160, "redirect": "/elsewhere"})
    await page.route("**/attempt", lambda route: route.fulfill(content_type="application/json", body=away))
    await page.route("**/elsewhere", lambda route: route.fulfill(status=204))  # the browser stays where it is
    await _begin(page)


async def _decline(page: Page) -> None:
    await screen(page, "welcome")
    await page.click("button.secondary")


async def _nothing(_page: Page) -> None:
    return


SCREENS: dict[str, tuple[dict[str, Any] | int, Steps]] = {
    "welcome": ({}, _nothing),
    "ready": ({}, _ready),
    "starting": ({}, _never),
    "in_line": ({}, _in_line),
    "leaving": ({"films": False}, _leaving),
    "camera_refused": ({}, _camera("NotAllowedError")),
    "camera_missing": ({}, _camera("NotFoundError")),
    "camera_busy": ({}, _camera("NotReadableError")),
    "waiting": ({"screen": "wait", "attempt": 1}, _nothing),
    "answer": ({"screen": "answer", "attempt": 1, "asks": "question first-pet", "asked_again": True}, _nothing),
    "not_done": ({"attempt": 1}, _nothing),
    "no_tries": ({"screen": "used_up", "attempt": 3}, _nothing),
    "later": ({"screen": "later"}, _nothing),
    "done": ({"screen": "finished", "attempt": 1}, _nothing),
    "expired": ({"screen": "expired"}, _nothing),
    "running_elsewhere": ({"screen": "check", "attempt": 1}, _nothing),
    "declined": ({}, _decline),
    "offline": (0, _nothing),
    "busy": (503, _nothing),
    "elsewhere": (403, _nothing),
}


@pytest.mark.parametrize("language", LANGUAGES)
@side_by_side
async def test_no_screen_breaks_wcag_or_is_wider_than_a_phone(person: Person, language: str) -> None:
    axe = AXE.read_text()
    both = FULL or language == "en"
    themes = ["light", "dark"] if both else [["light", "dark"][LANGUAGES.index(language) % 2]]
    found = []
    async with person.page() as page:
        await page.goto(person.url)
        await screen(page, "welcome")
        address = f"{page.url}?lang={language}"
        for name in SCREENS if FULL or language in ("en", "ar") else ("welcome", "ready", "camera_busy"):
            says, steps = SCREENS[name]
            await page.unroute_all()
            await page.route("**/state", _saying(says))
            await page.route("**/declined", _saying({}))
            await page.goto(address)
            await steps(page)
            await screen(page, name)
            await page.evaluate(axe)
            for theme in themes:
                await page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
                found += [f"{language} {theme} {name}: {line}" for line in await _violations(page)]
                if PICTURES and (language in ("en", "ar") and (theme == "light" or name == "ready")):
                    await _picture(page, PICTURES / f"{name}-{language}-{theme}.png")
            assert await page.evaluate("document.documentElement.scrollWidth") <= 320, (language, name)
            if language == "en":
                assert await _unreached(page) == [], name
            assert await page.evaluate(BOLD), (language, name, "the component's styles have changed the page's buttons")
            assert await page.evaluate("[document.documentElement.lang, document.title.length > 0]") == [language, True]
    person.problems = [line for line in person.problems if "Failed to load resource" not in line]  # 503 and 403 above
    assert not found, found


@pytest.mark.parametrize("language", LANGUAGES if FULL else ["en"])
@side_by_side
async def test_the_check_itself_breaks_no_rule_either(person: Person, language: str) -> None:
    """The component is not ours; what it shows on our page is. Its hint is not under its button at 320 px either."""
    await person.before_camera(fits=False)
    async with person.page() as page:
        await page.goto(person.url)
        await start(page, f"{page.url}?lang={language}")
        await filming(page)
        await page.evaluate(AXE.read_text())
        violations = []
        for theme in ("light", "dark"):
            await page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
            violations += [f"{language} {theme}: {line}" for line in await _violations(page)]
            if PICTURES and language in ("en", "ar"):
                await _picture(page, PICTURES / f"check-{language}-{theme}.png")
        button = await page.locator(STOP).bounding_box()
        assert button is not None
        for name in HINT_AND_BAR:
            box = await page.locator(name).first.bounding_box()
            assert box is not None, name
            beside = box["x"] + box["width"] <= button["x"] or box["x"] >= button["x"] + button["width"]
            assert beside or box["y"] >= button["y"] + button["height"], (name, box)
        assert await page.evaluate("document.documentElement.scrollWidth") <= 320
        await stop(page)
        await screen(page, "not_done")
    assert not violations, violations


async def _say(route: Route, says: dict[str, Any] | int) -> None:
    if says == 0:
        await route.abort()
    elif isinstance(says, int):
        busy = '{"error": "busy", "after_seconds": 3}'
        await route.fulfill(status=says, content_type="application/json", body=busy)
    else:
        await route.fulfill(content_type="application/json", body=json.dumps(FACTS | says))


def _saying(says: dict[str, Any] | int) -> Callable[[Route], Awaitable[None]]:
    return lambda route: _say(route, says)


async def _violations(page: Page) -> list[str]:
    result = await page.evaluate(
        "async (tags) => { const found = await axe.run(document, {runOnly: tags}); return [found.passes.length,"
        " found.violations.map((one) => one.id + ' ' + one.nodes.map((node) => node.target.join(' ')).join(', '))]; }",
        RULES,
    )
    assert result[0] > 8, "axe has looked at nothing"
    return list(result[1])


async def _unreached(page: Page) -> list[str]:
    """Press Tab through the screen; return what it has to operate and the keyboard does not reach, or not visibly."""
    await page.evaluate("document.querySelector('h1').focus()")
    wanted = await page.evaluate(f"{CONTROLS}.map((one) => one.innerText || one.tagName)")
    for _ in wanted:
        await page.keyboard.press("Tab")
        await page.evaluate("if (getComputedStyle(document.activeElement).outlineStyle === 'solid')"
                            " document.activeElement.dataset.reached = 'visibly'")  # fmt: skip
    return list(await page.evaluate(f"{CONTROLS}.filter((one) => !one.dataset.reached).map((one) => one.outerHTML)"))


async def _picture(page: Page, path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    await page.screenshot(path=str(path), animations="disabled", full_page=True)
