"""Fixtures of the tests of the scan page's program: a browser with a camera, and somebody who was asked for."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Playwright, sync_playwright

from tests.e2e.conftest import Running
from tests.e2e.scanning import Person, asked, launch


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="module")
def browser(playwright: Playwright, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    started = launch(playwright, tmp_path_factory.mktemp("film"))
    yield started
    started.close()


@pytest.fixture
def person(browser: Browser, page_system: Running) -> Iterator[Person]:
    """Somebody asked for; fails the test for errors, broken policies and requests to other hosts."""
    one = asked(page_system)
    yield one
    assert not one.problems, one.problems
