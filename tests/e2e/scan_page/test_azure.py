"""The real page with a provider that films on a page of its own: there, back, and the same screens and answers."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.async_api import Page, async_playwright

from tests.e2e.conftest import Running, start_system
from tests.e2e.scanning import Person, agree, asked, launched, screen
from tests.unit.emulators.clients import side_door


@pytest.fixture(scope="module")
def azure_system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Rekognition, and Azure for those whom shop.example asks for, for whom one session is created every 4 s."""
    settings = {
        "FACESCAN_VERIFICATION_SECONDS": "90",
        "FACESCAN_LIVENESS_PROVIDER_BY_REQUESTER": "shop.example=azure",
        "FACESCAN_AZURE_SESSIONS_PER_SECOND": "0.25",
    }
    with ExitStack() as open_parts:
        yield start_system(tmp_path_factory.mktemp("azure"), open_parts, kafka=None, settings=settings)


async def _film(page: Page, person: Person) -> None:
    """On the hosted page: stand before its camera and press its button."""
    azure = person.running.workbench.system.azure
    await page.wait_for_url(f"{azure}/?s=*", timeout=40_000)
    (link,) = parse_qs(urlsplit(page.url).query)["s"]
    assert side_door(azure, "camera", {"link": link, "person": person.name})[0] == 200
    await page.click("#film button")


async def test_the_browser_is_taken_to_the_provider_s_page_and_back_and_whoever_is_second_waits_in_line(
    azure_system: Running, tmp_path: Path
) -> None:
    async with async_playwright() as playwright, launched(playwright, tmp_path) as browsers:
        first, second = await asyncio.gather(asked(azure_system, browsers), asked(azure_system, browsers))
        async with first.page() as page, second.page() as other:
            for one, person in ((page, first), (other, second)):
                await agree(one, person.url)
                assert not await one.is_visible("input[type=checkbox]"), "this provider leaves no choice"
            await page.click("button.primary")
            await other.click("button.primary")
            await screen(other, "in_line")
            assert "seconds" in await other.inner_text("main")
            for one, person in ((page, first), (other, second)):
                await _film(one, person)
                await screen(one, "done")
                assert one.url.startswith(azure_system.workbench.system.session)
        assert [await first.answer(), await second.answer()] == ["SUCCESS", "SUCCESS"]
    # To the provider's page the browser goes as a person would, and nowhere else.
    azure = azure_system.workbench.system.azure
    others = [line for line in first.problems + second.problems if not line.startswith(f"a request to {azure}/")]
    assert not others
