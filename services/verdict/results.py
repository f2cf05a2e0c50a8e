"""The provider's results: a port, and Amazon Rekognition behind it."""

from typing import Final, Protocol

from services.verdict.domain import Result, SessionStatus
from shared.stores import Aws, ServiceError

_UNKNOWN_SESSION: Final = "SessionNotFoundException"


class LivenessResults(Protocol):
    """Fetches the result of a liveness session."""

    async def fetch(self, session_id: str) -> Result:
        """Return the session's result as it is now. Raises UnavailableError when the provider does not answer."""


class RekognitionResults:
    """Amazon Rekognition Face Liveness (GetFaceLivenessSessionResults)."""

    def __init__(self, aws: Aws) -> None:
        self._aws = aws

    async def fetch(self, session_id: str) -> Result:
        """See LivenessResults."""
        try:
            answer = await self._aws.call(
                "rekognition.GetFaceLivenessSessionResults",
                self._aws.client("rekognition").get_face_liveness_session_results,
                SessionId=session_id,
            )
        except ServiceError as error:
            if error.code == _UNKNOWN_SESSION:
                return Result(SessionStatus.GONE)
            raise
        picture = answer.get("ReferenceImage", {}).get("Bytes")
        return Result(SessionStatus(answer["Status"]), answer.get("Confidence"), picture)
