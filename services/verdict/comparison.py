"""The comparison of the check's picture with the pinned version of the legal photo (Rekognition CompareFaces)."""

import logging
from typing import Final, Protocol

from services.verdict.domain import Match
from services.verdict.evidence import Picture
from shared.errors import UnavailableError
from shared.stores import Aws, ServiceError
from shared.verification import LegalPhoto

log = logging.getLogger(__name__)

# Rekognition's one code for "no face in source or target". The legal photo had exactly one when it was enrolled.
_NO_FACE: Final = "InvalidParameterException"


class Faces(Protocol):
    """Compares faces."""

    async def compare(self, picture: Picture, photo: LegalPhoto) -> Match:
        """Say whether both show the same person. Raises UnavailableError when that cannot be said now."""


class RekognitionFaces:
    """Amazon Rekognition CompareFaces on objects in S3; pictures never pass through this process for it."""

    def __init__(self, aws: Aws, bucket: str, least_similarity_percent: float) -> None:
        self._aws = aws
        self._bucket = bucket
        self._least_similarity_percent = least_similarity_percent

    async def compare(self, picture: Picture, photo: LegalPhoto) -> Match:
        """See Faces."""
        try:
            answer = await self._aws.call(
                "rekognition.CompareFaces",
                self._aws.client("rekognition").compare_faces,
                SourceImage={"S3Object": {"Bucket": picture.bucket, "Name": picture.key, "Version": picture.version}},
                TargetImage={"S3Object": {"Bucket": self._bucket, "Name": photo.key, "Version": photo.version}},
                SimilarityThreshold=self._least_similarity_percent,
                QualityFilter="AUTO",
            )
        except ServiceError as error:
            if error.code == _NO_FACE:
                return Match.NO_FACE
            # A photo that cannot be read is an outage of ours, never a "no".
            raise UnavailableError(str(error)) from error
        matches, others = answer.get("FaceMatches", []), answer.get("UnmatchedFaces", [])
        if len(matches) + len(others) != 1:
            # With two faces on the legal photo either would match.
            log.error("the legal photo does not show one face", extra={"faces": len(matches) + len(others)})
            return Match.NO_FACE
        return Match.SAME if matches and matches[0]["Similarity"] >= self._least_similarity_percent else Match.OTHER
