"""The evidence of one attempt: kept the moment it is fetched, gone the moment it has served (rule 8).

One S3 object holds the reference picture, its metadata the confidence, so that one write keeps all that a second look
needs after the provider has forgotten the session.
"""

from dataclasses import dataclass
from typing import Final

from services.verdict.domain import Result, SessionStatus
from shared.errors import UnavailableError
from shared.stores import Aws, ServiceError
from shared.tables import EVIDENCE_PREFIX
from shared.verification import Attempt

_ABSENT: Final = {"NoSuchKey", "404", "NotFound"}
_KEPT_BEFORE: Final = {"PreconditionFailed", "ConditionalRequestConflict", "412", "409"}


@dataclass(frozen=True, slots=True)
class Picture:
    """A version of an object in S3."""

    bucket: str
    key: str
    version: str


class EvidenceStore:
    """Evidence in the bucket of pictures."""

    def __init__(self, aws: Aws, bucket: str) -> None:
        self._aws = aws
        self._bucket = bucket

    def _key(self, attempt: Attempt) -> str:
        return f"{EVIDENCE_PREFIX}{attempt.verification_id}/{attempt.attempt}"

    async def save(self, attempt: Attempt, result: Result) -> Picture:
        """Keep a finished result, once however often it is fetched: one version, which one removal removes.

        Raises UnavailableError.
        """
        try:
            answer = await self._aws.call(
                "s3.PutObject",
                self._aws.client("s3").put_object,
                Bucket=self._bucket,
                Key=self._key(attempt),
                Body=result.picture,
                Metadata={"confidence": f"{result.confidence_percent}"},
                IfNoneMatch="*",
            )
        except ServiceError as error:
            if error.code not in _KEPT_BEFORE:
                raise
            kept = await self.find(attempt)
            if kept is None:
                raise UnavailableError("s3.PutObject: another look is at the same evidence") from error
            return kept[1]
        return Picture(self._bucket, self._key(attempt), answer["VersionId"])

    async def find(self, attempt: Attempt) -> tuple[Result, Picture] | None:
        """Return what was kept of an attempt whose session the provider has forgotten."""
        try:
            answer = await self._aws.call(
                "s3.HeadObject", self._aws.client("s3").head_object, Bucket=self._bucket, Key=self._key(attempt)
            )
        except ServiceError as error:
            if error.code in _ABSENT:
                return None
            raise
        # That there is a picture is all that is judged; the comparison reads it from the bucket itself.
        present = b"kept" if answer["ContentLength"] else None
        # Header names have no case, and not every server keeps ours.
        metadata = {name.lower(): value for name, value in answer["Metadata"].items()}
        result = Result(SessionStatus.SUCCEEDED, float(metadata["confidence"]), present)
        return result, Picture(self._bucket, self._key(attempt), answer["VersionId"])

    async def forget(self, picture: Picture) -> None:
        """Remove a picture, its version included. Raises UnavailableError."""
        await self._aws.call(
            "s3.DeleteObject",
            self._aws.client("s3").delete_object,
            Bucket=picture.bucket,
            Key=picture.key,
            VersionId=picture.version,
        )
