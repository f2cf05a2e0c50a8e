"""All that is held of one person, found in every store: what an erasure removes and an export shows."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from shared.object_versions import ObjectVersion, ObjectVersions
from shared.queries import Queries
from shared.settings import StoreSettings
from shared.stores import Aws, Item, Tables
from shared.tables import (
    ATTEMPTS,
    EVIDENCE_PREFIX,
    PERSONS,
    PERSONS_PREFIX,
    REGISTERED_KEYS,
    TABLES,
    VERDICTS,
    VERIFICATIONS,
    TableSpec,
)
from shared.verifications import attempt_of

PERSONAL: Final = tuple(spec for spec in TABLES if spec.personal)


@dataclass(slots=True)
class Holding:
    """What is held of a person: keys of items by table, and versions of objects."""

    items: dict[str, list[Item]] = field(default_factory=dict)
    objects: list[ObjectVersion] = field(default_factory=list)

    @property
    def counts(self) -> dict[str, int]:
        """How many things each store holds, by the store's name."""
        found = {f"dynamodb {name}": len(keys) for name, keys in self.items.items()}
        for prefix, store in ((PERSONS_PREFIX, "s3 legal photos"), (EVIDENCE_PREFIX, "s3 evidence")):
            found[store] = sum(one.key.startswith(prefix) for one in self.objects)
        found["s3 of the provider"] = len(self.objects) - found["s3 legal photos"] - found["s3 evidence"]
        return found

    def __bool__(self) -> bool:
        return bool(self.objects) or any(self.items.values())


class Holdings:
    """Finds what is held."""

    def __init__(self, aws: Aws, tables: Tables, settings: StoreSettings) -> None:
        self._tables = tables
        self._queries = Queries(aws, settings)
        self._versions = ObjectVersions(aws)
        self._bucket = settings.bucket
        self._provider_bucket, _, self._provider_prefix = settings.provider_bucket.partition("/")

    async def find(self, person: str) -> Holding:
        """Return what is held of a person; what was written within the last second may be missing.

        Raises UnavailableError.
        """
        holding = Holding()
        for spec in PERSONAL:
            holding.items[spec.name] = await self._queries.keys_of_person(spec, person)
        verifications = [str(key["verification_id"]) for key in holding.items[VERIFICATIONS.name]]
        attempts = [item for one in verifications async for item in self._queries.of_partition(ATTEMPTS, one)]
        sessions = await self._sessions(attempts)
        holding.items[ATTEMPTS.name] = [{name: item[name] for name in ATTEMPTS.keys} for item in attempts]
        verdicts = [{VERDICTS.partition_key: session} for session in sessions]
        holding.items[VERDICTS.name] = await self._present(VERDICTS, verdicts)
        holding.items[REGISTERED_KEYS.name] = await self._present(REGISTERED_KEYS, await self._wallets(person))
        await self._find_objects(holding, f"{PERSONS_PREFIX}{person}/", self._bucket)
        for one in verifications:
            await self._find_objects(holding, f"{EVIDENCE_PREFIX}{one}/", self._bucket)
        if self._provider_bucket:
            for session in sessions:
                await self._find_objects(holding, f"{self._provider_prefix}{session}/", self._provider_bucket)
        return holding

    async def _sessions(self, attempts: Iterable[Item]) -> list[str]:
        return [attempt_of(item).provider_session_id for item in attempts]

    async def _wallets(self, person: str) -> list[Item]:
        found = await self._tables.get(PERSONS.name, {PERSONS.partition_key: person})
        return [{REGISTERED_KEYS.partition_key: str(found["wallet_id"]).lower()}] if found else []

    async def _present(self, spec: TableSpec, keys: Iterable[Item]) -> list[Item]:
        return [key for key in keys if await self._tables.get(spec.name, key) is not None]

    async def _find_objects(self, holding: Holding, prefix: str, bucket: str) -> None:
        holding.objects += [one async for one in self._versions.find(bucket, prefix)]
