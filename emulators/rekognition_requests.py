"""Reading of Rekognition's requests: parameters within their documented bounds, images from bytes or from S3."""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING, Any, Protocol

from emulators import json_fields
from emulators.aws_errors import AwsError, invalid_parameter
from emulators.faces import ATTRIBUTE_DETAILS, Image, open_image
from emulators.liveness_sessions import Settings

if TYPE_CHECKING:
    from emulators.json_fields import JsonObject

MOST_IMAGE_BYTES = 5 * 1024 * 1024
MOST_OBJECT_BYTES = 15 * 1024 * 1024
DEFAULT_SIMILARITY_THRESHOLD = 80.0
QUALITY_FILTERS = ("NONE", "AUTO", "LOW", "MEDIUM", "HIGH")
CHALLENGES = {"FaceMovementAndLightChallenge": "2.0.0", "FaceMovementChallenge": "1.0.0"}

_TOKEN = re.compile(r"[a-zA-Z0-9-_]{1,64}")
_SESSION_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_BUCKET = re.compile(r"[0-9A-Za-z.\-_]{3,255}")
_PREFIX = re.compile(r"\S{0,950}")


class ObjectStore(Protocol):
    """The S3 of the account: what Rekognition reads pictures from and writes reference images to."""

    def read(self, bucket: str, key: str, version: str | None) -> bytes | None:
        """The object's bytes; None if bucket, object or version is missing."""

    def write(self, bucket: str, key: str, data: bytes) -> str | None:
        """Store an object and return its version (None in a bucket without versions); KeyError without a bucket."""


def session_settings(request: JsonObject) -> Settings:
    """`Settings` of CreateFaceLivenessSession."""
    given = json_fields.mapping(request, "Settings", {})
    output = json_fields.mapping(given, "OutputConfig", None)
    bucket, prefix = None, ""
    if output is not None:
        bucket = _matching(_BUCKET, json_fields.text(output, "S3Bucket"), "S3Bucket")
        prefix = _matching(_PREFIX, output.get("S3KeyPrefix") or "", "S3KeyPrefix")
    preferences = given.get("ChallengePreferences") or [{"Type": "FaceMovementAndLightChallenge"}]
    if not isinstance(preferences, list) or not all(isinstance(entry, dict) for entry in preferences):
        raise invalid_parameter("ChallengePreferences: a list of objects is expected")
    types = [json_fields.one_of(entry, "Type", tuple(CHALLENGES)) for entry in preferences]
    return Settings(
        audit_images_limit=json_fields.whole(given, "AuditImagesLimit", 0, least=0, most=4),
        challenge_type=types[0],
        challenge_version=CHALLENGES[types[0]],
        output_bucket=bucket,
        output_prefix=prefix,
    )


def client_request_token(request: JsonObject) -> str | None:
    """`ClientRequestToken`, 1..64 of `[a-zA-Z0-9-_]`."""
    token = request.get("ClientRequestToken")
    return None if token is None else _matching(_TOKEN, token, "ClientRequestToken")


def session_id(request: JsonObject) -> str:
    """`SessionId`, a lower-case UUID."""
    return _matching(_SESSION_ID, json_fields.text(request, "SessionId"), "SessionId")


def similarity_threshold(request: JsonObject) -> float:
    """`SimilarityThreshold` in percent; also checks `QualityFilter`, which the test pictures always pass."""
    json_fields.one_of(request, "QualityFilter", QUALITY_FILTERS, "NONE")
    return json_fields.number(request, "SimilarityThreshold", DEFAULT_SIMILARITY_THRESHOLD, least=0, most=100)


def attributes(request: JsonObject) -> list[str]:
    """`Attributes` of DetectFaces."""
    names = request.get("Attributes") or ["DEFAULT"]
    allowed = {"DEFAULT", "ALL", *ATTRIBUTE_DETAILS}
    if not isinstance(names, list) or not all(isinstance(name, str) and name in allowed for name in names):
        raise invalid_parameter("Attributes: a list of known attribute names is expected")
    return names


def image(request: JsonObject, name: str, store: ObjectStore) -> Image:
    """The picture `name`, given as `Bytes` or as `S3Object` {Bucket, Name, Version?}, one of them."""
    given = json_fields.mapping(request, name)
    location = json_fields.mapping(given, "S3Object", None)
    if (location is None) == (given.get("Bytes") is None):
        raise invalid_parameter(f"{name}: either Bytes or S3Object is expected")
    if location is None:
        return open_image(_image_bytes(given["Bytes"], name))
    bucket, key = json_fields.text(location, "Bucket"), json_fields.text(location, "Name")
    data = store.read(bucket, key, json_fields.text(location, "Version", None))
    if data is None:
        raise AwsError(
            "InvalidS3ObjectException",
            "Unable to get object metadata from S3. Check object key, region and/or access permissions.",
        )
    if len(data) > MOST_OBJECT_BYTES:
        raise AwsError("ImageTooLargeException", f"{name}: the object exceeds {MOST_OBJECT_BYTES} bytes")
    return open_image(data)


def _image_bytes(encoded: Any, name: str) -> bytes:
    try:
        data = base64.b64decode(encoded, validate=True)
    except (binascii.Error, TypeError, ValueError):
        raise AwsError("SerializationException", f"{name}: Bytes is not base64") from None
    if len(data) > MOST_IMAGE_BYTES:
        raise AwsError("ImageTooLargeException", f"{name}: the image exceeds {MOST_IMAGE_BYTES} bytes")
    return data


def _matching(pattern: re.Pattern[str], value: Any, name: str) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise invalid_parameter(f"{name}: {value!r} does not match {pattern.pattern}")
    return value
