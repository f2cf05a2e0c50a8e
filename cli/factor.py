"""``facescan factor``: what a person can be asked besides the face."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, TextIO, TypeVar

import click

from cli.commands import Commands
from cli.connection import open_aws, store_settings
from cli.enrol import operator_of, person_option
from cli.output import emit, json_option
from shared.audit import AuditTrail, Entry
from shared.enrolled_factors import EnrolledFactors
from shared.errors import ConfigurationError
from shared.factors import MOST_ANSWER, QUESTIONS, Factor, enrolment_uri
from shared.person_keys import NoDataKeyError, PersonKeys
from shared.queries import Queries
from shared.stores import Tables

T = TypeVar("T")

_OWNER_ALONE: Final = 0o600


@click.group(cls=Commands)
def factor() -> None:
    """Enrol and remove one-time passwords and security questions of persons who are enrolled."""


@factor.command()
@click.argument("person", callback=person_option)
@click.option("--issuer", default="facescan", show_default=True, help="What the authenticator calls this Identity.")
@click.option(
    "--account", default="identity", show_default=True, help="What it calls the person; a name is not needed."
)
@click.option(
    "--output",
    required=True,
    type=click.Path(dir_okay=False, exists=False, path_type=Path),
    help="A new file for the address that an authenticator reads, otpauth://…; hand it over, then remove it.",
)
@json_option
def code(*, person: str, issuer: str, account: str, output: Path, as_json: bool) -> None:
    """Make a secret for one-time passwords (TOTP), in the place of an earlier one.

    \b
    Example:
      facescan factor code p-17 --issuer id.example --output p-17.txt && qrencode -t UTF8 -r p-17.txt
    """  # noqa: D301 - \b is click's mark for lines that are not to be wrapped
    if output.exists():
        raise ConfigurationError(f"--output: {output} exists already")
    secret = asyncio.run(_with(lambda factors: factors.enrol_code(person), person, Factor.CODE, "enrolled"))
    output.touch(_OWNER_ALONE)
    output.write_text(enrolment_uri(secret, issuer, account) + "\n")
    emit({"person": person, "factor": "code", "output": str(output)}, f"written to {output}", as_json=as_json)


@factor.command()
@click.argument("person", callback=person_option)
@click.option(
    "--question", required=True, type=click.Choice(QUESTIONS), help="Which; the page has it in its languages."
)
@click.option(
    "--answer", required=True, type=click.File("r", encoding="utf-8"), help="A file with the answer; - reads input."
)
@json_option
def question(*, person: str, question: str, answer: TextIO, as_json: bool) -> None:
    """Keep the answer to a security question, in the place of an earlier one.

    \b
    Example:
      facescan factor question p-17 --question first-pet --answer - < answer.txt
    """  # noqa: D301 - as above
    text = answer.read(MOST_ANSWER + 1).strip()
    if len(text) > MOST_ANSWER or not any(sign.isalnum() for sign in text):
        # The answer itself is not shown.
        raise ConfigurationError(f"--answer: 1 to {MOST_ANSWER} signs are expected, a letter or digit among them")
    asyncio.run(
        _with(lambda factors: factors.enrol_question(person, question, text), person, Factor.QUESTION, "enrolled")
    )
    emit({"person": person, "factor": "question", "question": question}, f"enrolled {question}", as_json=as_json)


@factor.command()
@click.argument("person", callback=person_option)
@click.argument("what", type=click.Choice([one.value for one in Factor]))
@json_option
def remove(*, person: str, what: str, as_json: bool) -> None:
    """Forget a factor; the person is asked for more by the scan itself then.

    \b
    Example:
      facescan factor remove p-17 code
    """  # noqa: D301 - as above
    removed = asyncio.run(_with(lambda factors: factors.remove(person, Factor(what)), person, Factor(what), "removed"))
    text = f"removed {what}" if removed else f"there was no {what}"
    emit({"person": person, "factor": what, "removed": removed}, text, as_json=as_json)


async def _with(work: Callable[[EnrolledFactors], Awaitable[T]], person: str, which: Factor, done: str) -> T:
    """Do something with a person's factors and note who did it, never of whom (ADR 22)."""
    settings = store_settings()
    aws = open_aws(settings)
    try:
        tables, queries = Tables(aws, settings), Queries(aws, settings)
        operator = await operator_of(aws)
        result = await work(EnrolledFactors(tables, queries, PersonKeys(aws, tables, settings)))
        entry = Entry(str(uuid.uuid4()), f"factor.{done}", {"operator": operator, "factor": which.value})
        await AuditTrail(tables, queries).append(entry)
    except NoDataKeyError as error:
        raise ConfigurationError(f"{person}: not enrolled; see facescan enrol") from error
    finally:
        aws.close()
    return result
