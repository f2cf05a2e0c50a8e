"""Registering a person: one face on the photo, the photo in S3, the person and a locator in the tables."""

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
from shared.queries import Queries
from shared.settings import StoreSettings
from shared.stores import Aws, ConditionFailedError, ServiceError, Tables
from shared.tables import PERSONS
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
        self._aws = aws
        self._tables = tables
        self._people = People(tables)
        keys, queries = PersonKeys(aws, tables, settings), Queries(aws, settings)
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
    ) -> Enrolled:
        """Register a person, or replace what was known, and make ``locator`` lead there until ``expires_at`` (aware).

        ``photo`` is a PNG or JPEG with exactly one face; ``photo_name`` names it in errors. ``codes`` are the verified
        codes that it is tagged with, by tag. Raises ConfigurationError for what the caller must change,
        UnavailableError for an outage.
        """
        await self._check_one_face(photo, photo_name)
        registered = Person(person, wallet_domain, wallet_id, await self._photos.save(person, photo))
        known = await self._tables.get(PERSONS.name, {PERSONS.partition_key: person}) is not None
        await self._people.save(registered)
        for tag, code in (codes or {}).items():
            await self._codes.save(person, tag, code)
        facts = {"replaced": int(known), "codes": len(codes or {})}
        await self._trail.append(Entry(str(uuid.uuid4()), "person.enrolled", facts))
        try:
            await self._people.issue(locator, person, expires_at)
        except ConditionFailedError as error:
            raise ConfigurationError(
                f"--locator: {locator} is in use already; leave it out to get a new one"
            ) from error
        return Enrolled(locator, registered, expires_at)

    async def _check_one_face(self, photo: bytes, name: str) -> None:
        if not photo:
            raise ConfigurationError(f"{name}: the file is empty")
        if len(photo) > _MOST_BYTES:
            raise ConfigurationError(f"{name}: {len(photo)} bytes are more than the {_MOST_BYTES} that are taken")
        try:
            answer = await self._aws.call(
                "rekognition.DetectFaces",
                self._aws.client("rekognition").detect_faces,
                Image={"Bytes": photo},
                Attributes=["DEFAULT"],
            )
        except ServiceError as error:
            if error.code == "InvalidImageFormatException":
                raise ConfigurationError(f"{name}: neither a PNG nor a JPEG picture, or a damaged one") from error
            raise
        faces = len(answer["FaceDetails"])
        if faces == 0:
            raise ConfigurationError(f"{name}: no face found in the picture")
        if faces > 1:
            raise ConfigurationError(f"{name}: {faces} faces found in the picture; it must show the person alone")
