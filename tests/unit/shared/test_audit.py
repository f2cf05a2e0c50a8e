"""Lines of the audit trail: one for each entry, in chains without a fork, and a change shows."""

import asyncio
import hashlib
import json
import uuid
from collections.abc import Sequence
from typing import Any

import pytest

from shared.audit import BEGINNING, AuditTrail, Entry
from shared.audit_check import ChainCheck, check_export
from shared.errors import UnavailableError
from shared.queries import Queries
from shared.settings import StoreSettings
from shared.stores import Aws, Check, Put, Tables, Update
from shared.tables import AUDIT


@pytest.fixture
def queries(aws: Aws, tables: Tables, prefix: str) -> Queries:
    return Queries(aws, StoreSettings(table_prefix=prefix))


@pytest.fixture
def chain() -> str:
    """A chain that no other test writes."""
    return uuid.uuid4().hex


def entry(name: str | None = None) -> Entry:
    return Entry(name or str(uuid.uuid4()), "verification.decided", {"outcome": "success", "requester": "shop.example"})


async def lines_of(queries: Queries, chain: str) -> list[str]:
    return [str(item["line"]) async for item in queries.of_partition(AUDIT, chain)]


async def test_each_line_holds_the_sha_256_of_the_one_before_it(tables: Tables, queries: Queries, chain: str) -> None:
    """Anybody can check it with a shell: the hash is that of the exported line's bytes."""
    trail = AuditTrail(tables, queries, chain)
    for _ in range(3):
        await trail.append(entry())
    lines = await lines_of(queries, chain)
    before = BEGINNING
    for number, line in enumerate(lines, 1):
        members = json.loads(line)
        assert (members["sequence"], members["previous"]) == (number, before)
        before = hashlib.sha256(line.encode()).hexdigest()
    assert len(lines) == 3
    assert check_export(lines).problem is None


async def test_an_entry_that_comes_again_adds_no_line(tables: Tables, queries: Queries, chain: str) -> None:
    """A repeated event, another replica, and the same entry among others in one write."""
    first, second = entry(), entry()
    trail = AuditTrail(tables, queries, chain)
    await trail.append(first)
    await AuditTrail(tables, queries, chain).append(first)
    await asyncio.gather(*(trail.append(one) for one in (first, second, second, first)))
    lines = await lines_of(queries, chain)
    assert [json.loads(line)["entry"] for line in lines] == [first.entry, second.entry]
    assert await trail.has(first.entry)
    assert await trail.find(second.entry) == lines[1]
    assert not await trail.has("another")


async def test_replicas_that_write_one_chain_at_once_make_no_fork_and_no_gap(
    tables: Tables, queries: Queries, chain: str
) -> None:
    trails = [AuditTrail(tables, queries, chain) for _ in range(4)]
    entries = [entry() for _ in range(60)]
    await asyncio.gather(*(trails[number % 4].append(one) for number, one in enumerate(entries)))
    lines = await lines_of(queries, chain)
    assert check_export(lines).problem is None
    assert sorted(json.loads(line)["entry"] for line in lines) == sorted(one.entry for one in entries)


class _Shaky(Tables):
    """Tables whose next transactions are done and then said to have failed."""

    failures = 1

    async def transact(self, writes: Sequence[Put | Update | Check]) -> None:
        await super().transact(writes)
        if self.failures:
            self.failures -= 1
            raise UnavailableError("no answer came")


async def test_a_write_whose_answer_was_lost_is_there_once(
    aws: Aws, queries: Queries, tables: Tables, prefix: str, chain: str
) -> None:
    trail = AuditTrail(_Shaky(aws, StoreSettings(table_prefix=prefix)), queries, chain)
    await trail.append(entry())
    await trail.append(entry())
    lines = await lines_of(queries, chain)
    assert len(lines) == 2
    assert check_export(lines).problem is None


def chain_of(length: int) -> list[str]:
    from shared.audit import digest_of, line_of  # noqa: PLC0415

    lines, before = [], BEGINNING
    for number in range(1, length + 1):
        lines.append(line_of(entry(), "00", number, before))
        before = digest_of(lines[-1])
    return lines


def changed(lines: list[str]) -> list[str]:
    return [lines[0], lines[1].replace("success", "failure"), *lines[2:]]


def renumbered(lines: list[str]) -> list[str]:
    """Without its second line, the others counted anew: each still names the line that once was before it."""
    later: list[dict[str, Any]] = [json.loads(line) for line in lines[2:]]
    for members in later:
        members["sequence"] -= 1
    return [lines[0], *(json.dumps(members) for members in later)]


@pytest.mark.parametrize(
    ("spoilt", "problem"),
    [
        (changed(chain_of(4)), "line 3: it follows another line"),
        (chain_of(4)[:1] + chain_of(4)[2:], "line 2: missing; line 3 is there"),
        (renumbered(chain_of(4)), "line 2: it follows another line"),
        (chain_of(4)[1:], "line 1: missing"),
        ([*chain_of(2), chain_of(2)[1]], "line 3: missing; line 2 is there"),
        ([*chain_of(1), "{}"], "line 2: it is no line"),
        ([*chain_of(1), "not json"], "line 2: it is no line"),
    ],
    ids=["changed", "removed", "removed and renumbered", "cut off", "twice", "empty", "junk"],
)
def test_what_was_done_to_a_chain_is_found_and_named(spoilt: list[str], problem: str) -> None:
    found = check_export(spoilt).problem
    assert found is not None
    assert problem in found


def test_a_line_that_was_moved_to_another_place_is_found() -> None:
    check = ChainCheck()
    check.add(chain_of(1)[0], chain="01", sequence=1)
    assert check.problem == "chain 01, line 1: it says that it is line 1 of chain 00"
