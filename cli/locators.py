"""``facescan locators``: issue, list and revoke the keys that lead to persons."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Final

import click

from cli.commands import Commands
from cli.connection import open_aws, store_settings
from cli.output import emit, json_option
from shared.clock import now_utc
from shared.errors import ConfigurationError
from shared.locators import Issue, Issued, LocatorKind, Locators, TakenTokenError
from shared.queries import Queries
from shared.stores import Tables
from shared.tables import LOCATORS, PERSONS

_OPERATOR: Final = "operator"


@click.group(cls=Commands)
def locators() -> None:
    """Issue, list and revoke locators and biostamps.

    One is for one token of one issuer, made by chance alone: nobody can tell whether two lead to one person.
    """


@locators.command()
@click.option("--person", required=True, help="Your id of an enrolled person.")
@click.option("--issuer", default=_OPERATOR, show_default=True, help="Whose token it is for.")
@click.option("--token", required=True, help="The issuer's name of the token; the same one gets the same locator.")
@click.option("--kind", type=click.Choice([kind.value for kind in LocatorKind]), default="locator", show_default=True)
@click.option("--days", default=365, show_default=True, type=click.IntRange(1, 3650), help="How long it is good.")
@json_option
def issue(*, person: str, issuer: str, token: str, kind: str, days: int, as_json: bool) -> None:
    """Issue a locator for a token and print it.

    \b
    Example:
      facescan locators issue --person p-17 --issuer shop.example --token card-4711 --days 90
    """  # noqa: D301 - \b is click's mark for lines that are not to be wrapped
    wanted = Issue(issuer, token, person, now_utc() + timedelta(days=days), LocatorKind(kind))
    issued = asyncio.run(_issue(wanted))
    emit(_document(issued), issued.locator, as_json=as_json)


@locators.command(name="list")
@click.option("--person", required=True, help="Your id of the person.")
@json_option
def list_(*, person: str, as_json: bool) -> None:
    """List a person's locators.

    \b
    Example:
      facescan locators list --person p-17
    """  # noqa: D301 - likewise
    found = asyncio.run(_list(person))
    documents = [_document(one) for one in found]
    lines = [f"{one['locator']}  {one['state']}, until {one['expires_at']}  {one['issuer']}" for one in documents]
    emit(documents, "\n".join(lines), as_json=as_json)


@locators.command()
@click.argument("locator")
@json_option
def revoke(*, locator: str, as_json: bool) -> None:
    """Let a locator lead nowhere from now on.

    \b
    Example:
      facescan locators revoke 3q2-7wAAAAAAAAAAAAAAAAA
    """  # noqa: D301 - likewise
    if not asyncio.run(_revoke(locator)):
        raise ConfigurationError(f"{locator}: there is no such locator")
    emit({"locator": locator, "state": "revoked"}, f"revoked {locator}", as_json=as_json)


def _document(one: Issued) -> dict[str, str]:
    expires_at = datetime.fromtimestamp(one.expires_at, UTC)
    state = "revoked" if one.revoked else "good" if one.good(now_utc()) else "expired"
    return {
        "locator": one.locator,
        "kind": one.kind,
        "person": one.person,
        "issuer": one.issuer,
        "state": state,
        "expires_at": expires_at.isoformat(timespec="seconds").replace("+00:00", "Z"),
    }


async def _issue(wanted: Issue) -> Issued:
    settings = store_settings()
    aws = open_aws(settings)
    tables = Tables(aws, settings)
    try:
        if await tables.get(PERSONS.name, {PERSONS.partition_key: wanted.person}) is None:
            raise ConfigurationError(f"--person: {wanted.person} is not enrolled")
        return await Locators(tables).issue(wanted, now_utc())
    except TakenTokenError as error:
        raise ConfigurationError(f"--token: {wanted.token} of {wanted.issuer} leads to another person") from error
    finally:
        aws.close()


async def _list(person: str) -> list[Issued]:
    settings = store_settings()
    aws = open_aws(settings)
    try:
        store = Locators(Tables(aws, settings))
        keys = await Queries(aws, settings).keys_of_person(LOCATORS, person)
        found = [await store.get(str(key[LOCATORS.partition_key])) for key in keys]
        return sorted((one for one in found if one is not None), key=lambda one: -one.expires_at)
    finally:
        aws.close()


async def _revoke(locator: str) -> bool:
    settings = store_settings()
    aws = open_aws(settings)
    try:
        return await Locators(Tables(aws, settings)).revoke(locator)
    finally:
        aws.close()
