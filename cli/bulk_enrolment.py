"""Enrolling many: a CSV file, a row for each person, and a report that says what became of each."""

import asyncio
import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import click

from cli.enrolment import Enrolment
from cli.persons import person_id
from shared.domain_names import domain_name
from shared.errors import ConfigurationError, UnavailableError
from shared.locators import new_locator

_NEEDED: Final = ("person", "photo", "wallet", "wallet_id")
_CODE_PREFIX: Final = "code_"
_AT_ONCE: Final = 4


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the file. ``codes`` are the columns ``code_<tag>`` that are not empty."""

    line: int
    person: str
    photo: Path
    wallet: str
    wallet_id: str
    codes: dict[str, str]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a row: enrolled; refused, for what its writer must change; or failed, by an outage."""

    line: int
    person: str
    result: str
    locator: str = ""
    reason: str = ""


def read_rows(file: Path) -> Iterator[Row | Outcome]:
    """Give the file's rows, or why one cannot be read; photos lie beside the file. Raises ConfigurationError."""
    try:
        with file.open(newline="", encoding="utf-8-sig") as text:
            reader = csv.DictReader(text, strict=True)
            if missing := [name for name in _NEEDED if name not in (reader.fieldnames or [])]:
                raise ConfigurationError(f"{file}: line 1: no column {missing[0]}; {', '.join(_NEEDED)} are needed")
            for members in reader:
                yield _row(reader.line_num, members, file.parent)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigurationError(f"{file}: {error}") from error


def _row(line: int, members: dict[str, str], folder: Path) -> Row | Outcome:
    person = members["person"] or ""
    if None in members or None in members.values():
        return Outcome(line, person, "refused", reason="not as many fields as the first line has")
    if empty := [name for name in _NEEDED if not members[name]]:
        return Outcome(line, person, "refused", reason=f"{empty[0]} is empty")
    try:
        return Row(
            line=line,
            person=person_id(None, None, person),  # type: ignore[arg-type] # neither is looked at
            photo=folder / members["photo"],
            wallet=domain_name(members["wallet"]),
            wallet_id=members["wallet_id"],
            codes={
                name.removeprefix(_CODE_PREFIX): value
                for name, value in members.items()
                if name.startswith(_CODE_PREFIX) and value
            },
        )
    except click.BadParameter as error:
        return Outcome(line, person, "refused", reason=f"person: {error.message}")
    except ValueError as error:
        return Outcome(line, person, "refused", reason=f"wallet: {error}")


async def enrol_all(
    enrolment: Enrolment,
    rows: Sequence[Row | Outcome],
    *,
    days: int,
    operator: str,
    progress: Callable[[int], None],
) -> list[Outcome]:
    """Enrol every row that can be; one that cannot stops no other. ``progress`` hears how many are done."""
    room, done = asyncio.Semaphore(_AT_ONCE), 0
    expires_at = datetime.now(UTC) + timedelta(days=days)

    async def one(row: Row | Outcome) -> Outcome:
        nonlocal done
        async with room:
            outcome = row if isinstance(row, Outcome) else await _enrol(enrolment, row, expires_at, operator)
        done += 1
        progress(done)
        return outcome

    return await asyncio.gather(*(one(row) for row in rows))


async def _enrol(enrolment: Enrolment, row: Row, expires_at: datetime, operator: str) -> Outcome:
    try:
        enrolled = await enrolment.enrol(
            person=row.person,
            photo=await asyncio.to_thread(row.photo.read_bytes),
            photo_name=str(row.photo),
            wallet_domain=row.wallet,
            wallet_id=row.wallet_id,
            locator=new_locator(),
            expires_at=expires_at,
            codes=row.codes,
            operator=operator,
        )
    except OSError as error:
        return Outcome(row.line, row.person, "refused", reason=f"{row.photo}: {error.strerror}")
    except ConfigurationError as error:
        return Outcome(row.line, row.person, "refused", reason=str(error))
    except UnavailableError as error:
        return Outcome(row.line, row.person, "failed", reason=str(error))
    return Outcome(row.line, row.person, "enrolled", enrolled.locator)


def write_report(file: Path, outcomes: Sequence[Outcome]) -> None:
    """Write a CSV line for each row, in the file's order; no code is in it."""
    with file.open("w", newline="", encoding="utf-8") as text:
        writer = csv.DictWriter(text, fieldnames=list(Outcome.__dataclass_fields__))
        writer.writeheader()
        writer.writerows(asdict(outcome) for outcome in outcomes)
