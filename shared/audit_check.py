"""Whether audit lines are what was written: no line changed, none missing, none put between."""

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field

import orjson

from shared.audit import BEGINNING, CHAINS, digest_of
from shared.queries import Queries
from shared.tables import AUDIT


@dataclass(slots=True)
class ChainCheck:
    """Checks lines one by one in the order of each chain, and remembers the first thing that is wrong."""

    problem: str | None = None
    lines: int = 0
    heads: dict[str, tuple[int, str]] = field(default_factory=dict)

    def add(self, line: str, *, chain: str | None = None, sequence: int | None = None) -> None:
        """Look at the next line; ``chain`` and ``sequence`` say where it stands, if that is known."""
        if self.problem is not None:
            return
        self.lines += 1
        try:
            members = orjson.loads(line)
            named, place, previous = str(members["chain"]), int(members["sequence"]), str(members["previous"])
        except (ValueError, KeyError, TypeError):
            self.problem = f"line {self.lines}: it is no line of an audit trail"
            return
        before, digest = self.heads.get(named, (0, BEGINNING))
        where = f"chain {named}, line {before + 1}"
        if chain is not None and (chain, sequence) != (named, place):
            self.problem = f"chain {chain}, line {sequence}: it says that it is line {place} of chain {named}"
        elif place != before + 1:
            self.problem = f"{where}: missing; line {place} is there instead"
        elif previous != digest:
            self.problem = f"{where}: it follows another line than the one before it"
        self.heads[named] = (place, digest_of(line))


async def stored_lines(queries: Queries) -> AsyncIterator[tuple[str, int, str]]:
    """Give every line of the store as (chain, sequence, line), chain by chain. Raises UnavailableError."""
    for chain in CHAINS:
        async for item in queries.of_partition(AUDIT, chain):
            yield chain, int(item["sequence"]), str(item["line"])


def check_export(lines: Iterable[str]) -> ChainCheck:
    """Check an export: lines as `facescan audit export` writes them."""
    check = ChainCheck()
    for line in lines:
        check.add(line)
    return check
