"""``facescan run``: one service as this process."""

import importlib
from typing import Final

import click
import uvloop

from cli.commands import Failed, exit_code_of, first_of_ours
from cli.output import json_option
from shared.settings import Settings, load
from shared.telemetry import set_up_logs

SERVICES: Final = ("inbox", "session", "verdict", "async_post")
# What runs beside them where somebody wants it.
OPTIONAL: Final = ("gateway",)
ALL: Final = (*SERVICES, *OPTIONAL)


def _service_name(_ctx: click.Context, _param: click.Parameter, value: str) -> str:
    """Return the module's name of a service; ``async-post`` means ``async_post``."""
    name = value.replace("-", "_")
    if name not in ALL:
        raise click.BadParameter(f"{value!r} is no service; there are {', '.join(ALL)}")
    return name


@click.command()
@click.argument("service", callback=_service_name)
@json_option
def run(service: str, as_json: bool) -> None:  # its logs are JSON anyway
    """Run SERVICE (inbox, session, verdict, async_post; gateway, which is optional) until SIGTERM or SIGINT.

    It is configured by the environment alone: see docs/settings.md. Logs go to standard error, as JSON.

    \b
    Example:
      FACESCAN_DOMAIN=id.example FACESCAN_KAFKA_BOOTSTRAP=kafka:9092 AWS_REGION=eu-west-1 facescan run inbox

    Exit code 2: a setting must be changed; 1: Kafka or a store did not answer.
    """  # noqa: D301 - \b is click's mark for lines that are not to be wrapped
    try:
        run_service(service)
    except Exception as error:
        ours = first_of_ours(error)
        if ours is None:
            raise
        raise Failed(f"facescan run {service}", str(ours), exit_code_of(ours)) from error


def run_service(name: str) -> None:
    """Load, configure and run a service. Raises ConfigurationError or UnavailableError, alone or in a group."""
    application = importlib.import_module(f"services.{name}.app")
    settings: Settings = load(application.SETTINGS)
    set_up_logs(name, settings.log_level)
    uvloop.run(application.build(settings).run())
