"""Locators and the persons behind them: what enrolment writes and a verification looks up."""

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from shared.locators import NOBODY, issued_from
from shared.stores import Item, Put, Tables
from shared.tables import LOCATORS, PERSONS
from shared.verification import LegalPhoto

# Nothing is read some microseconds sooner than something, which a thousand look-ups tell apart. So look-ups end
# at multiples of this, which costs half of it.
_TICK_SECONDS: Final = 0.004


@dataclass(frozen=True, slots=True)
class Person:
    """A person: the legal photo, and the wallet that opens the pop-up (its domain, and the person's id there)."""

    person: str
    wallet_domain: str
    wallet_id: str
    photo: LegalPhoto
    enrolled_at: int = 0  # epoch seconds


class People:
    """Locators and persons in their tables."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def find(self, locator: str, now: datetime) -> Person | None:
        """Return the owner of a locator that is good: neither expired nor revoked.

        Known and unknown take the same two reads of items that are alike, and end at a tick (rule 9).
        """
        began = time.monotonic()
        found = await self._tables.get(LOCATORS.name, {LOCATORS.partition_key: locator})
        person = await self._tables.get(
            PERSONS.name, {PERSONS.partition_key: str(found["person"]) if found else NOBODY}
        )
        await asyncio.sleep(_TICK_SECONDS - (time.monotonic() - began) % _TICK_SECONDS)
        # Expired items stay readable until AWS gets to delete them: the time is checked here.
        if found is None or person is None or not issued_from(found).good(now):
            return None
        return Person(
            person=str(person["person"]),
            wallet_domain=str(person["wallet_domain"]),
            wallet_id=str(person["wallet_id"]),
            photo=_photo(person),
            enrolled_at=int(person["enrolled_at"]),
        )

    async def photo(self, person: str) -> LegalPhoto | None:
        """Return a person's legal photo as it is now; None: not enrolled."""
        found = await self._tables.get(PERSONS.name, {PERSONS.partition_key: person})
        return _photo(found) if found else None

    async def save(self, person: Person) -> None:
        """Write a person, or replace what was known."""
        item: Item = {
            "person": person.person,
            "wallet_domain": person.wallet_domain,
            "wallet_id": person.wallet_id,
            "photo_key": person.photo.key,
            "photo_version": person.photo.version,
            "photo_sha256": person.photo.sha256,
            "enrolled_at": person.enrolled_at or int(datetime.now(UTC).timestamp()),
        }
        await self._tables.put(Put(PERSONS.name, item))

    async def issue(self, locator: str, person: str, expires_at: datetime) -> None:
        """Make ``locator`` lead to ``person`` until a time. Raises ConditionFailedError when it exists."""
        await self._tables.put(
            Put(
                LOCATORS.name,
                {"locator": locator, "person": person, "expires_at": int(expires_at.timestamp())},
                unless_exists=LOCATORS.partition_key,
            )
        )


def _photo(person: Item) -> LegalPhoto:
    return LegalPhoto(str(person["photo_key"]), str(person["photo_version"]), str(person["photo_sha256"]))
