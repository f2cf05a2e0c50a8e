"""Every screen in both themes and every language: axe finds no violation of WCAG 2.2 AA, and a phone is wide enough.

PAGE_FULL=1 looks at all of them; otherwise English in both themes, Arabic in one, of the others the longest.
PAGE_SCREENSHOTS=1 writes docs/screens.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route

from tests.e2e.scan_page_fixtures import browser, person, playwright
from tests.e2e.scanning import Person, filming, screen, start
from tests.support.service_process import ROOT

__all__ = ["browser", "person", "playwright"]

AXE = ROOT / "services/session/frontend/node_modules/axe-core/axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
LANGUAGES = ("en", "de", "es", "fr", "pt", "ar")
HINT_AND_BAR = (".amplify-liveness-toast", ".amplify-liveness-match-indicator__bar")
STOP = "button[aria-label='Stop the check']"
FULL = os.environ.get("PAGE_FULL") == "1"
PICTURES = ROOT / "docs/screens" if os.environ.get("PAGE_SCREENSHOTS") == "1" else None
CAMERA = "navigator.mediaDevices.getUserMedia = () => "
FACTS = {
    "screen": "start", "attempt": 0, "tries_left": 3, "seconds_left": 500, "requester": "shop.example",
    "purpose": "to open an account", "lights_optional": True, "films": True, "consent_version": "1", "form_token": "f",
}  # fmt: skip

# What the service would say, and what the person does, for each screen.
Steps = Callable[[Page], Any]


def _ready(page: Page) -> None:
    screen(page, "welcome")
    page.click("button.primary")


def _begin(page: Page) -> None:
    _ready(page)
    screen(page, "ready")
    page.click("button.primary")


def _camera(error: str) -> Steps:
    def steps(page: Page) -> None:
        page.evaluate(f"() => {{ {CAMERA}Promise.reject(new DOMException('', '{error}')) }}")
        _begin(page)

    return steps


def _never(page: Page) -> None:
    page.evaluate(f"() => {{ {CAMERA}new Promise(() => undefined) }}")
    _begin(page)


def _in_line(page: Page) -> None:
    early = '{"wait_seconds": 38, "ask_again_seconds": 38}'
    page.route("**/attempt", lambda route: route.fulfill(status=202, content_type="application/json", body=early))
    _begin(page)


def _leaving(page: Page) -> None:
    # An attempt of its own: this tab would take the next screen's for one that it has begun.
    away = json.dumps({"attempt": 9, "seconds": 160, "redirect": "/elsewhere"})
    page.route("**/attempt", lambda route: route.fulfill(content_type="application/json", body=away))
    page.route("**/elsewhere", lambda route: route.fulfill(status=204))  # the browser stays where it is
    _begin(page)


def _decline(page: Page) -> None:
    screen(page, "welcome")
    page.click("button.secondary")


def _nothing(_page: Page) -> None:
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
def test_no_screen_breaks_wcag_or_is_wider_than_a_phone(person: Person, browser: Browser, language: str) -> None:
    axe = AXE.read_text()
    both = FULL or language == "en"
    themes = ["light", "dark"] if both else [["light", "dark"][LANGUAGES.index(language) % 2]]
    found = []
    with person.page(browser) as page:
        page.goto(person.url)
        screen(page, "welcome")
        address = f"{page.url}?lang={language}"
        for name in SCREENS if FULL or language in ("en", "ar") else ("welcome", "ready", "camera_busy"):
            says, steps = SCREENS[name]
            page.unroute_all()
            page.route("**/state", _saying(says))
            page.route("**/declined", _saying({}))
            page.goto(address)
            steps(page)
            screen(page, name)
            page.evaluate(axe)
            for theme in themes:
                page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
                found += [f"{language} {theme} {name}: {line}" for line in _violations(page)]
                if PICTURES and (language in ("en", "ar") and (theme == "light" or name == "ready")):
                    _picture(page, PICTURES / f"{name}-{language}-{theme}.png")
            assert page.evaluate("document.documentElement.scrollWidth") <= 320, (language, name)
            assert page.evaluate("[document.documentElement.lang, document.title.length > 0]") == [language, True]
    person.problems = [line for line in person.problems if "Failed to load resource" not in line]  # 503 and 403 above
    assert not found, found


def test_the_check_itself_breaks_no_rule_either(person: Person, browser: Browser) -> None:
    """The component is not ours; what it shows on our page is. Its hint is not under its button at 320 px either."""
    person.before_camera(fits=False)
    with person.page(browser) as page:
        start(page, person.url)
        filming(page)
        page.evaluate(AXE.read_text())
        violations = _violations(page)
        button = page.locator(STOP).bounding_box()
        assert button is not None
        for name in HINT_AND_BAR:
            box = page.locator(name).first.bounding_box()
            assert box is not None, name
            assert box["y"] >= button["y"] + button["height"] or box["x"] + box["width"] <= button["x"], (name, box)
        if PICTURES:
            _picture(page, PICTURES / "check-en-light.png")
        page.click("button[aria-label='Stop the check']")
        screen(page, "not_done")
    assert not violations, violations


def _say(route: Route, says: dict[str, Any] | int) -> None:
    if says == 0:
        route.abort()
    elif isinstance(says, int):
        route.fulfill(status=says, content_type="application/json", body='{"error": "busy", "after_seconds": 3}')
    else:
        route.fulfill(content_type="application/json", body=json.dumps(FACTS | says))


def _saying(says: dict[str, Any] | int) -> Callable[[Route], None]:
    return lambda route: _say(route, says)


def _violations(page: Page) -> list[str]:
    result = page.evaluate(
        "async (tags) => { const found = await axe.run(document, {runOnly: tags}); return [found.passes.length,"
        " found.violations.map((one) => one.id + ' ' + one.nodes.map((node) => node.target.join(' ')).join(', '))]; }",
        RULES,
    )
    assert result[0] > 8, "axe has looked at nothing"
    return list(result[1])


def _picture(page: Page, path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    page.screenshot(path=str(path), animations="disabled")
