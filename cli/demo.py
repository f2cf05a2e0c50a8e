"""``facescan demo``: six verifications at once."""

import asyncio
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from cli.demo_browser import run_in_browser
from cli.demo_report import result_json, result_table, step_line
from cli.demo_run import Demo, DemoSystem
from cli.demo_system import (
    BROWSER_SECONDS,
    FROM_ENVIRONMENT,
    VERIFICATION_SECONDS,
    from_environment,
    from_file,
    of_its_own,
)
from cli.interruption import Interruptible
from cli.output import emit, json_option
from shared.errors import UnavailableError
from shared.liveness_settings import PROVIDERS

if TYPE_CHECKING:
    from cli.demo_cases import Seen
    from cli.timeline import Step

_INTERRUPTED: Final = 130
_LONG_SECONDS: Final = 30.0
_LONG_WAIT: Final = (
    "the demo waits {:.0f} s for the person who never comes, because the services do; "
    "FACESCAN_VERIFICATION_SECONDS=6 makes that short"
)


@click.command()
@click.option(
    "--dir",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the logs and the world; a passing one when left out.",
)
@click.option(
    "--system",
    metavar="FILE|env",
    help="Use the running workbench of this system.json, or what the environment names, and start none.",
)
@click.option(
    "--browser", "in_browser", is_flag=True, help="Instead one verification by a real Chromium before a fake camera."
)
@click.option(
    "--provider",
    type=click.Choice(PROVIDERS),
    help="The liveness provider of the system that is started; rekognition when left out.",
)
@json_option
def demo(*, directory: Path | None, system: str | None, in_browser: bool, provider: str | None, as_json: bool) -> int:
    """Run six verifications at once, show every step live, and check what came of them.

    A success, a wrong person, a spoof, a person who never comes, a forged request, a request delivered three times.
    Starts and stops all that it needs. Exit code 0 only if all six went as they must.

    With --system env, nothing is started: FACESCAN_KAFKA_BOOTSTRAP, FACESCAN_DEMO_INBOX (URL), FACESCAN_DEMO_PEERS
    (base URL), FACESCAN_DOMAIN, AWS_ENDPOINT_URL (and AWS_ENDPOINT_URL_DYNAMODB) say where everything is, and
    FACESCAN_VERIFICATION_SECONDS how long the services wait for a person.

    \b
    Examples:
      facescan demo
      facescan demo --system .facescan/system.json --json
      facescan demo --browser
      facescan demo --provider azure
    """  # noqa: D301 - \b is click's mark for lines that are not to be wrapped
    if provider is not None and (system is not None or in_browser):
        raise click.UsageError("--provider is for a system that is started, and not for --browser")
    began = time.monotonic()
    cases: list[Seen] | None = None
    with Interruptible() as interrupted, ExitStack() as open_parts:
        try:
            where = _system(directory, system, open_parts, quiet=as_json, in_browser=in_browser, provider=provider)
            if in_browser:
                run_in_browser(where)
                return 0
            if where.verification_seconds > _LONG_SECONDS and not in_browser:
                click.echo(_LONG_WAIT.format(where.verification_seconds), err=True)
            cases = asyncio.run(Demo(where, _no_step if as_json else _print_step).run())
            where.aws.close()
        finally:
            interrupted.ignore()
    if cases is None:
        return _INTERRUPTED
    seconds = time.monotonic() - began
    deviations = [line for seen in cases for line in seen.deviations()]
    emit(result_json(cases, seconds), f"\n{result_table(cases)}\n", as_json=as_json)
    if deviations:
        raise UnavailableError("; ".join(deviations))
    if not as_json:
        click.echo(f"all {len(cases)} as they must be; {seconds:.1f} s with start and stop")
    return 0


def _system(
    directory: Path | None,
    system: str | None,
    open_parts: ExitStack,
    *,
    quiet: bool,
    in_browser: bool,
    provider: str | None,
) -> DemoSystem:
    if system == FROM_ENVIRONMENT:
        return from_environment()
    if system is not None:
        return from_file(Path(system), open_parts)
    seconds = BROWSER_SECONDS if in_browser else VERIFICATION_SECONDS
    return of_its_own(directory, _no_line if quiet else click.echo, open_parts, seconds, provider)


def _print_step(case: str, step: "Step", since_start_seconds: float, since_before_seconds: float) -> None:
    click.echo(step_line(case, step, since_start_seconds, since_before_seconds))


def _no_step(_case: str, _step: "Step", _since_start: float, _since_before: float) -> None:
    """Show nothing: one JSON document comes at the end."""


def _no_line(_line: str) -> None:
    """Report nothing, likewise."""
