"""``facescan up``: the embedded system in the foreground."""

import re
from pathlib import Path
from typing import Final

import click

from cli.interruption import Interruptible
from cli.output import json_option
from cli.run import ALL, SERVICES
from cli.settings_known import known_variables
from cli.system_file import DEFAULT_DIRECTORY, FILE_NAME
from cli.workbench import Workbench
from shared.errors import UnavailableError

_VARIABLE: Final = re.compile(r"[A-Z][A-Z0-9_]*\Z")


def _assignments(_ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """Return variables of the environment from ``NAME=VALUE`` each."""
    variables = {}
    for value in values:
        name, equals, text = value.partition("=")
        if not equals or not _VARIABLE.match(name):
            raise click.BadParameter(f"{value!r} is not of the form NAME=VALUE")
        if name.startswith("FACESCAN_") and name not in known_variables():
            raise click.BadParameter(f"there is no setting {name}; docs/settings.md lists them")
        variables[name] = text
    return variables


set_option = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=VALUE",
    callback=_assignments,
    help="A variable for the services, for example FACESCAN_VERIFICATION_SECONDS=30; may be repeated.",
)


@click.command()
@click.option(
    "--dir",
    "directory",
    default=DEFAULT_DIRECTORY,
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of system.json, the logs and the world.",
)
@click.option("--kafka", metavar="HOST:PORT", help="Use this broker instead of the embedded one.")
@click.option("--aws", metavar="URL", help="Use this endpoint for every AWS service instead of the emulated one.")
@click.option("--gateway", is_flag=True, help="Run the gateway too: ask over HTTP, be told by webhooks.")
@set_option
@click.option(
    "--playground/--no-playground",
    default=None,
    help="Whether to serve the playground, a page to try it in; yes, unless --aws or --json is given.",
)
@json_option
def up(
    *,
    directory: Path,
    kafka: str | None,
    aws: str | None,
    settings: dict[str, str],
    gateway: bool,
    playground: bool | None,
    as_json: bool,
) -> None:
    """Run the whole system on this machine until interrupted.

    Starts an embedded Kafka broker, an emulated AWS, a resolver for the emulated internet and the four services, and
    writes system.json once all are ready. A service that dies is started again. Then it prints the address of the
    playground: a page to be verified on, with everything that happens beside it.

    \b
    Examples:
      facescan up
      facescan up --kafka localhost:9092 --set FACESCAN_VERIFICATION_SECONDS=30
    """  # noqa: D301 - \b is click's mark for lines that are not to be wrapped
    if playground and aws:
        raise click.UsageError("--playground orders about the emulated AWS's camera: it cannot be used with --aws")
    report = (lambda _: None) if as_json else click.echo
    wanted = not (aws or as_json) if playground is None else playground
    workbench = Workbench(
        directory,
        kafka=kafka,
        aws=aws,
        settings=settings,
        services=ALL if gateway else SERVICES,
        playground=wanted,
        report=report,
    )
    why = None
    with Interruptible() as interrupted:
        try:
            workbench.start()
            path = workbench.directory / FILE_NAME
            click.echo(path.read_text().replace("\n", " ") if as_json else f"ready: {path}")
            if wanted:
                report(f"playground: {workbench.start_playground()}")
            why = workbench.wait_for_failure()
        finally:
            interrupted.ignore()
            workbench.stop()
    if why:
        raise UnavailableError(why)
