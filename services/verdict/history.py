"""How a person's last checks ended, and where: what the policy looks at, kept no longer than it does.

One item for each person, so that a look is one read and forgetting is one removal. It is written with the write that
decides, on the condition that nobody has written it since it was read.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import orjson

from services.verdict.policy import Past
from shared.events import Context
from shared.locators import NOBODY
from shared.stores import Item, Put, Tables, Update
from shared.tables import HISTORY
from shared.verification import Verification

# More than lock any person out for the longest time.
_MOST: Final = 40
_DAY_SECONDS: Final = 86_400


@dataclass(frozen=True, slots=True)
class Remembered:
    """A person's remembered checks, and which write they are of; 0: there was none."""

    past: tuple[Past, ...] = ()
    version: int = 0


class History:
    """Checks that have decided, in their table."""

    def __init__(self, tables: Tables, days: float) -> None:
        self._tables = tables
        self._seconds = days * _DAY_SECONDS

    async def read(self, person: str, now: datetime) -> Remembered:
        """Return what is remembered of a person; empty: nobody, of whom nothing is. Raises UnavailableError."""
        # Nobody is looked up too: it takes the time that somebody takes (rule 9).
        item = await self._tables.get(HISTORY.name, {HISTORY.partition_key: person or NOBODY})
        if item is None:
            return Remembered()
        past = [_past(facts) for facts in orjson.loads(str(item["checks"]))]
        since = now.timestamp() - self._seconds
        return Remembered(tuple(one for one in past if one.at > since), int(item["version"]))

    def add(self, person: str, remembered: Remembered, check: Past) -> Put | Update:
        """Return the write that remembers one more check; its condition fails when there was another write since."""
        kept = sorted([*remembered.past, check], key=lambda one: one.at)[-_MOST:]
        values: Item = {
            "checks": orjson.dumps([_facts(one) for one in kept]).decode(),
            "version": remembered.version + 1,
            "forget_at": int(kept[-1].at + self._seconds),
        }
        key: Item = {HISTORY.partition_key: person}
        if remembered.version == 0:
            return Put(HISTORY.name, {**key, **values}, unless_exists=HISTORY.partition_key)
        return Update(HISTORY.name, key, values, when={"version": [remembered.version]})


def context_of(verification: Verification) -> Context:
    """Return where and on what the page was opened, as its record has it."""
    return Context.model_validate_json(verification.context) if verification.context else Context()


def _facts(check: Past) -> dict[str, Any]:
    return {
        "at": check.at,
        "success": check.success,
        "class": check.requester_class,
        "context": check.context.model_dump(exclude_none=True),
    }


def _past(facts: dict[str, Any]) -> Past:
    return Past(facts["at"], facts["success"], facts["class"], Context.model_validate(facts["context"]))
