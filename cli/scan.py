"""``facescan scan``: a person tries the running system with their own browser and camera."""

import asyncio
import os
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import click

from cli.demo_browser import ask_for_person, stand_before_cameras
from cli.demo_run import DemoSystem
from cli.demo_system import FROM_ENVIRONMENT, from_environment, from_file
from cli.output import emit, json_option
from cli.peers import SHOP, Peers
from cli.system_file import DEFAULT_DIRECTORY, FILE_NAME, read_system
from shared.errors import UnavailableError

_PERSON = "you"


@click.command()
@click.option(
    "--system",
    "file",
    default=DEFAULT_DIRECTORY / FILE_NAME,
    show_default=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The system.json of the running `facescan up`; env: what the environment names (docker compose).",
)
@json_option
def scan(file: Path, as_json: bool) -> None:
    """Be verified by your own camera: print the scan page's address and wait for the signed answer.

    The provider is the stand-in, which recognises nobody: it believes that you are who is enrolled. Your video stays on
    this machine. The page needs its program: `make page`.

    With --system env, nothing is started: what `facescan demo --system env` needs must be set. FACESCAN_DEMO_SCAN (the
    page's origin) and FACESCAN_DEMO_STREAMING (the stand-in's wss URL) say how your browser reaches them.

    \b
    Example, while `facescan up` runs in another terminal:
      facescan scan
    """  # noqa: D301 - \b is click's mark for lines that are not to be wrapped
    with ExitStack() as open_parts:
        if str(file) == FROM_ENVIRONMENT:
            where, streaming = from_environment(), os.environ.get("FACESCAN_DEMO_STREAMING", "")
        else:
            where, streaming = from_file(file, open_parts), read_system(file).streaming
        open_parts.callback(where.aws.close)
        result = asyncio.run(_scan(where, streaming, os.environ.get("FACESCAN_DEMO_SCAN", "")))
    if result is None:
        raise UnavailableError(f"{SHOP} got no answer in {where.verification_seconds:.0f} s")
    emit({"result": result}, f"{SHOP} got the signed answer {result}", as_json=as_json)


async def _scan(where: DemoSystem, streaming: str, origin: str) -> str | None:
    """``origin``: how this machine's browser reaches the page, where the wallet's address is another."""
    stand_before_cameras(where, _PERSON)
    async with Peers(where.peers) as peers:
        correlation, url = await ask_for_person(where, peers, _PERSON)
        if streaming:
            accept = streaming.replace("wss:", "https:")
            click.echo(f"Once, so that your browser takes the stand-in's certificate, open {accept}/", err=True)
        click.echo(f"Open {origin + urlsplit(url).path if origin else url}", err=True)
        answer = await peers.answer(SHOP, correlation, where.verification_seconds + 30)
    return str(answer["body"]["Result"]) if answer else None
