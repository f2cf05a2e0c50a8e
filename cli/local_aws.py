"""AWS clients for an endpoint that is named by hand instead of by the environment."""

import threading
from typing import Any, Final

import boto3
from botocore.config import Config

from shared.settings import StoreSettings
from shared.stores import Aws

REGION: Final = "eu-west-1"
# What the emulated AWS takes as credentials: anything.
LOCAL_ENVIRONMENT: Final = {
    "AWS_REGION": REGION,
    "AWS_DEFAULT_REGION": REGION,
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_SECRET_ACCESS_KEY": "local",
    "AWS_EC2_METADATA_DISABLED": "true",
}


class LocalAws(Aws):
    """Like Aws, for one endpoint that answers for every service; the environment of this process is not looked at."""

    def __init__(self, settings: StoreSettings, url: str) -> None:
        super().__init__(settings)
        self._url = url
        self._session = boto3.Session(
            aws_access_key_id="local",
            aws_secret_access_key="local",  # noqa: S106 - the emulator takes anything
            region_name=REGION,
        )
        self._local: dict[str, Any] = {}
        self._making = threading.Lock()
        self._options = Config(
            connect_timeout=2, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 3}
        )

    def client(self, service: str) -> Any:
        """Return the boto3 client of ``service``, made once."""
        with self._making:
            if service not in self._local:
                make: Any = self._session.client  # its overloads want the service as a literal
                self._local[service] = make(service, endpoint_url=self._url, config=self._options)
            return self._local[service]
