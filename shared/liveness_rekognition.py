"""Amazon Rekognition Face Liveness. Results come as bytes, into no bucket of AWS's; sessions end after 3 minutes."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from shared.errors import ConfigurationError, UnavailableError
from shared.liveness import Finding, ProviderTroubleError, Result, SessionOrder, Streaming
from shared.stores import Aws, ServiceError
from shared.verification import Attempt

NAME: Final = "rekognition"
# STS gives no shorter ones.
CREDENTIAL_SECONDS: Final = 900

_UNKNOWN_SESSION: Final = "SessionNotFoundException"
_POLICY: Final = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "rekognition:StartFaceLivenessSession", "Resource": "*"}],
    }
)
_OTHERS: Final = {
    "CREATED": Finding.RUNNING,
    "IN_PROGRESS": Finding.RUNNING,
    "FAILED": Finding.UNDECIDED,
    "EXPIRED": Finding.EXPIRED,
}
# Quota of CreateFaceLivenessSession a second (AWS General Reference, Rekognition's quotas); 5 everywhere else.
_LARGE_REGIONS: Final = frozenset({"us-east-1", "us-west-2"})
_LARGE_PER_SECOND: Final = 25.0
_PER_SECOND: Final = 5.0


class RekognitionProvider:
    """See LivenessProvider.

    ``role`` is whose credentials a browser gets, narrowed to one action; a service without browsers has none.
    ``endpoint`` is where it streams instead of AWS. ``sessions_per_second``: None for the quota of the region.
    """

    name = NAME
    lights_optional = True

    def __init__(
        self, aws: Aws, *, role: str | None = None, endpoint: str = "", sessions_per_second: float | None = None
    ) -> None:
        self._aws = aws
        self._role = role
        self._endpoint = endpoint
        self._per_second = sessions_per_second

    @property
    def streaming_url(self) -> str:
        """See LivenessProvider."""
        return self._endpoint or f"wss://streaming-rekognition.{self._region}.amazonaws.com"

    @property
    def sessions_per_second(self) -> float:
        """See LivenessProvider."""
        if self._per_second is not None:
            return self._per_second
        return _LARGE_PER_SECOND if self._region in _LARGE_REGIONS else _PER_SECOND

    async def create(self, order: SessionOrder) -> str:
        """See LivenessProvider (CreateFaceLivenessSession)."""
        challenge = "FaceMovementAndLightChallenge" if order.lights else "FaceMovementChallenge"
        with _trouble():
            answer = await self._aws.call(
                "rekognition.CreateFaceLivenessSession",
                self._aws.client("rekognition").create_face_liveness_session,
                # A token means one session with its settings: another challenge is another session.
                ClientRequestToken=order.token if order.lights else f"{order.token}-still",
                Settings={"AuditImagesLimit": 0, "ChallengePreferences": [{"Type": challenge}]},
            )
        return str(answer["SessionId"])

    async def access(self, attempt: Attempt, return_url: str) -> Streaming:
        """See LivenessProvider: credentials for one action, for the shortest time there is (AssumeRole)."""
        if self._role is None:
            raise ConfigurationError("FACESCAN_STREAMING_ROLE is not set")
        with _trouble():
            answer = await self._aws.call(
                "sts.AssumeRole",
                self._aws.client("sts").assume_role,
                RoleArn=self._role,
                RoleSessionName=f"scan-{attempt.verification_id}",
                DurationSeconds=CREDENTIAL_SECONDS,
                Policy=_POLICY,
            )
        given: Mapping[str, Any] = answer["Credentials"]
        credentials = {
            "accessKeyId": str(given["AccessKeyId"]),
            "secretAccessKey": str(given["SecretAccessKey"]),
            "sessionToken": str(given["SessionToken"]),
            "expiration": given["Expiration"].isoformat(),
        }
        return Streaming(self._region, self._endpoint, credentials)

    async def result(self, session_id: str, least_confidence_percent: float) -> Result:
        """See LivenessProvider (GetFaceLivenessSessionResults)."""
        with _trouble():
            try:
                answer = await self._aws.call(
                    "rekognition.GetFaceLivenessSessionResults",
                    self._aws.client("rekognition").get_face_liveness_session_results,
                    SessionId=session_id,
                )
            except ServiceError as error:
                if error.code == _UNKNOWN_SESSION:
                    return Result(Finding.EXPIRED)
                raise
        picture = answer.get("ReferenceImage", {}).get("Bytes")
        return judged(answer["Status"], answer.get("Confidence"), picture, least_confidence_percent)

    async def erase(self, session_id: str) -> None:
        """See LivenessProvider: there is no call for it, and three minutes after its creation all is gone."""

    @property
    def _region(self) -> str:
        return str(self._aws.client("rekognition").meta.region_name)


def judged(status: str, confidence: float | None, picture: bytes | None, least_confidence_percent: float) -> Result:
    """Return what an answer means. SUCCEEDED only says that the analysis has finished: the threshold is ours.

    A missing reference picture is a retry, never a denial.
    """
    if status in _OTHERS:
        return Result(_OTHERS[status])
    if status != "SUCCEEDED":
        raise ProviderTroubleError(f"rekognition: unknown status {status[:40]!r}")
    if confidence is None:
        return Result(Finding.UNDECIDED)
    if confidence < least_confidence_percent:
        return Result(Finding.NOT_LIVE, picture)
    return Result(Finding.LIVE, picture) if picture else Result(Finding.UNDECIDED)


@contextmanager
def _trouble() -> Iterator[None]:
    """Name the provider's trouble for what it is; what it refuses, for want of a permission say, is no "no" either."""
    try:
        yield
    except (UnavailableError, ServiceError) as error:
        raise ProviderTroubleError(str(error)) from error
