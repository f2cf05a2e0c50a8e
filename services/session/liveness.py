"""The liveness provider, as far as sessions are created: a port, and Amazon Rekognition behind it."""

from typing import Protocol

from shared.stores import Aws


class LivenessSessions(Protocol):
    """Creates liveness sessions at a provider."""

    name: str

    async def create(self, token: str, *, lights: bool = True) -> str:
        """Return the id of a new session; the same ``token`` gives the same session. Raises UnavailableError.

        ``lights``: coloured lights may flash, which tells more; without them only movement is asked for.
        """


class RekognitionSessions:
    """Amazon Rekognition Face Liveness (CreateFaceLivenessSession). Results come as bytes, into no bucket of AWS's."""

    name = "rekognition"

    def __init__(self, aws: Aws) -> None:
        self._aws = aws

    async def create(self, token: str, *, lights: bool = True) -> str:
        """See LivenessSessions; ``token`` has 1 to 58 of the characters A-Z a-z 0-9 - _."""
        challenge = "FaceMovementAndLightChallenge" if lights else "FaceMovementChallenge"
        answer = await self._aws.call(
            "rekognition.CreateFaceLivenessSession",
            self._aws.client("rekognition").create_face_liveness_session,
            # A token means one session with its settings: another challenge is another session.
            ClientRequestToken=token if lights else f"{token}-still",
            Settings={"AuditImagesLimit": 0, "ChallengePreferences": [{"Type": challenge}]},
        )
        return str(answer["SessionId"])
