"""``facescan dead``: list, show, replay or drop dead letters."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import click

from cli.commands import Commands
from cli.connection import kafka_settings, open_aws, store_settings
from cli.output import emit, json_option, table
from shared.broker import Publisher
from shared.dead_letter_log import DeadLetter, DeadLetterLog, SettledError
from shared.dead_letters import Side
from shared.errors import ConfigurationError, UnprocessableError
from shared.kafka_security import security_options
from shared.stores import Tables

F = TypeVar("F", bound=Callable[..., Any])
_SHOWN: Final = 50


def _moment(_ctx: click.Context, _param: click.Parameter, value: datetime | None) -> str:
    return value.replace(tzinfo=UTC).isoformat().replace("+00:00", "Z") if value else ""


def _filters(command: F) -> F:
    for option in (
        click.option("--kafka", metavar="HOST:PORT", help="The broker, when no workbench runs in this folder."),
        click.option("--before", type=click.DateTime(), callback=_moment, help="Only older ones (UTC)."),
        click.option("--since", type=click.DateTime(), callback=_moment, help="Only these or newer ones (UTC)."),
        click.option("--reason", default="", help="Only those whose reason contains this."),
        click.option("--destination", default="", metavar="DOMAIN", help="Only messages to this domain."),
        click.option("--side", type=click.Choice(["ours", "theirs"]), help="Only one side."),
    ):
        command = option(command)
    return command


@click.group(cls=Commands)
def dead() -> None:
    """List, show, replay or drop dead letters: records that could not be handled."""


@dead.command("list")
@_filters
@json_option
def list_dead(as_json: bool, **chosen: Any) -> None:
    """Count the dead letters that are not settled, by side, topic and reason, and list the newest 50."""

    async def work() -> list[dict[str, Any]]:
        async with _log(chosen["kafka"]) as log:
            return [one.describe() async for one in _open_letters(log, chosen)]

    rows = asyncio.run(work())
    counts = Counter((row["side"], row["topic"], row["reason"]) for row in rows)
    counted = [{"count": n, "side": s, "topic": t, "reason": r} for (s, t, r), n in counts.most_common()]
    newest = sorted(rows, key=lambda row: str(row["time"]), reverse=True)[:_SHOWN]
    kinds = [(str(one["count"]), one["side"], one["topic"], one["reason"][:80]) for one in counted]
    text = [
        f"{len(rows)} dead letters",
        *table([("count", "side", "topic", "reason"), *kinds]),
        "",
        *table([("time", "place", "destination"), *((r["time"], r["place"], r["destination"]) for r in newest)]),
    ]
    emit(
        {"total": len(rows), "counts": counted, "newest": newest},
        "\n".join(text) if rows else "no dead letters",
        as_json=as_json,
    )


@dead.command()
@click.argument("place")
@click.option("--body", is_flag=True, help="Print its contents too. They may be personal: mind where they end.")
@click.option("--kafka", metavar="HOST:PORT", help="The broker, when no workbench runs in this folder.")
@json_option
def show(place: str, body: bool, kafka: str | None, as_json: bool) -> None:
    """Show one dead letter by its PLACE, as `list` prints it."""

    async def work() -> dict[str, Any]:
        async with _log(kafka) as log:
            async for letter in log.read(tuple(Side)):
                if letter.place == place:
                    found = {**letter.describe(), "settled": await log.settled(letter)}
                    value = str(letter.record.value or b"", "utf-8", "replace")
                    return {**found, "body": value} if body else found
        raise ConfigurationError(f"PLACE: there is no dead letter {place[:100]!r}")

    found = asyncio.run(work())
    if body:
        click.echo("what follows may be personal", err=True)
    emit(found, "\n".join(f"{name}: {value}" for name, value in found.items()), as_json=as_json)


@dead.command()
@_filters
@click.option("--place", default="", help="Only this one.")
@click.option("--again", is_flag=True, help="Also what was replayed or dropped before.")
@click.option("--dry-run", is_flag=True, help="Only say how many.")
@json_option
def replay(as_json: bool, dry_run: bool, **chosen: Any) -> None:
    """Let dead letters be handled once more, each once; a message keeps its Correlation."""
    asyncio.run(_settle("replayed", chosen, dry_run=dry_run, as_json=as_json))


@dead.command()
@_filters
@click.option("--place", default="", help="Only this one.")
@click.option("--dry-run", is_flag=True, help="Only say how many.")
@json_option
def drop(as_json: bool, dry_run: bool, **chosen: Any) -> None:
    """Note that dead letters are done with; they stay in their topic for as long as it keeps them."""
    asyncio.run(_settle("dropped", {**chosen, "again": False}, dry_run=dry_run, as_json=as_json))


async def _settle(verb: str, chosen: dict[str, Any], *, dry_run: bool, as_json: bool) -> None:
    counts: Counter[str] = Counter()
    publisher = Publisher(kafka_settings(chosen["kafka"]), "/facescan/cli")
    async with _log(chosen["kafka"]) as log:
        await publisher.start()
        try:
            async for letter in _open_letters(log, chosen):
                counts[await _settle_one(log, letter, verb, publisher, chosen, dry_run=dry_run)] += 1
        finally:
            await publisher.stop()
    said = ", ".join(f"{count} {what}" for what, count in sorted(counts.items())) or "no dead letters"
    emit({"dry_run": dry_run, **counts}, said, as_json=as_json)


async def _settle_one(
    log: DeadLetterLog, letter: DeadLetter, verb: str, publisher: Publisher, chosen: dict[str, Any], *, dry_run: bool
) -> str:
    try:
        if dry_run:
            return f"would be {verb}"
        if verb == "dropped":
            await log.drop(letter)
        else:
            await log.replay(letter, publisher, again=chosen["again"])
    except SettledError:
        return "settled already"
    except UnprocessableError as error:
        click.echo(str(error), err=True)
        return "not replayable"
    return verb


async def _open_letters(log: DeadLetterLog, chosen: dict[str, Any]) -> AsyncIterator[DeadLetter]:
    sides = (Side(chosen["side"]),) if chosen.get("side") else tuple(Side)
    async for letter in log.read(sides):
        about = letter.describe()
        fits = (
            (not chosen.get("place") or letter.place == chosen["place"])
            and (not chosen["destination"] or letter.destination == chosen["destination"].lower())
            and chosen["reason"] in about["reason"]
            and (not chosen["since"] or about["time"] >= chosen["since"])
            and (not chosen["before"] or about["time"] < chosen["before"])
        )
        if fits and (chosen.get("again") or chosen.get("place") or not await log.settled(letter)):
            yield letter


@asynccontextmanager
async def _log(kafka: str | None) -> AsyncIterator[DeadLetterLog]:
    settings = store_settings()
    aws = open_aws(settings)
    try:
        kafka_of = kafka_settings(kafka)
        security = security_options(kafka_of)
        yield DeadLetterLog(kafka_of.kafka_bootstrap, Tables(aws, settings), time.time, security)
    finally:
        aws.close()
