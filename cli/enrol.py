"""``facescan enrol``: register a person."""

import asyncio
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import click

from cli.connection import open_aws, store_settings
from cli.enrolment import Enrolled, Enrolment
from cli.output import emit, json_option
from shared.domain_names import domain_name
from shared.locators import new_locator
from shared.stores import Tables

_PERSON: Final = re.compile(r"[A-Za-z0-9._~-]{1,200}\Z")
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


@click.command()
@click.option("--person", required=True, callback=_person, help="Your id of the person.")
@click.option(
    "--photo",
    required=True,
    type=click.Path(exists=True, dir_okay=False, readable=True, path_type=Path),
    help="PNG or JPEG with the person's face alone, at most 5 MiB.",
)
@click.option("--wallet", required=True, callback=_domain, help="The domain of the person's wallet.")
@click.option("--wallet-id", required=True, help="The person's id at that wallet.")
@click.option("--locator", callback=_locator, help="A locator to issue; a random one when left out.")
@click.option("--days", default=365, show_default=True, type=click.IntRange(1, 36_500), help="How long it is valid.")
@json_option
def enrol(*, person: str, photo: Path, wallet: str, wallet_id: str, locator: str, days: int, as_json: bool) -> None:
    """Register a person's legal photo and wallet, and print a locator.

    The photo goes to S3, pinned by version and SHA-256. A person who is known gets the new photo and wallet; locators
    that were issued before stay valid.

    \b
    Example:
      facescan enrol --person p-17 --photo passport.jpg --wallet wallet.example --wallet-id w-17
    """  # noqa: D301 - \b is click's mark for lines that are not to be wrapped
    expires_at = datetime.now(UTC) + timedelta(days=days)
    enrolled = asyncio.run(_enrol(person, photo, wallet, wallet_id, locator, expires_at))
    document = {
        "locator": enrolled.locator,
        "person": enrolled.person.person,
        "photo_key": enrolled.person.photo.key,
        "photo_version": enrolled.person.photo.version,
        "photo_sha256": enrolled.person.photo.sha256,
        "expires_at": expires_at.isoformat(timespec="seconds").replace("+00:00", "Z"),
    }
    emit(document, enrolled.locator, as_json=as_json)


async def _enrol(person: str, photo: Path, wallet: str, wallet_id: str, locator: str, expires_at: datetime) -> Enrolled:
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
        )
    finally:
        aws.close()
