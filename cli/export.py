"""``facescan export``: a person's own copy of what is held."""

import asyncio
import json
import os
import uuid
from pathlib import Path
from typing import Any

import click

from cli.connection import open_aws, store_settings
from cli.output import emit, json_option
from cli.persons import Persons, person_id, persons
from shared.audit import Entry
from shared.errors import ConfigurationError


@click.command()
@click.argument("person", callback=person_id)
@click.option(
    "--output", required=True, type=click.Path(dir_okay=False, path_type=Path),
    help="A new file, which this user alone can read; - is standard output.",
)  # fmt: skip
@json_option
def export(person: str, output: Path, as_json: bool) -> None:
    """Write everything that is held of PERSON as JSON: records, pictures and codes opened, audit lines.

    It is what the person may ask for (GDPR Article 15), and as private as a thing can be. That it was written is noted
    in the audit trail, without the person's name.

    \b
    Example:
      facescan export p-17 --output p-17.json
    """  # noqa: D301 - \b is click's mark for lines that are not to be wrapped
    settings = store_settings()
    aws = open_aws(settings)
    try:
        document = asyncio.run(_gather(persons(aws, settings), person))
    finally:
        aws.close()
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    if str(output) == "-":
        click.echo(text, nl=False)
        return
    _write(output, text)
    counts = {name: len(items) for name, items in document["tables"].items()} | {"pictures": len(document["pictures"])}
    emit({"output": str(output), "counts": counts}, f"{output}: {sum(counts.values())} things", as_json=as_json)


async def _gather(parts: Persons, person: str) -> dict[str, Any]:
    document = await parts.export.gather(person)
    if document is None:
        raise ConfigurationError(f"PERSON: nothing is held of {person!r}")
    await parts.trail.append(Entry(str(uuid.uuid4()), "person.exported", {"pictures": len(document["pictures"])}))
    return document


def _write(output: Path, text: str) -> None:
    try:
        with os.fdopen(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise ConfigurationError(f"--output: {output} is there already") from None
    except OSError as error:
        raise ConfigurationError(f"--output: {output}: {error.strerror}") from error
