"""The comparison of the check's picture with the pinned version of the legal photo (Rekognition CompareFaces)."""

import asyncio
import logging
from typing import Final, Protocol

from services.verdict.domain import Match
from shared.errors import UnavailableError
from shared.legal_photos import LegalPhotos
from shared.stores import Aws, ServiceError
from shared.verification import Attempt

log = logging.getLogger(__name__)

# Rekognition's one code for "no face in source or target". The legal photo had exactly one when it was enrolled.
_NO_FACE: Final = "InvalidParameterException"


class Faces(Protocol):
    """Compares faces."""

    async def compare(self, picture: bytes, attempt: Attempt, least_similarity_percent: float) -> Match:
        """Say whether ``picture`` (PNG or JPEG) shows one face, of whom the attempt's pinned legal photo shows.

        Raises UnavailableError when that cannot be said now.
        """


class RekognitionFaces:
    """Amazon Rekognition: CompareFaces, and DetectFaces for the faces that it does not count.

    The pictures go as bytes: what lies in S3 is sealed (ADR 17).
    """

    def __init__(self, aws: Aws, photos: LegalPhotos) -> None:
        self._aws = aws
        self._photos = photos

    async def compare(self, picture: bytes, attempt: Attempt, least_similarity_percent: float) -> Match:
        """See Faces."""
        # Side by side: a verification's own time has room for one of them only.
        match, alone = await asyncio.gather(
            self._match(picture, attempt, least_similarity_percent), self._shows_one_face(picture)
        )
        return match if alone else Match.NO_FACE

    async def _match(self, picture: bytes, attempt: Attempt, least_similarity_percent: float) -> Match:
        # Of nobody there is no photo; the answer must not come sooner for that: the picture is compared with itself.
        photo = await self._photos.read(attempt.person, attempt.photo) if attempt.person else picture
        try:
            answer = await self._aws.call(
                "rekognition.CompareFaces",
                self._aws.client("rekognition").compare_faces,
                SourceImage={"Bytes": picture},
                TargetImage={"Bytes": photo},
                SimilarityThreshold=least_similarity_percent,
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
        return Match.SAME if matches and matches[0]["Similarity"] >= least_similarity_percent else Match.OTHER

    async def _shows_one_face(self, picture: bytes) -> bool:
        """Say whether the check's picture shows one person: of several, CompareFaces takes the largest unasked."""
        try:
            answer = await self._aws.call(
                "rekognition.DetectFaces", self._aws.client("rekognition").detect_faces, Image={"Bytes": picture}
            )
        except ServiceError as error:
            if error.code == _NO_FACE:
                return False
            raise UnavailableError(str(error)) from error
        return len(answer["FaceDetails"]) == 1
