"""Registering a person: a photo that can be compared, sealed in S3; person, codes and a locator in the tables."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from shared.audit import AuditTrail, Entry
from shared.errors import ConfigurationError
from shared.legal_photos import LegalPhotos
from shared.people import People, Person
from shared.person_keys import PersonKeys
from shared.photo_quality import ATTRIBUTES, problems
from shared.queries import Queries
from shared.settings import StoreSettings
from shared.stores import Aws, ConditionFailedError, ServiceError, Tables
from shared.verification import LegalPhoto
from shared.verified_codes import VerifiedCodes

# What DetectFaces and CompareFaces take as bytes (Amazon Rekognition, "Guidelines and quotas").
_MOST_BYTES: Final = 5 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Enrolled:
    """A locator and the person that it leads to."""

    locator: str
    person: Person
    expires_at: datetime


class Enrolment:
    """Registers persons."""

    def __init__(self, aws: Aws, tables: Tables, settings: StoreSettings) -> None:
        queries, keys = Queries(aws, settings), PersonKeys(aws, tables, settings)
        self._aws = aws
        self._people = People(tables)
        self._photos = LegalPhotos(aws, keys, settings)
        self._codes = VerifiedCodes(tables, queries, keys)
        self._trail = AuditTrail(tables, queries)

    async def enrol(
        self,
        *,
        person: str,
        photo: bytes,
        photo_name: str,
        wallet_domain: str,
        wallet_id: str,
        locator: str,
        expires_at: datetime,
        codes: Mapping[str, str] | None = None,
        operator: str = "",
    ) -> Enrolled:
        """Register a person, or replace what was known, and make ``locator`` lead there until ``expires_at`` (aware).

        ``photo`` is a PNG or JPEG with one face that can be compared; ``photo_name`` names it in errors. ``codes`` are
        verified codes by tag, kept sealed. ``operator`` is who does it, for the audit trail. Raises ConfigurationError
        for what the caller must change, UnavailableError for an outage.
        """
        await self._check(photo, photo_name)
        before = await self._people.photo(person)
        registered = Person(person, wallet_domain, wallet_id, await self._photos.save(person, photo))
        # Noted before it counts: no photo is exchanged without a line.
        await self._note(operator, before, registered.photo, len(codes or {}))
        await self._people.save(registered)
        for tag, code in (codes or {}).items():
            await self._codes.save(person, tag, code)
        try:
            await self._people.issue(locator, person, expires_at)
        except ConditionFailedError as error:
            raise ConfigurationError(
                f"--locator: {locator} is in use already; leave it out to get a new one"
            ) from error
        return Enrolled(locator, registered, expires_at)

    async def _note(self, operator: str, before: LegalPhoto | None, photo: LegalPhoto, codes: int) -> None:
        """Note who enrolled; the photos by their versions, which name nobody once they are gone."""
        facts: dict[str, str | int] = {
            "operator": operator or "unnamed",
            "photo_version": photo.version,
            "codes": codes,
        }
        facts["replaced"] = int(before is not None)
        if before is not None:
            facts["replaced_version"] = before.version
        await self._trail.append(Entry(str(uuid.uuid4()), "person.enrolled", facts))

    async def _check(self, photo: bytes, name: str) -> None:
        if not photo:
            raise ConfigurationError(f"{name}: the file is empty")
        if len(photo) > _MOST_BYTES:
            raise ConfigurationError(f"{name}: {len(photo)} bytes are more than the {_MOST_BYTES} that are taken")
        try:
            answer = await self._aws.call(
                "rekognition.DetectFaces",
                self._aws.client("rekognition").detect_faces,
                Image={"Bytes": photo},
                Attributes=list(ATTRIBUTES),
            )
        except ServiceError as error:
            if error.code == "InvalidImageFormatException":
                raise ConfigurationError(f"{name}: neither a PNG nor a JPEG picture, or a damaged one") from error
            raise
        if found := problems(answer["FaceDetails"]):
            raise ConfigurationError(f"{name}: {'; '.join(found)}")
