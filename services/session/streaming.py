"""Credentials with which one browser streams its video to the provider: one action, for the shortest time there is."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from shared.stores import Aws

# STS gives no shorter ones.
CREDENTIAL_SECONDS: Final = 900
_POLICY: Final = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "rekognition:StartFaceLivenessSession", "Resource": "*"}],
    }
)


@dataclass(frozen=True, slots=True)
class StreamingAccess:
    """Where and with what a browser streams; ``endpoint`` is empty for AWS's own. Secret: never into a log."""

    region: str
    endpoint: str
    credentials: Mapping[str, str]


class RekognitionStreaming:
    """Amazon Rekognition's streaming endpoint, by a role narrowed to one action (AssumeRole, session policy)."""

    def __init__(self, aws: Aws, role: str, endpoint: str = "") -> None:
        self._aws = aws
        self._role = role
        self._endpoint = endpoint

    @property
    def url(self) -> str:
        """The endpoint that the page's policy must allow."""
        return self._endpoint or f"wss://streaming-rekognition.{self._region}.amazonaws.com"

    async def access(self, verification_id: str) -> StreamingAccess:
        """Return credentials for one attempt. Raises UnavailableError."""
        answer = await self._aws.call(
            "sts.AssumeRole",
            self._aws.client("sts").assume_role,
            RoleArn=self._role,
            RoleSessionName=f"scan-{verification_id}",
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
        return StreamingAccess(self._region, self._endpoint, credentials)

    @property
    def _region(self) -> str:
        return str(self._aws.client("rekognition").meta.region_name)
