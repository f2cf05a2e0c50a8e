"""De-duplication behind the log (rule 7): the first record of a message owns it for ever.

A claim is "put if absent, or if the claim's offset is mine": after a crash the same record claims again and goes on, a
copy stands at another offset and is dropped. So there is no lease and no window in which a message is lost.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from shared.stores import ConditionFailedError, Item, Put, Tables
from shared.tables import CLAIMS

# DynamoDB's bound for one transaction.
_MOST_ITEMS: Final = 100
# Up to here single writes are cheaper: a transaction costs twice the write units.
_SINGLE_WRITES: Final = 2


@dataclass(frozen=True, slots=True)
class Claim:
    """Record ``owner`` (its place in the log) claims the message ``message`` (its identity)."""

    message: str
    owner: str
    expires_at: int


class Claims:
    """The table of claims."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def claim(self, claims: Sequence[Claim]) -> set[str]:
        """Return the owners whose claim holds; the others are copies. Raises UnavailableError.

        ``claims`` are in the log's order within a partition, so of two in one call the first is the owner.
        """
        first: dict[str, Claim] = {}
        for claim in claims:
            first.setdefault(claim.message, claim)
        wanted = list(first.values())
        if len(wanted) <= _SINGLE_WRITES:
            return {claim.owner for claim in wanted if await self._claim_one(claim)}
        # Side by side: one after the other, a fetch of records would wait for the store as often.
        parts = [wanted[start : start + _MOST_ITEMS] for start in range(0, len(wanted), _MOST_ITEMS)]
        return set().union(*await asyncio.gather(*(self._claim_many(part) for part in parts)))

    async def _claim_one(self, claim: Claim) -> bool:
        try:
            await self._tables.put(_put(claim))
        except ConditionFailedError:
            return False
        return True

    async def _claim_many(self, claims: list[Claim]) -> set[str]:
        while claims:
            try:
                await self._tables.transact([_put(claim) for claim in claims])
            except ConditionFailedError as error:
                # The reasons name the copies; the others are claimed again without them.
                claims = [
                    claim
                    for claim, reason in zip(claims, error.reasons, strict=True)
                    if reason != "ConditionalCheckFailed"
                ]
            else:
                break
        return {claim.owner for claim in claims}


def _put(claim: Claim) -> Put:
    item: Item = {"message": claim.message, "owner": claim.owner, "expires_at": claim.expires_at}
    return Put(CLAIMS.name, item, unless_exists=CLAIMS.partition_key, or_same="owner")
