"""One verification by a real browser: before a fake camera for the demo, before yours for ``facescan scan``."""

import asyncio
import json
import os
import shutil
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.request import Request, urlopen
from uuid import uuid4

import click

from cli.demo_run import DemoSystem
from cli.enrolment import Enrolment
from cli.peers import SHOP, WALLET, Peers
from emulators.camera_film import write_film
from emulators.pictures import make_picture
from shared.errors import ConfigurationError, UnavailableError
from shared.locators import new_locator
from shared.stores import Tables

_FLAGS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
)
_POPUP_SECONDS: Final = 15.0
_SCREEN_MILLISECONDS: Final = 30_000


async def ask_for_person(system: DemoSystem, peers: Peers, person: str) -> tuple[str, str]:
    """Enrol ``person``, let the sample domain ask, and return its Correlation and the page's address."""
    wallet_id, correlation = f"{person}-{uuid4().hex[:8]}", str(uuid4())
    enrolled = await Enrolment(system.aws, Tables(system.aws, system.stores), system.stores).enrol(
        person=person,
        photo=make_picture(person),
        photo_name=f"the picture of {person}",
        wallet_domain=WALLET,
        wallet_id=wallet_id,
        locator=new_locator(),
        expires_at=datetime.now(UTC) + timedelta(hours=1),
    )
    order = {"inbox": system.inbox, "to": system.domain, "correlation": correlation, "locator": enrolled.locator}
    await peers.ask(SHOP, order | {"purpose": "the demo"})
    async with asyncio.timeout(_POPUP_SECONDS):
        while True:
            for popup in await peers.popups(WALLET):
                if popup["wallet"] == wallet_id and popup["url"]:
                    return correlation, str(popup["url"])
            await asyncio.sleep(0.1)


async def verify_by_browser(system: DemoSystem) -> str:
    """Let a real Chromium go through the page; return the Result. Raises ConfigurationError, UnavailableError."""
    person = "demo-browser"
    stand_before_cameras(system, person)
    async with Peers(system.peers) as peers:
        correlation, url = await ask_for_person(system, peers, person)
        click.echo(f"the wallet opens {url.rpartition('/')[0]}/…")
        await _go_through(url)
        answer = await peers.answer(SHOP, correlation, _POPUP_SECONDS)
    if answer is None:
        raise UnavailableError(f"{SHOP} got no answer")
    return str(answer["body"]["Result"])


def stand_before_cameras(system: DemoSystem, person: str) -> None:
    """Tell the stand-in who is before every camera: it recognises nobody."""
    order: dict[str, Any] = {"person": person, "confidence": 97.0}
    aws_url = str(system.aws.client("rekognition").meta.endpoint_url).rstrip("/")
    request = Request(f"{aws_url}/_emulator/stage", json.dumps(order).encode())  # noqa: S310 - the emulator's own URL
    with urlopen(request, timeout=10):  # noqa: S310 - likewise
        return


async def _go_through(url: str) -> None:
    try:
        from playwright.async_api import Error, async_playwright  # noqa: PLC0415 - for development, not in the image
    except ImportError as error:
        raise ConfigurationError("--browser needs the package playwright: make setup installs it") from error
    executable = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if executable is None:
        raise ConfigurationError("--browser needs Chromium: install it, or name one in CHROMIUM")
    with tempfile.TemporaryDirectory(prefix="facescan-film-") as folder:
        film = Path(folder, "camera.y4m")
        write_film(film)
        flags = [*_FLAGS, f"--use-file-for-fake-video-capture={film}"]
        try:
            async with async_playwright() as playwright:
                browser = await playwright.chromium.launch(executable_path=executable, args=flags)
                page = await (await browser.new_context(ignore_https_errors=True, locale="en-GB")).new_page()
                page.set_default_timeout(_SCREEN_MILLISECONDS)
                await page.goto(url)
                for name in ("welcome", "ready"):
                    await page.wait_for_selector(f'[data-screen="{name}"]')
                    click.echo(f"screen: {name}")
                    await page.click("button.primary")
                await page.wait_for_selector(".liveness-detector video")
                click.echo("screen: check, the video streams")
                await page.wait_for_selector('[data-screen="done"]')
                click.echo("screen: done")
                await browser.close()
        except Error as error:
            raise UnavailableError(f"the browser: {error.message.splitlines()[0]}") from error


def run_in_browser(system: DemoSystem) -> None:
    """The whole of ``facescan demo --browser``. Raises UnavailableError when it is no success."""
    try:
        result = asyncio.run(verify_by_browser(system))
    finally:
        system.aws.close()
    click.echo(f"{SHOP} got the signed answer {result}")
    if result != "SUCCESS":
        raise UnavailableError(f"SUCCESS was expected, {result} came")
