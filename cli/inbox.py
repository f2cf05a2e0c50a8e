"""``facescan inbox``: what the inbox would do."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import click

from cli.commands import Commands
from cli.output import emit, json_option
from cli.system_file import DEFAULT_DIRECTORY, running_system
from cli.workbench_environment import ENDPOINTS
from services.inbox.explaining import Step, explain_message
from services.inbox.settings import InboxSettings
from shared.errors import ConfigurationError
from shared.settings import PREFIX, load

# The inbox needs it and explaining does not.
_NO_KAFKA = {f"{PREFIX}KAFKA_BOOTSTRAP": "localhost:9092"}


@click.group(cls=Commands)
def inbox() -> None:
    """Ask what the inbox would do."""


@inbox.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dns", metavar="ADDR:PORT", help="The validating resolver to ask, instead of FACESCAN_DNS_RESOLVER.")
@click.option("--offline", is_flag=True, help="Ask no resolver; the signature is not checked.")
@json_option
def explain(file: Path, dns: str | None, *, offline: bool, as_json: bool) -> int:
    """Say what would happen to the message in FILE, step by step, and why.

    Asks as the inbox of the running `facescan up` would, else needs FACESCAN_DOMAIN; reads the inbox's other settings
    too. Nothing is stored or sent.

    \b
    Example:
      facescan inbox explain message.json --offline

    Exit code 0: it would be taken; 1: refused, or undecided now; 2: a setting or the file is wrong.
    """  # noqa: D301 - \b is click's mark for lines that are not to be wrapped
    if dns is not None and offline:
        raise click.UsageError("--dns and --offline exclude each other")
    named = {f"{PREFIX}DNS_RESOLVER": dns} if dns is not None else {}
    settings = load(InboxSettings, {**_NO_KAFKA, **os.environ, **_workbench(), **named})
    try:
        data = file.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{file}: {error.strerror}") from error
    steps = asyncio.run(explain_message(data, settings, offline=offline))
    taken = all(step.ok for step in steps)
    document: dict[str, Any] = {"taken": taken, "steps": [step.document() for step in steps]}
    lines = [_line(step) for step in steps] + ["would be taken" if taken else f"would be refused: {steps[-1].status}"]
    emit(json.loads(json.dumps(document)), "\n".join(lines), as_json=as_json)
    return 0 if taken else 1


def _workbench() -> dict[str, str]:
    """Return the settings of the workbench that runs in this folder, as far as explaining needs them."""
    system = running_system()
    if system is None:
        return {}
    endpoints = DEFAULT_DIRECTORY / ENDPOINTS
    own = {f"{PREFIX}ENDPOINT_MAP": str(endpoints)} if endpoints.is_file() else {}
    return {f"{PREFIX}DOMAIN": system.domain, f"{PREFIX}DNS_RESOLVER": system.dns, **own}


def _line(step: Step) -> str:
    return f"{'ok' if step.ok else 'NO':2}  {step.name:10} {step.detail}"
