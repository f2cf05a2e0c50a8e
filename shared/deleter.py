"""The deleter: removes what has had its time, for time to live and lifecycle rules are promises with days of slack."""

import asyncio
import logging
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Final

from shared.audit import AuditTrail
from shared.erasure import Erasure
from shared.errors import UnavailableError
from shared.leases import Leases
from shared.locators import NOBODY
from shared.object_versions import ObjectVersion, ObjectVersions
from shared.queries import Queries
from shared.retention import DAY_SECONDS, HOUR_SECONDS, RULES, RetentionSettings, Rule, locator_rule
from shared.stores import Aws, ConditionFailedError, Tables
from shared.tables import EVIDENCE_PREFIX, HISTORY, LOCATORS, PERSON, PERSONS, PERSONS_PREFIX, VERIFICATIONS

# What says that a person was checked lately.
_OF_CHECKS: Final = (HISTORY, VERIFICATIONS)

log = logging.getLogger(__name__)

_LEASE: Final = "retention"
_BATCH: Final = 500
# An object without a person comes of a crash within an enrolment; an older one was looked at before.
_ORPHANS_SINCE_SECONDS: Final = 30 * DAY_SECONDS


class Deleter:
    """One look over all stores."""

    def __init__(
        self,
        aws: Aws,
        tables: Tables,
        erasure: Erasure,
        trail: AuditTrail,
        settings: RetentionSettings,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._tables = tables
        self._queries = Queries(aws, settings)
        self._versions = ObjectVersions(aws)
        self._erasure = erasure
        self._trail = trail
        self._settings = settings
        self._clock = clock

    async def run(self) -> dict[str, int]:
        """Remove what has had its time; return how many things of each kind. Raises UnavailableError."""
        removed: Counter[str] = Counter()
        for rule in RULES:
            removed[rule.table.name] += await self._expired(rule)
        locators, persons = await self._purposeless()
        removed["locators"] += locators
        removed["persons"] += persons + await self._idle()
        evidence = self._settings.keep_evidence_hours * HOUR_SECONDS
        removed["evidence"] += await self._old_objects(self._settings.bucket, EVIDENCE_PREFIX, evidence)
        bucket, _, prefix = self._settings.provider_bucket.partition("/")
        if bucket:
            removed["the provider's pictures"] += await self._old_objects(bucket, prefix, evidence)
        removed["legal photos"] += await self._left_photos()
        return dict(removed)

    async def _expired(self, rule: Rule) -> int:
        """Remove items by a rule, unless their time was put off meanwhile."""
        limit = int(self._clock() - rule.keep_seconds)
        count = 0
        async for item in self._queries.below(rule.table, rule.attribute, limit):
            key = {name: item[name] for name in rule.table.keys}
            try:
                await self._queries.delete_below(rule.table, key, rule.attribute, limit)
            except ConditionFailedError:
                continue
            count += 1
        return count

    async def _purposeless(self) -> tuple[int, int]:
        """Remove locators that expired long ago, and each person who has no other: how many of both."""
        rule = locator_rule(self._settings)
        limit = int(self._clock() - rule.keep_seconds)
        locators = persons = 0
        async for item in self._queries.below(LOCATORS, rule.attribute, limit):
            person = str(item.get(PERSON, ""))
            if person not in ("", NOBODY) and not await self._has_later(person, limit):
                await self._forget(person, "purpose served")
                persons += 1
                continue
            key = {name: item[name] for name in LOCATORS.keys}
            try:
                await self._queries.delete_below(LOCATORS, key, rule.attribute, limit)
            except ConditionFailedError:
                continue
            locators += 1
        return locators, persons

    async def _has_later(self, person: str, limit: int) -> bool:
        for key in await self._queries.keys_of_person(LOCATORS, person):
            item = await self._tables.get(LOCATORS.name, key)
            if item is not None and int(item["expires_at"]) >= limit:
                return True
        return False

    async def _idle(self) -> int:
        """Erase persons enrolled so long ago of whom no check is remembered."""
        limit = int(self._clock() - self._settings.keep_idle_person_days * DAY_SECONDS)
        count = 0
        async for item in self._queries.below(PERSONS, "enrolled_at", limit):
            if not await self._remembered(str(item[PERSON])):
                await self._forget(str(item[PERSON]), "idle")
                count += 1
        return count

    async def _remembered(self, person: str) -> bool:
        for spec in _OF_CHECKS:
            if await self._queries.keys_of_person(spec, person):
                return True
        return False

    async def _forget(self, person: str, ground: str) -> None:
        erased = await self._erasure.erase(person)
        # A line for each time: a person may be enrolled anew.
        await self._trail.append(erased.entry(str(uuid.uuid4()), ground))

    async def _old_objects(self, bucket: str, prefix: str, keep_seconds: float) -> int:
        """Remove every version of objects that were written so long ago, and what is left of removed ones."""
        limit = self._clock() - keep_seconds
        return await self._remove(
            one async for one in self._versions.find(bucket, prefix) if one.written_at.timestamp() < limit
        )

    async def _left_photos(self) -> int:
        """Remove legal photos that others have replaced, and those that belong to nobody."""
        return await self._remove(self._left(self._clock() - self._settings.keep_replaced_photo_hours * HOUR_SECONDS))

    async def _left(self, limit: float) -> AsyncIterator[ObjectVersion]:
        newer: ObjectVersion | None = None
        async for one in self._versions.find(self._settings.bucket, PERSONS_PREFIX):
            replaced_at = newer.written_at if newer is not None and newer.key == one.key else None
            newer = one
            if replaced_at is not None:
                if replaced_at.timestamp() < limit:
                    yield one
            elif one.written_at.timestamp() < limit and (one.marker or await self._is_orphan(one)):
                yield one

    async def _is_orphan(self, photo: ObjectVersion) -> bool:
        if photo.written_at.timestamp() < self._clock() - _ORPHANS_SINCE_SECONDS:
            return False
        person = photo.key.removeprefix(PERSONS_PREFIX).partition("/")[0]
        return await self._tables.get(PERSONS.name, {PERSONS.partition_key: person}) is None

    async def _remove(self, versions: AsyncIterator[ObjectVersion]) -> int:
        count = 0
        batch: list[ObjectVersion] = []
        async for one in versions:
            batch.append(one)
            if len(batch) == _BATCH:
                count += await self._versions.remove(batch)
                batch = []
        return count + (await self._versions.remove(batch) if batch else 0)


async def run_regularly(deleter: Deleter, leases: Leases, minutes: float) -> None:
    """Look again and again; of several replicas one does, for as long as it is there."""
    seconds = minutes * 60
    while True:
        try:
            if await leases.take(_LEASE, seconds):
                removed = await deleter.run()
                log.info("retention", extra={"removed": sum(removed.values()), "kinds": removed})
        except UnavailableError as error:
            log.warning("retention waits", extra={"why": str(error)})
        await asyncio.sleep(seconds)
