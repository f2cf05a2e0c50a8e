"""A person's own copy of what is held (GDPR Article 15): every store's contents, opened."""

import base64
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, Final

import orjson

from shared.audit import AuditTrail
from shared.clock import now_utc
from shared.erasure import OTHER_STORES
from shared.errors import UnavailableError
from shared.events import derived_id, utc_text
from shared.holdings import Holding, Holdings
from shared.object_versions import ObjectVersion
from shared.person_keys import NoDataKeyError, PersonKeys
from shared.queries import Queries
from shared.sealing import DataKey, Kind, SealBrokenError
from shared.settings import StoreSettings
from shared.stores import Aws, Item, ServiceError, Tables, read_object
from shared.tables import CODES, EVIDENCE_PREFIX, FACTORS, PERSON_KEYS, PERSONS_PREFIX, VERIFICATIONS
from shared.verified_codes import VerifiedCodes

# Ours, not the person's: what unlocks the rest, and the codes' sealed form, which is shown opened.
_LEFT_OUT: Final = (PERSON_KEYS.name, CODES.name)


class PersonExport:
    """Gathers what is held."""

    def __init__(self, aws: Aws, tables: Tables, keys: PersonKeys, settings: StoreSettings) -> None:
        self._aws = aws
        self._tables = tables
        self._keys = keys
        self._holdings = Holdings(aws, tables, settings)
        queries = Queries(aws, settings)
        self._codes = VerifiedCodes(tables, queries, keys)
        self._trail = AuditTrail(tables, queries)

    async def gather(self, person: str) -> dict[str, Any] | None:
        """Return all that is held of a person, for JSON; None: nothing is. Raises UnavailableError."""
        holding = await self._holdings.find(person)
        if not holding:
            return None
        tables = {
            name: [await self._item(name, key) for key in keys]
            for name, keys in holding.items.items()
            if name not in _LEFT_OUT
        }
        try:
            key: DataKey | None = await self._keys.get(person)
        except NoDataKeyError:
            key = None
        hashes = {str(item["photo_sha256"]) for items in tables.values() for item in items if item.get("photo_sha256")}
        return {
            "person": person,
            "exported_at": utc_text(now_utc()),
            "tables": tables,
            "verified_codes": await self._codes.read(person) if key else {},
            "pictures": [await self._picture(one, key, hashes) for one in holding.objects],
            "audit": await self._lines(holding),
            "elsewhere": dict(OTHER_STORES),
        }

    async def _item(self, table: str, key: Item) -> dict[str, Any]:
        item: dict[str, Any] = dict(await self._tables.get(table, key) or {})
        if table == FACTORS.name:
            item["sealed"] = "(not shown: it proves who you are)"
        # Facts that never change stand in one attribute, as JSON.
        return {**item, **orjson.loads(item.pop("facts"))} if "facts" in item else item

    async def _picture(self, one: ObjectVersion, key: DataKey | None, hashes: Iterable[str]) -> dict[str, Any]:
        described = {"object": f"{one.bucket}/{one.key}", "written_at": utc_text(one.written_at)}
        if one.marker:
            return {**described, "deleted": True}
        try:
            data = await self._aws.call(
                "s3.GetObject", partial(read_object, self._aws.client("s3")), Bucket=one.bucket, Key=one.key,
                VersionId=one.version,
            )  # fmt: skip
        except ServiceError as error:
            raise UnavailableError(str(error)) from error
        return {**described, **_opened(one, data, key, hashes)}

    async def _lines(self, holding: Holding) -> list[Mapping[str, Any]]:
        entries = [derived_id("verdict", str(key["verification_id"])) for key in holding.items[VERIFICATIONS.name]]
        lines = [await self._trail.find(entry) for entry in entries]
        return [orjson.loads(line) for line in lines if line]


def _opened(one: ObjectVersion, data: bytes, key: DataKey | None, hashes: Iterable[str]) -> dict[str, Any]:
    """Return a picture's contents. A legal photo opens by its hash, which some record of the person holds."""
    tries: list[tuple[Kind, str]] = []
    if one.key.startswith(EVIDENCE_PREFIX):
        tries = [(Kind.EVIDENCE, one.key)]
    elif one.key.startswith(PERSONS_PREFIX):
        tries = [(Kind.LEGAL_PHOTO, sha256) for sha256 in hashes]
    else:
        return {"picture": base64.b64encode(data).decode()}  # the provider's bucket is not sealed by us
    for kind, version in tries:
        try:
            content = key.open(kind, version, data) if key else None
        except SealBrokenError:
            continue
        if content is None:
            break
        return orjson.loads(content) if kind is Kind.EVIDENCE else {"picture": base64.b64encode(content).decode()}
    return {"sealed": True, "bytes": len(data)}
