"""``facescan watch``: what happens, live."""

import asyncio
import json
from datetime import datetime

import click

from cli.connection import kafka_settings
from cli.interruption import Interruptible
from cli.output import json_option
from cli.timeline import Step, following, in_order
from shared.kafka_security import security_options
from shared.settings import KafkaSettings


@click.command()
@click.argument("verification_id", required=False)
@click.option("--from-start", is_flag=True, help="Begin with the oldest events that the topics still have.")
@click.option("--kafka", metavar="HOST:PORT", help="The broker, when no workbench runs in this folder.")
@json_option
def watch(verification_id: str | None, from_start: bool, kafka: str | None, as_json: bool) -> None:
    """Show each step of every verification, or of VERIFICATION_ID, until interrupted.

    Reads the topics without a group, so it takes nothing from anybody. Never shows the body of a message or an address
    with a token. With --json, one JSON object a line.

    \b
    Examples:
      facescan watch
      facescan watch --from-start --json | jq 'select(.step == "verdict.reached")'
    """  # noqa: D301 - \b is click's mark for lines that are not to be wrapped
    with Interruptible():
        asyncio.run(_watch(kafka_settings(kafka), verification_id, from_start=from_start, as_json=as_json))


async def _watch(settings: KafkaSettings, verification_id: str | None, *, from_start: bool, as_json: bool) -> None:
    before: dict[str, float] = {}
    security = security_options(settings)
    async with following(settings.kafka_bootstrap, from_start=from_start, security=security) as steps:
        async for step in in_order(steps) if from_start else steps:
            if verification_id and step.verification_id != verification_id.lower():
                continue
            since = step.at - before.setdefault(step.verification_id, step.at)
            before[step.verification_id] = step.at
            click.echo(json.dumps(step.as_json(), ensure_ascii=False) if as_json else line(step, since))


def line(step: Step, since_seconds: float) -> str:
    """Return a step as text: local time, verification, milliseconds since its step before, what it was."""
    clock = datetime.fromtimestamp(step.at).astimezone().strftime("%H:%M:%S.%f")[:-3]
    to = f" → {step.to}" if step.to else ""
    return (
        f"{clock}  {step.verification_id or '-':36}  {since_seconds * 1000:+7.0f} ms  {step.step:22} {step.detail}{to}"
    )
