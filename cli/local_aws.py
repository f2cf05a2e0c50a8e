"""AWS clients for an endpoint that is named by hand instead of by the environment."""

import os
import threading
from collections.abc import Mapping
from typing import Any, Final

import boto3
import botocore.session
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
    "AWS_CONFIG_FILE": os.devnull,  # it could name another endpoint for a service
}


class LocalAws(Aws):
    """Like Aws, for one endpoint that answers for every service; the environment of this process is not looked at.

    ``environment`` holds region and credentials under AWS's names.
    """

    def __init__(self, settings: StoreSettings, url: str, environment: Mapping[str, str] = LOCAL_ENVIRONMENT) -> None:
        super().__init__(settings)
        self._url = url
        # Neither AWS_PROFILE nor the files in ~/.aws count.
        core = botocore.session.Session(
            session_vars={"profile": (None, None, None, None), "config_file": (None, None, os.devnull, None)}
        )
        self._session: Any = boto3.Session(
            botocore_session=core,
            aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
            aws_session_token=environment.get("AWS_SESSION_TOKEN"),
            region_name=environment["AWS_REGION"],
        )
        self._local: dict[str, Any] = {}
        self._making = threading.Lock()
        self._options = Config(
            proxies={}, connect_timeout=2, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 3}
        )

    def client(self, service: str) -> Any:
        """Return the boto3 client of ``service``, made once."""
        with self._making:
            if service not in self._local:
                self._local[service] = self._session.client(service, endpoint_url=self._url, config=self._options)
            return self._local[service]
