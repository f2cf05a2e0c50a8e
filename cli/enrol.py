"""``facescan enrol``: register a person, or many."""

import asyncio
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, TextIO

import click

from cli.bulk_enrolment import enrol_all, read_rows, write_report
from cli.connection import open_aws, store_settings
from cli.enrolment import Enrolled, Enrolment
from cli.output import emit, json_option
from shared.domain_names import domain_name
from shared.locators import new_locator
from shared.stores import Aws, Tables

_PERSON: Final = re.compile(r"[A-Za-z0-9._~-]{1,200}\Z")
_TAG: Final = re.compile(r"[a-z0-9-]{1,40}\Z")
_MOST_CODE: Final = 200
_PROGRESS_EVERY: Final = 50
_LOCATOR: Final = re.compile(r"[A-Za-z0-9._:~-]{1,200}\Z")


def person_option(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    """Return an id of a person as it was given. Raises BadParameter."""
    if value is not None and not _PERSON.match(value):
        raise click.BadParameter("1 to 200 of the characters A-Z a-z 0-9 . _ ~ - are expected")
    return value


def _locator(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str:
    if value is None:
        return new_locator()
    if not _LOCATOR.match(value):
        raise click.BadParameter("1 to 200 of the characters A-Z a-z 0-9 . _ : ~ - are expected")
    return value


def _domain(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    try:
        return None if value is None else domain_name(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _codes(_ctx: click.Context, _param: click.Parameter, value: TextIO | None) -> dict[str, str]:
    if value is None:
        return {}
    try:
        given = json.load(value)
    except ValueError:
        given = None
    if isinstance(given, dict) and all(_TAG.match(tag) and _is_code(code) for tag, code in given.items()):
        return given
    # The codes themselves are not shown.
    raise click.BadParameter('a JSON object is expected: tags of a-z 0-9 - and texts, {"passport": "…"}')


def _is_code(code: object) -> bool:
    return isinstance(code, str) and 0 < len(code) <= _MOST_CODE


@click.command()
@click.option("--person", callback=person_option, help="Your id of the person.")
@click.option(
    "--photo",
    type=click.Path(exists=True, dir_okay=False, readable=True, path_type=Path),
    help="PNG or JPEG with the person's face alone, at most 5 MiB.",
)
@click.option(
    "--codes",
    type=click.File("r", encoding="utf-8"),
    callback=_codes,
    help='JSON of the verified codes that the photo is tagged with, {"passport": "…"}; - reads standard input.',
)
@click.option("--wallet", callback=_domain, help="The domain of the person's wallet.")
@click.option("--wallet-id", help="The person's id at that wallet.")
@click.option("--locator", callback=_locator, help="A locator to issue; a random one when left out.")
@click.option("--days", default=365, show_default=True, type=click.IntRange(1, 36_500), help="How long it is valid.")
@click.option("--bulk", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="A CSV file of persons.")
@click.option(
    "--report", type=click.Path(dir_okay=False, path_type=Path), help="Where --bulk writes what became of each."
)
@json_option
def enrol(
    *,
    person: str | None,
    photo: Path | None,
    wallet: str | None,
    wallet_id: str | None,
    locator: str,
    codes: dict[str, str],
    days: int,
    bulk: Path | None,
    report: Path | None,
    as_json: bool,
) -> None:
    """Register a person's legal photo and wallet, and print a locator; or many persons from a CSV file.

    The photo must show one face that can be compared: straight, sharp, lit, free. It goes to S3, sealed with the
    person's own data key, pinned by version and SHA-256. Codes are sealed too, and come from a file because others see
    a command's arguments. A person who is known gets the new photo and wallet, which the audit trail notes, and codes
    in the place of those of the same tags; locators that were issued before stay valid.

    \b
    Examples:
      facescan enrol --person p-17 --photo passport.jpg --wallet wallet.example --wallet-id w-17
      facescan enrol --bulk persons.csv --report report.csv
    """  # noqa: D301 - \b is click's mark for lines that are not to be wrapped
    if bulk is not None:
        asyncio.run(_enrol_bulk(bulk, report or bulk.with_suffix(".report.csv"), days, as_json=as_json))
        return
    for name, value in (("person", person), ("photo", photo), ("wallet", wallet), ("wallet-id", wallet_id)):
        if value is None:
            raise click.MissingParameter(param_type="option", param_hint=f"'--{name}'")
    assert person and photo and wallet and wallet_id is not None  # noqa: S101, PT018 - for the type checker
    expires_at = datetime.now(UTC) + timedelta(days=days)
    enrolled = asyncio.run(_enrol(person, photo, wallet, wallet_id, locator, expires_at, codes))
    document = {
        "locator": enrolled.locator,
        "person": enrolled.person.person,
        "photo_key": enrolled.person.photo.key,
        "photo_version": enrolled.person.photo.version,
        "photo_sha256": enrolled.person.photo.sha256,
        "expires_at": expires_at.isoformat(timespec="seconds").replace("+00:00", "Z"),
    }
    emit(document, enrolled.locator, as_json=as_json)


async def _enrol(
    person: str, photo: Path, wallet: str, wallet_id: str, locator: str, expires_at: datetime, codes: dict[str, str]
) -> Enrolled:
    settings = store_settings()
    aws = open_aws(settings)
    try:
        return await Enrolment(aws, Tables(aws, settings), settings).enrol(
            person=person,
            photo=await asyncio.to_thread(photo.read_bytes),
            photo_name=str(photo),
            wallet_domain=wallet,
            wallet_id=wallet_id,
            locator=locator,
            expires_at=expires_at,
            codes=codes,
            operator=await operator_of(aws),
        )
    finally:
        aws.close()


async def _enrol_bulk(file: Path, report: Path, days: int, *, as_json: bool) -> None:
    rows = list(read_rows(file))
    settings = store_settings()
    aws = open_aws(settings)

    def progress(done: int) -> None:
        if done % _PROGRESS_EVERY == 0 or done == len(rows):
            click.echo(f"{done} of {len(rows)}", err=True)

    try:
        enrolment = Enrolment(aws, Tables(aws, settings), settings)
        operator = await operator_of(aws)
        outcomes = await enrol_all(enrolment, rows, days=days, operator=operator, progress=progress)
    finally:
        aws.close()
    write_report(report, outcomes)
    counts = {name: sum(one.result == name for one in outcomes) for name in ("enrolled", "refused", "failed")}
    text = ", ".join(f"{count} {name}" for name, count in counts.items())
    emit({**counts, "report": str(report)}, f"{text}; {report} says what became of each", as_json=as_json)
    if counts["enrolled"] < len(outcomes):
        raise click.exceptions.Exit(1)


async def operator_of(aws: Aws) -> str:
    """Return who calls, as AWS has authenticated them."""
    answer = await aws.call("sts.GetCallerIdentity", aws.client("sts").get_caller_identity)
    return str(answer["Arn"])
