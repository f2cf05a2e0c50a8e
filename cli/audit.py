"""``facescan audit``: check or export the audit trail."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TextIO

import click

from cli.commands import Commands
from cli.connection import open_aws, store_settings
from cli.output import emit, json_option
from shared.audit import digest_of
from shared.audit_check import ChainCheck, check_export, stored_lines
from shared.errors import ConfigurationError
from shared.queries import Queries

_FILE = click.Path(exists=True, dir_okay=False, readable=True, path_type=Path)


@click.group(cls=Commands)
def audit() -> None:
    """Check or export the audit trail: who asked, on what ground, what was decided."""


@audit.command()
@click.option("--file", "export", type=_FILE, help="Check this export instead of the store.")
@click.option("--earlier", type=_FILE, help="An export of earlier: its lines must still be there, as they were.")
@json_option
def verify(export: Path | None, earlier: Path | None, as_json: bool) -> None:
    """Check that no line was changed, removed or put between; exit code 1 names the first that was.

    A chain cannot tell that its newest lines were cut off: keep an export elsewhere and give it as --earlier.

    \b
    Examples:
      facescan audit verify
      facescan audit verify --earlier audit-2026-10.jsonl
    """  # noqa: D301 - \b is click's mark for lines that are not to be wrapped
    wanted = _checked(check_export(_lines_of(earlier)), f"{earlier}: ").heads if earlier else {}
    check, seen = asyncio.run(_verify(export, wanted))
    _checked(check)
    for chain, (sequence, digest) in wanted.items():
        if seen.get(chain) != digest:
            raise ConfigurationError(f"chain {chain}, line {sequence}: not as in {earlier}, or not there any more")
    heads = {chain: {"sequence": sequence, "digest": digest} for chain, (sequence, digest) in check.heads.items()}
    text = f"{check.lines} lines in {len(heads)} chains, all as they were written"
    emit({"lines": check.lines, "chains": heads}, text, as_json=as_json)


@audit.command("export")
@click.option(
    "--output", type=click.File("w", encoding="utf-8"), default="-", help="A file instead of standard output."
)
@json_option
def export_lines(output: TextIO, as_json: bool) -> None:
    """Write every line, chain by chain, as JSON Lines.

    Each line's `previous` is the SHA-256 of the line before it in its chain, so anybody can check it without facescan.
    """
    _ = as_json  # the lines are JSON in any case; errors are what the option changes

    async def work() -> None:
        async for _, _, line in _stored():
            output.write(line + "\n")

    asyncio.run(work())


async def _verify(export: Path | None, wanted: dict[str, tuple[int, str]]) -> tuple[ChainCheck, dict[str, str]]:
    """Return the check, and the digests of the lines that are wanted."""
    check = ChainCheck()
    seen: dict[str, str] = {}
    places = {(chain, sequence) for chain, (sequence, _) in wanted.items()}
    if export is not None:
        for line in _lines_of(export):
            check.add(line)
            seen |= {chain: digest for chain, (place, digest) in check.heads.items() if (chain, place) in places}
        return check, seen
    async for chain, sequence, line in _stored():
        check.add(line, chain=chain, sequence=sequence)
        if (chain, sequence) in places:
            seen[chain] = digest_of(line)
    return check, seen


async def _stored() -> AsyncIterator[tuple[str, int, str]]:
    settings = store_settings()
    aws = open_aws(settings)
    try:
        async for line in stored_lines(Queries(aws, settings)):
            yield line
    finally:
        aws.close()


def _lines_of(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{file}: {error}") from error


def _checked(check: ChainCheck, where: str = "") -> ChainCheck:
    if check.problem is not None:
        raise ConfigurationError(f"{where}{check.problem}")
    return check
