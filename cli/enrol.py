"""``facescan enrol``: register a person."""

import asyncio
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, TextIO

import click

from cli.connection import open_aws, store_settings
from cli.enrolment import Enrolled, Enrolment
from cli.output import emit, json_option
from shared.domain_names import domain_name
from shared.locators import new_locator
from shared.stores import Tables

_PERSON: Final = re.compile(r"[A-Za-z0-9._~-]{1,200}\Z")
_TAG: Final = re.compile(r"[a-z0-9-]{1,40}\Z")
_MOST_CODE: Final = 200
_LOCATOR: Final = re.compile(r"[A-Za-z0-9._:~-]{1,200}\Z")


def _person(_ctx: click.Context, _param: click.Parameter, value: str) -> str:
    if not _PERSON.match(value):
        raise click.BadParameter("1 to 200 of the characters A-Z a-z 0-9 . _ ~ - are expected")
    return value


def _locator(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str:
    if value is None:
        return new_locator()
    if not _LOCATOR.match(value):
        raise click.BadParameter("1 to 200 of the characters A-Z a-z 0-9 . _ : ~ - are expected")
    return value


def _domain(_ctx: click.Context, _param: click.Parameter, value: str) -> str:
    try:
        return domain_name(value)
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
@click.option("--person", required=True, callback=_person, help="Your id of the person.")
@click.option(
    "--photo",
    required=True,
    type=click.Path(exists=True, dir_okay=False, readable=True, path_type=Path),
    help="PNG or JPEG with the person's face alone, at most 5 MiB.",
)
@click.option(
    "--codes",
    type=click.File("r", encoding="utf-8"),
    callback=_codes,
    help='JSON of the verified codes that the photo is tagged with, {"passport": "…"}; - reads standard input.',
)
@click.option("--wallet", required=True, callback=_domain, help="The domain of the person's wallet.")
@click.option("--wallet-id", required=True, help="The person's id at that wallet.")
@click.option("--locator", callback=_locator, help="A locator to issue; a random one when left out.")
@click.option("--days", default=365, show_default=True, type=click.IntRange(1, 36_500), help="How long it is valid.")
@json_option
def enrol(
    *,
    person: str,
    photo: Path,
    codes: dict[str, str],
    wallet: str,
    wallet_id: str,
    locator: str,
    days: int,
    as_json: bool,
) -> None:
    """Register a person's legal photo and wallet, and print a locator.

    The photo goes to S3, sealed with the person's own data key, pinned by version and SHA-256. Codes are sealed too,
    and come from a file because others see a command's arguments. A person who is known gets the new photo and wallet,
    and codes in the place of those of the same tags; locators that were issued before stay valid.

    \b
    Example:
      facescan enrol --person p-17 --photo passport.jpg --wallet wallet.example --wallet-id w-17
    """  # noqa: D301 - \b is click's mark for lines that are not to be wrapped
    expires_at = datetime.now(UTC) + timedelta(days=days)
    enrolled = asyncio.run(_enrol(person, photo, codes, wallet, wallet_id, locator, expires_at))
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
    person: str, photo: Path, codes: dict[str, str], wallet: str, wallet_id: str, locator: str, expires_at: datetime
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
        )
    finally:
        aws.close()
