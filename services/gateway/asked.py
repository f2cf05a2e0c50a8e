"""What was asked over HTTP: one item for each verification, which names a client and nobody else."""

from dataclasses import dataclass

from services.gateway.domain import REMEMBER_SECONDS
from shared.events import Outcome
from shared.stores import ConditionFailedError, Put, Tables, Update, Value
from shared.tables import ASKED

_KEY = "verification_id"


@dataclass(frozen=True, slots=True)
class Asked:
    """One verification that a client has asked for.

    ``published``: its event is in Kafka. ``outcome`` is empty until there is one; ``told``: the webhook is in Kafka.
    Times are epoch seconds.
    """

    verification_id: str
    client: str
    fingerprint: str
    asked_at: int
    published: bool = False
    outcome: str = ""
    decided_at: int = 0
    told: bool = False


class AskedTable:
    """The table."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def create(self, asked: Asked) -> Asked:
        """Write a new item; return it, or the one that was there before. Raises UnavailableError."""
        item: dict[str, Value] = {name: getattr(asked, name) for name in Asked.__dataclass_fields__}
        item["forget_at"] = asked.asked_at + REMEMBER_SECONDS
        try:
            await self._tables.put(Put(ASKED.name, item, unless_exists=_KEY))
        except ConditionFailedError:
            return await self.get(asked.verification_id) or asked
        return asked

    async def get(self, verification_id: str) -> Asked | None:
        """Return what was asked under an id. Raises UnavailableError."""
        item = await self._tables.get(ASKED.name, {_KEY: verification_id})
        if item is None:
            return None
        members = {name: item[name] for name in Asked.__dataclass_fields__ if name in item}
        return Asked(**members)  # type: ignore[arg-type] # written by `create` alone

    async def published(self, verification_id: str) -> None:
        """Note that its event is in Kafka. Raises UnavailableError."""
        await self._note(verification_id, {"published": True}, {"published": [False]})

    async def decided(self, verification_id: str, outcome: Outcome, decided_at: int) -> None:
        """Note the outcome; the first one holds. Raises UnavailableError."""
        await self._note(verification_id, {"outcome": outcome.value, "decided_at": decided_at}, {"outcome": [""]})

    async def told(self, verification_id: str) -> None:
        """Note that the webhook is in Kafka. Raises UnavailableError."""
        await self._note(verification_id, {"told": True}, {"told": [False]})

    async def _note(self, verification_id: str, values: dict[str, Value], when: dict[str, list[Value]]) -> None:
        try:
            await self._tables.update(Update(ASKED.name, {_KEY: verification_id}, values, when=when))
        except ConditionFailedError:
            return  # noted before, or forgotten
