"""The liveness provider, as far as sessions are created: a port, and Amazon Rekognition behind it."""

from typing import Protocol

from shared.stores import Aws


class LivenessSessions(Protocol):
    """Creates liveness sessions at a provider."""

    name: str

    async def create(self, token: str) -> str:
        """Return the id of a new session; the same ``token`` gives the same session. Raises UnavailableError."""


class RekognitionSessions:
    """Amazon Rekognition Face Liveness (CreateFaceLivenessSession). Results come as bytes, into no bucket of AWS's."""

    name = "rekognition"

    def __init__(self, aws: Aws) -> None:
        self._aws = aws

    async def create(self, token: str) -> str:
        """See LivenessSessions; ``token`` has 1 to 64 of the characters A-Z a-z 0-9 - _."""
        answer = await self._aws.call(
            "rekognition.CreateFaceLivenessSession",
            self._aws.client("rekognition").create_face_liveness_session,
            ClientRequestToken=token,
            Settings={"AuditImagesLimit": 0},
        )
        return str(answer["SessionId"])
