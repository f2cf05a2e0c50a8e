"""The AWS services that moto emulates, made safe for several threads and without moto's own Rekognition."""

from __future__ import annotations

import datetime
import functools
import threading
from typing import TYPE_CHECKING, Any, cast

import moto.core.responses
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.s3.exceptions import MissingBucket, S3ClientError
from moto.s3.models import s3_backends
from moto.sts.models import sts_backends

from emulators.dynamodb_transactions import use_quick_transactions
from emulators.item_actions import ItemActions
from emulators.signed_streams import Credentials

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

PRELOADED_SERVICES = ("dynamodb", "kms", "s3", "secretsmanager", "sts")
"""Imported before the endpoint is ready, so that no client's first call pays for it."""

_SCOPE_PARTS = 5
_DYNAMODB_TARGET = "DynamoDB_20120810."
_S3_CONTROL_PATH = "/v20180820/"
_ACCOUNT_ID = "123456789012"
"""moto's account for every caller that has assumed no role elsewhere."""


# moto lists the methods of the service's class anew for each request: a third of a request's time.
_responses: Any = moto.core.responses
_responses.method_names_from_class = functools.cache(_responses.method_names_from_class)


class MotoObjectStore:
    """S3 objects straight from moto's memory: no request to ourselves, hence no deadlock of the thread pool."""

    def __init__(self, lock: threading.Lock) -> None:
        self._backend = s3_backends[_ACCOUNT_ID]["aws"]
        self._lock = lock

    def read(self, bucket: str, key: str, version: str | None) -> bytes | None:
        """The object's bytes; None if bucket, object or version is missing, or if it was deleted."""
        with self._lock:
            try:
                found = self._backend.get_object(bucket, key, version)
            except S3ClientError:
                return None
            return None if found is None else bytes(found.value)

    def write(self, bucket: str, key: str, data: bytes) -> str | None:
        """Store an object and return its version (None without versioning); KeyError without such a bucket."""
        with self._lock:
            try:
                stored = self._backend.put_object(bucket, key, data)
                versioned = self._backend.get_bucket(bucket).is_versioned
            except MissingBucket:
                raise KeyError(bucket) from None
            return str(stored.version_id) if versioned else None


class MotoCredentials:
    """Temporary credentials straight from the memory of moto's STS."""

    def find(self, access_key: str) -> Credentials | None:
        """The credentials of this access key, if AssumeRole has handed them out."""
        role = sts_backends[_ACCOUNT_ID]["aws"].get_assumed_role_from_access_key(access_key)
        if role is None:
            return None
        expires_at = role.expiration.replace(tzinfo=datetime.UTC)
        return Credentials(role.secret_access_key, role.session_token, expires_at, role.policy)


class OneAtATime:
    """Lets one request at a time into an application.

    moto checks a condition and writes in two steps: without this, two racing conditional writes could both succeed.
    """

    def __init__(self, application: WSGIApplication, lock: threading.Lock) -> None:
        self._application = application
        self._lock = lock

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer the request; the body is made within the lock."""
        with self._lock:
            answer = self._application(environ, start_response)
            try:
                return list(answer)
            finally:
                close: Callable[[], None] | None = getattr(answer, "close", None)
                if close is not None:
                    close()


class MotoServices:
    """Finds the service of a request: preloaded ones by the signature, the rest as moto does.

    moto's own search lists its package's folder twice for every request, a quarter of a PutItem's time.
    """

    def __init__(self, rekognition: WSGIApplication, s3_lock: threading.Lock) -> None:
        use_quick_transactions()

        def create(service: Any) -> Any:
            # Whatever way leads to moto's Rekognition, it ends here.
            if service == "rekognition":
                return rekognition
            application: WSGIApplication = create_backend_app(service)
            if service == "dynamodb":
                application = ItemActions(application)
            return OneAtATime(application, s3_lock if service == "s3" else threading.Lock())

        self._preloaded: dict[str, WSGIApplication] = {service: create(service) for service in PRELOADED_SERVICES}
        self._dispatcher = DomainDispatcherApplication(create)
        self._dispatcher.app_instances.update(cast("Any", self._preloaded))

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one HTTP request."""
        application = self._preloaded.get(_signed_service(environ))
        if application is not None:
            return application(environ, start_response)
        return cast("WSGIApplication", self._dispatcher)(environ, start_response)


def _signed_service(environ: WSGIEnvironment) -> str:
    """The service in the credential scope of Signature Version 4; "" where moto must look closer."""
    _, _, scope = environ.get("HTTP_AUTHORIZATION", "").partition("Credential=")
    parts = scope.partition(",")[0].split("/")
    service = parts[3] if len(parts) == _SCOPE_PARTS else ""
    if service == "dynamodb" and not environ.get("HTTP_X_AMZ_TARGET", "").startswith(_DYNAMODB_TARGET):
        return ""  # streams, and versions of the interface before 2012
    if service == "s3" and environ.get("PATH_INFO", "").startswith(_S3_CONTROL_PATH):
        return ""
    return service
