"""The evidence of one attempt: kept the moment it is fetched, gone the moment it has served (rule 8).

One S3 object holds the reference picture and what the provider has found, sealed with the person's data key, so that
one write keeps all that a second look needs after the provider has forgotten the session. No score is kept.
"""

import base64
from dataclasses import dataclass
from functools import partial
from typing import Final

import orjson

from shared.errors import UnavailableError
from shared.liveness import Finding, Result
from shared.person_keys import PersonKeys
from shared.sealing import DataKey, Kind, SealBrokenError
from shared.stores import Aws, ServiceError, read_object
from shared.tables import EVIDENCE_PREFIX
from shared.verification import Attempt

_ABSENT: Final = {"NoSuchKey", "404", "NotFound"}
# Enrolment takes no such person.
_NOBODY: Final = "(nobody)"
_KEPT_BEFORE: Final = {"PreconditionFailed", "ConditionalRequestConflict", "412", "409"}


@dataclass(frozen=True, slots=True)
class Picture:
    """A version of an object in S3."""

    bucket: str
    key: str
    version: str


class EvidenceStore:
    """Evidence in the bucket of pictures."""

    def __init__(self, aws: Aws, bucket: str, keys: PersonKeys) -> None:
        self._aws = aws
        self._bucket = bucket
        self._keys = keys

    def _key(self, attempt: Attempt) -> str:
        return f"{EVIDENCE_PREFIX}{attempt.verification_id}/{attempt.attempt}"

    async def prepare(self, attempt: Attempt) -> None:
        """Have the person's data key at hand, while the provider is asked. Raises UnavailableError."""
        await self._key_of(attempt)

    async def _key_of(self, attempt: Attempt) -> DataKey:
        # Nobody's locator has a page, too, where a hosted function asked for it.
        return await (self._keys.get(attempt.person) if attempt.person else self._keys.create(_NOBODY))

    async def save(self, attempt: Attempt, result: Result) -> Picture:
        """Keep a finished result, once however often it is fetched: one version, which one removal removes.

        Raises UnavailableError.
        """
        key = await self._key_of(attempt)
        try:
            answer = await self._aws.call(
                "s3.PutObject",
                self._aws.client("s3").put_object,
                Bucket=self._bucket,
                Key=self._key(attempt),
                Body=key.seal(Kind.EVIDENCE, self._key(attempt), _written(result)),
                IfNoneMatch="*",
            )
        except ServiceError as error:
            if error.code not in _KEPT_BEFORE:
                raise
            kept = await self.place(attempt)
            if kept is None:
                raise UnavailableError("s3.PutObject: another look is at the same evidence") from error
            return kept
        return Picture(self._bucket, self._key(attempt), answer["VersionId"])

    async def place(self, attempt: Attempt) -> Picture | None:
        """Return where something is kept of an attempt, if anything is."""
        try:
            answer = await self._aws.call(
                "s3.HeadObject", self._aws.client("s3").head_object, Bucket=self._bucket, Key=self._key(attempt)
            )
        except ServiceError as error:
            if error.code in _ABSENT:
                return None
            raise
        return Picture(self._bucket, self._key(attempt), answer["VersionId"])

    async def find(self, attempt: Attempt) -> tuple[Result, Picture] | None:
        """Return what was kept of an attempt whose session the provider has forgotten. Raises UnavailableError."""
        place = await self.place(attempt)
        if place is None:
            return None
        key = await self._key_of(attempt)
        try:
            sealed = await self._aws.call(
                "s3.GetObject",
                partial(read_object, self._aws.client("s3")),
                Bucket=place.bucket,
                Key=place.key,
                VersionId=place.version,
            )
            return _read(key.open(Kind.EVIDENCE, place.key, sealed)), place
        except (ServiceError, SealBrokenError) as error:
            raise UnavailableError(str(error)) from error

    async def forget(self, picture: Picture) -> None:
        """Remove a picture, its version included. Raises UnavailableError."""
        await self._aws.call(
            "s3.DeleteObject",
            self._aws.client("s3").delete_object,
            Bucket=picture.bucket,
            Key=picture.key,
            VersionId=picture.version,
        )


def _written(result: Result) -> bytes:
    picture = base64.b64encode(result.picture or b"").decode()
    return orjson.dumps({"finding": result.finding, "picture": picture})


def _read(data: bytes) -> Result:
    members = orjson.loads(data)
    return Result(Finding(members["finding"]), base64.b64decode(members["picture"]) or None)
