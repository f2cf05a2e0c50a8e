"""Locators and biostamps: random keys to a person, one for each token of an issuer, which expire and can be revoked.

Nothing in a locator follows from the person, the issuer or the token, so that nobody can tell whether two of them lead
to one person (protocol §7). The same token of the same issuer keeps its locator while that is good.
"""

import hashlib
import secrets
import uuid
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from shared.clock import now_utc
from shared.stores import ConditionFailedError, Item, Put, Tables, Update
from shared.tables import ISSUED, LOCATORS

# No person's id has these characters; tables take no empty one.
NOBODY: Final = "(nobody)"

_LOCATOR_BYTES: Final = 17
# Beside another writer of the same token.
_TRIES: Final = 3


class LocatorKind(StrEnum):
    """What the protocol's generations call it."""

    LOCATOR = "locator"
    BIOSTAMP = "biostamp"


def new_locator(kind: LocatorKind = LocatorKind.LOCATOR) -> str:
    """Return an opaque key by chance alone: a UUID of 122 random bits for a biostamp, else 136 bits, URL-safe.

    No shell takes it for an option.
    """
    if kind is LocatorKind.BIOSTAMP:
        return str(uuid.uuid4())
    while (locator := secrets.token_urlsafe(_LOCATOR_BYTES))[0] in "-_":
        pass
    return locator


@dataclass(frozen=True, slots=True)
class Issue:
    """What a locator is for. The person NOBODY makes one that leads nowhere and looks like any other."""

    issuer: str
    token: str
    person: str
    expires_at: datetime
    kind: LocatorKind = LocatorKind.LOCATOR

    @property
    def digest(self) -> str:
        """The token's name in the table: no token of anybody's is kept."""
        return hashlib.sha256(f"{self.issuer}\n{self.token}".encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Issued:
    """A locator as it is. Times are epoch seconds."""

    locator: str
    person: str
    expires_at: int
    issuer: str = ""
    kind: str = LocatorKind.LOCATOR
    revoked: bool = False

    def good(self, now: datetime) -> bool:
        """Whether it leads anywhere at ``now``."""
        return self.person != NOBODY and not self.revoked and now.timestamp() < self.expires_at


def issued_from(item: Item) -> Issued:
    """Return a locator from its item."""
    return Issued(
        locator=str(item["locator"]),
        person=str(item["person"]),
        expires_at=int(item["expires_at"]),
        issuer=str(item.get("issuer", "")),
        kind=str(item.get("kind", LocatorKind.LOCATOR)),
        revoked=bool(item.get("revoked", False)),
    )


class TakenTokenError(ConditionFailedError):
    """Raised when the token has a locator of another person."""


class Locators:
    """Issues and revokes. Every method raises UnavailableError."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def issue(self, issue: Issue, now: datetime) -> Issued:
        """Return the token's locator: the one that it has while that is good, else a new one.

        Raises TakenTokenError when the token has a good one of another person.
        """
        for _ in range(_TRIES):
            known = await self._tables.get(ISSUED.name, {ISSUED.partition_key: issue.digest})
            before = await self.get(str(known["locator"])) if known else None
            if before is not None and not before.revoked and now.timestamp() < before.expires_at:
                if before.person != issue.person:
                    raise TakenTokenError
                return before
            try:
                return await self._write(issue, str(known["locator"]) if known else None)
            except ConditionFailedError:
                continue  # another was first: what it has written counts
        raise TakenTokenError

    async def _write(self, issue: Issue, before: str | None) -> Issued:
        made = Issued(
            new_locator(issue.kind), issue.person, int(issue.expires_at.timestamp()), issue.issuer, issue.kind
        )
        item: Item = {name: getattr(made, name) for name in made.__dataclass_fields__}
        name: Item = {ISSUED.partition_key: issue.digest}
        values: Item = {"locator": made.locator, "person": made.person, "expires_at": made.expires_at}
        token = (
            Put(ISSUED.name, {**name, **values}, unless_exists=ISSUED.partition_key)
            if before is None
            else Update(ISSUED.name, name, values, when={"locator": [before]})
        )
        await self._tables.transact([token, Put(LOCATORS.name, item, unless_exists=LOCATORS.partition_key)])
        return made

    async def get(self, locator: str) -> Issued | None:
        """Return a locator as it is now; None: there is none."""
        item = await self._tables.get(LOCATORS.name, {LOCATORS.partition_key: locator})
        return issued_from(item) if item else None

    async def revoke(self, locator: str) -> bool:
        """Let a locator lead nowhere from now on, for ever; say whether there is one.

        It counts as expired now: retention runs from its end, not from what was once meant to be.
        """
        found = await self.get(locator)
        if found is None:
            return False
        key: Item = {LOCATORS.partition_key: locator}
        values: Item = {"revoked": True, "expires_at": min(found.expires_at, int(now_utc().timestamp()))}
        await self._tables.update(Update(LOCATORS.name, key, values, when={"person": [found.person]}))
        return True
