"""Kafka by the rights of an IAM role (Amazon MSK): SASL OAUTHBEARER with a token that AWS's credentials sign.

The token is the address of a request ``kafka-cluster:Connect`` that nobody sends, signed by Signature Version 4 in its
query (MSK Developer Guide, "IAM access control"; IAM, "Add the signature to the query string"), in base64url without
padding. botocore, which is here anyway, signs. Imported only where it is chosen.
"""

import asyncio
import base64
import os
import time
from collections.abc import Callable
from typing import Any, Final

import boto3
from aiokafka.abc import AbstractTokenProvider
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import BotoCoreError

from shared.errors import ConfigurationError, UnavailableError

# What MSK takes at most.
TOKEN_SECONDS: Final = 900
# One that ends soon is not begun with: the broker's clock may be ahead.
_LEFT_SECONDS: Final = 120
_SERVICE: Final = "kafka-cluster"


class IamTokens(AbstractTokenProvider):  # type: ignore[misc]  # the client has no types
    """Gives the token of the process's AWS credentials; one is used again while it has some minutes left."""

    def __init__(self, region: str, session: Any, clock: Callable[[], float] = time.monotonic) -> None:
        self._region = region
        self._session = session
        self._clock = clock
        self._token = ""
        self._until = float("-inf")
        self._lock = asyncio.Lock()

    async def token(self) -> str:
        """Return a token that is good for two minutes at least. Raises UnavailableError without credentials."""
        async with self._lock:
            if self._clock() >= self._until:
                began = self._clock()
                # Credentials may come over the network.
                self._token = await asyncio.to_thread(self._sign)
                self._until = began + TOKEN_SECONDS - _LEFT_SECONDS
            return self._token

    def _sign(self) -> str:
        try:
            found = self._session.get_credentials()
            credentials = found.get_frozen_credentials() if found is not None else None
        except BotoCoreError as error:
            raise UnavailableError(f"no AWS credentials for Kafka: {type(error).__name__}") from error
        if credentials is None:
            raise UnavailableError("no AWS credentials for Kafka: set AWS_ACCESS_KEY_ID or a role")
        url = f"https://kafka.{self._region}.amazonaws.com/?Action=kafka-cluster%3AConnect"
        request = AWSRequest("GET", url)
        SigV4QueryAuth(credentials, _SERVICE, self._region, expires=TOKEN_SECONDS).add_auth(request)
        # Who asks, for the broker's log; not signed.
        signed = f"{request.url}&User-Agent=facescan"
        return base64.urlsafe_b64encode(signed.encode()).rstrip(b"=").decode()


def iam_tokens() -> IamTokens:
    """Return the tokens of this process's credentials and region. Raises ConfigurationError."""
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if not region:
        raise ConfigurationError("AWS_REGION is not set, which FACESCAN_KAFKA_SASL_MECHANISM=AWS_MSK_IAM needs")
    return IamTokens(region, boto3.session.Session(region_name=region))
