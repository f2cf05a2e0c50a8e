"""``facescan retention``: remove what has had its time."""

import asyncio

import click

from cli.commands import Commands
from cli.connection import open_aws
from cli.output import emit, json_option, table
from cli.persons import persons
from shared.deleter import Deleter
from shared.retention import RetentionSettings
from shared.settings import load
from shared.stores import Tables


@click.group(cls=Commands)
def retention() -> None:
    """Remove what has had its time; the verdict service does so by itself, regularly."""


@retention.command()
@json_option
def run(as_json: bool) -> None:
    """Look over all stores once and remove what has had its time, as the settings say.

    \b
    Example:
      FACESCAN_KEEP_PERSON_DAYS=7 facescan retention run
    """  # noqa: D301 - \b is click's mark for lines that are not to be wrapped
    settings = load(RetentionSettings)
    aws = open_aws(settings)
    try:
        parts = persons(aws, settings)
        removed = asyncio.run(Deleter(aws, Tables(aws, settings), parts.erasure, parts.trail, settings).run())
    finally:
        aws.close()
    rows = [(name, str(count)) for name, count in sorted(removed.items())]
    emit({"removed": removed}, "\n".join(table([("what", "removed"), *rows], right=frozenset((1,)))), as_json=as_json)
