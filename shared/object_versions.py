"""Versions of objects in S3: to remove an object means to remove each of its versions, delete markers included."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from shared.errors import UnavailableError
from shared.stores import Aws

_MOST_AT_ONCE: Final = 1000  # of ListObjectVersions and of DeleteObjects


@dataclass(frozen=True, slots=True)
class ObjectVersion:
    """One version of an object; ``marker``: it only says that the object was deleted."""

    bucket: str
    key: str
    version: str
    newest: bool
    written_at: datetime
    marker: bool = False


class ObjectVersions:
    """Lists and removes versions."""

    def __init__(self, aws: Aws, page: int = _MOST_AT_ONCE) -> None:
        self._aws = aws
        self._page = page

    async def find(self, bucket: str, prefix: str) -> AsyncIterator[ObjectVersion]:
        """Give every version below ``prefix``: by key, of one key the newest first. Raises UnavailableError."""
        where: dict[str, Any] = {"Bucket": bucket, "Prefix": prefix, "MaxKeys": self._page}
        while True:
            answer = await self._aws.call("s3.ListObjectVersions", self._aws.client("s3").list_object_versions, **where)
            found = [_version(bucket, one, marker=False) for one in answer.get("Versions", [])]
            found += [_version(bucket, one, marker=True) for one in answer.get("DeleteMarkers", [])]
            found.sort(key=lambda one: (one.newest, one.written_at), reverse=True)
            found.sort(key=lambda one: one.key)
            for one in found:
                yield one
            if not answer.get("IsTruncated"):
                return
            where |= {"KeyMarker": answer["NextKeyMarker"]}
            if "NextVersionIdMarker" in answer:
                where |= {"VersionIdMarker": answer["NextVersionIdMarker"]}

    async def remove(self, versions: Sequence[ObjectVersion]) -> int:
        """Remove these versions for good and return how many. Raises UnavailableError when one could not be."""
        for bucket in {one.bucket for one in versions}:
            here = [one for one in versions if one.bucket == bucket]
            for start in range(0, len(here), self._page):
                answer = await self._aws.call(
                    "s3.DeleteObjects",
                    self._aws.client("s3").delete_objects,
                    Bucket=bucket,
                    Delete={
                        "Quiet": True,
                        "Objects": [
                            {"Key": one.key, "VersionId": one.version} for one in here[start : start + self._page]
                        ],
                    },
                )
                if errors := answer.get("Errors"):
                    raise UnavailableError(f"s3.DeleteObjects: {errors[0].get('Code')}, {len(errors)} objects")
        return len(versions)


def _version(bucket: str, entry: Any, *, marker: bool) -> ObjectVersion:
    return ObjectVersion(
        bucket, entry["Key"], entry["VersionId"], bool(entry["IsLatest"]), entry["LastModified"], marker
    )
