"""Amazon Rekognition's control plane as a WSGI application (AWS JSON 1.1: POST /, `X-Amz-Target`).

Operations: CreateFaceLivenessSession, GetFaceLivenessSessionResults, CompareFaces, DetectFaces. Who is on a picture
stands in the picture (`emulators.pictures`). Side doors, plain JSON over HTTP, play the camera, the clock and outages:

    POST /_emulator/camera   {"session_id", "person", "confidence": 0..100, "faces": 1, "reference_image": true,
                              "status": "SUCCEEDED" | "FAILED" | "IN_PROGRESS"}
                             who stands before the camera of that session; 404 unknown, 409 expired or already ended
    POST /_emulator/clock    {"advance_seconds": n}
    POST /_emulator/errors   {"operation": "CompareFaces", "error": "ThrottlingException", "count": 3}
                             the next `count` calls of the operation fail so; 0 takes it back
    POST /_emulator/limit    {"operation": "CompareFaces", "per_second": 5}
                             a quota: more calls than that are throttled; 0 takes it back
    POST /_emulator/stage    {"person", "confidence", "faces", "reference_image", "status": "SUCCEEDED" | "FAILED",
                              "fits": true, "error": "ThrottlingException"}
                             who stands before every camera that streams from now on; fits false: no face ever does;
                             error: the stream ends so
                             errors and stage may name a "token": for sessions whose ClientRequestToken begins so
    GET  /_emulator/sessions every remembered session: id, status, age, token
"""

from __future__ import annotations

import base64
import threading
import uuid
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import orjson

from emulators import faces, json_fields, rekognition_requests
from emulators.aws_errors import AwsError, invalid_parameter
from emulators.json_fields import FieldError, JsonObject
from emulators.liveness_sessions import Capture, Clock, Session, SessionError, Sessions, Status
from emulators.liveness_streams import OPERATION, STREAM_ERRORS, Streams, capture_from
from emulators.quotas import Quotas

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

    from emulators.rekognition_requests import ObjectStore

TARGET_PREFIX = "RekognitionService."
SIDE_DOOR_PREFIX = "/_emulator/"
INJECTABLE_ERRORS = (
    "ThrottlingException",
    "ProvisionedThroughputExceededException",
    "InternalServerError",
    "AccessDeniedException",
)
MOST_INJECTED = 1_000_000

_JSON = "application/json"
_AWS_JSON = "application/x-amz-json-1.1"


class Rekognition:
    """The service of one account and region; every call holds one lock, so that threads see whole states."""

    def __init__(self, store: ObjectStore, clock: Clock | None = None) -> None:
        self._store = store
        self._clock = clock or Clock()
        self._sessions = Sessions(self._clock)
        # By operation and how the token of the request begins.
        self._injected: dict[tuple[str, str], tuple[str, int]] = {}
        self._quotas = Quotas(self._clock)
        self._lock = threading.Lock()
        self.streams = Streams(self._sessions, self._lock, self._fail_if_injected, self._film)
        self._operations: dict[str, Callable[[JsonObject], JsonObject]] = {
            "CreateFaceLivenessSession": self._create_session,
            "GetFaceLivenessSessionResults": self._session_results,
            "CompareFaces": self._compare_faces,
            "DetectFaces": self._detect_faces,
        }
        self._side_doors: dict[tuple[str, str], Callable[[JsonObject], Any]] = {
            ("POST", "camera"): self._camera,
            ("POST", "clock"): self._advance_clock,
            ("POST", "errors"): self._inject_errors,
            ("POST", "limit"): self._set_limit,
            ("POST", "stage"): self.streams.set_stage,
            ("GET", "sessions"): self._list_sessions,
        }

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one HTTP request."""
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        path = environ.get("PATH_INFO", "/")
        headers: list[tuple[str, str]] = []
        if path.startswith(SIDE_DOOR_PREFIX):
            status, answer = self._side_door(environ["REQUEST_METHOD"], path.removeprefix(SIDE_DOOR_PREFIX), body)
            content_type = _JSON
        else:
            status, answer = self._call(environ.get("HTTP_X_AMZ_TARGET", ""), body)
            content_type = _AWS_JSON
            headers.append(("x-amzn-RequestId", str(uuid.uuid4())))
            if "__type" in answer:
                headers.append(("x-amzn-errortype", answer["__type"]))
        content = orjson.dumps(answer)
        headers += [("Content-Type", content_type), ("Content-Length", str(len(content)))]
        start_response(f"{status} {HTTPStatus(status).phrase}", headers)
        return [content]

    def _call(self, target: str, body: bytes) -> tuple[int, JsonObject]:
        operation = target.removeprefix(TARGET_PREFIX)
        handler = self._operations.get(operation) if target.startswith(TARGET_PREFIX) else None
        if handler is None:
            return _refusal(AwsError("UnknownOperationException", f"unknown operation {operation!r}"))
        try:
            request = json_fields.read_object(body)
        except FieldError as error:
            return _refusal(AwsError("SerializationException", str(error)))
        try:
            with self._lock:
                self._fail_if_injected(operation, str(request.get("ClientRequestToken", "")))
                self._quotas.take(operation)
                return 200, handler(request)
        except FieldError as error:
            return _refusal(invalid_parameter(str(error)))
        except AwsError as error:
            return _refusal(error)

    def _side_door(self, method: str, name: str, body: bytes) -> tuple[int, Any]:
        door = self._side_doors.get((method, name))
        if door is None:
            return 404, {"error": f"no side door {method} {SIDE_DOOR_PREFIX}{name}"}
        try:
            request = json_fields.read_object(body)
            with self._lock:
                return 200, door(request)
        except FieldError as error:
            return 400, {"error": str(error)}
        except SessionError as error:
            return error.status, {"error": str(error)}

    def _fail_if_injected(self, operation: str, token: str = "") -> None:
        for (ordered, start), (error, count) in self._injected.items():
            if ordered == operation and token.startswith(start) and count:
                self._injected[operation, start] = (error, count - 1)
                raise AwsError(error, f"{error} as told by {SIDE_DOOR_PREFIX}errors")

    def _create_session(self, request: JsonObject) -> JsonObject:
        token = rekognition_requests.client_request_token(request)
        session = self._sessions.create(rekognition_requests.session_settings(request), token)
        return {"SessionId": session.session_id}

    def _session_results(self, request: JsonObject) -> JsonObject:
        session = self._sessions.result(rekognition_requests.session_id(request))
        answer: JsonObject = {"SessionId": session.session_id, "Status": session.status.value}
        if session.status in {Status.SUCCEEDED, Status.FAILED}:
            settings = session.settings
            answer["Challenge"] = {"Type": settings.challenge_type, "Version": settings.challenge_version}
        if session.capture is not None:
            answer["Confidence"] = session.capture.confidence
            answer["AuditImages"] = [
                _audit_image(session, index) for index in range(1, session.settings.audit_images_limit + 1)
            ]
            if session.capture.reference_image:
                answer["ReferenceImage"] = _audit_image(session, 0)
        return answer

    def _compare_faces(self, request: JsonObject) -> JsonObject:
        threshold = rekognition_requests.similarity_threshold(request)
        source = rekognition_requests.image(request, "SourceImage", self._store)
        target = rekognition_requests.image(request, "TargetImage", self._store)
        return faces.compare(source, target, threshold)

    def _detect_faces(self, request: JsonObject) -> JsonObject:
        names = rekognition_requests.attributes(request)
        return faces.detect(rekognition_requests.image(request, "Image", self._store), names)

    def _camera(self, request: JsonObject) -> JsonObject:
        status = Status(json_fields.one_of(request, "status", ("SUCCEEDED", "FAILED", "IN_PROGRESS"), "SUCCEEDED"))
        session = self._film(json_fields.text(request, "session_id"), status, capture_from(request))
        return {"session_id": session.session_id, "status": session.status.value}

    def _film(self, session_id: str, status: Status, capture: Capture) -> Session:
        session = self._sessions.film(session_id, status, capture)
        if session.settings.output_bucket and session.capture is not None and capture.reference_image:
            self._write_reference(session, session.settings.output_bucket)
        return session

    def _write_reference(self, session: Session, bucket: str) -> None:
        """With an OutputConfig the reference image lies in the caller's bucket and is not returned as bytes."""
        key = f"{session.settings.output_prefix}{session.session_id}/reference.jpg"
        try:
            version = self._store.write(bucket, key, session.picture(0))
        except KeyError:
            raise SessionError(409, f"OutputConfig names the bucket {bucket}, which does not exist") from None
        session.reference_object = {"Bucket": bucket, "Name": key} | ({"Version": version} if version else {})

    def _advance_clock(self, request: JsonObject) -> JsonObject:
        seconds = json_fields.number(request, "advance_seconds")
        self._clock.advance(seconds)
        return {"advanced_seconds": seconds}

    def _inject_errors(self, request: JsonObject) -> JsonObject:
        operation = json_fields.one_of(request, "operation", (*self._operations, OPERATION))
        error = json_fields.one_of(request, "error", STREAM_ERRORS if operation == OPERATION else INJECTABLE_ERRORS)
        count = json_fields.whole(request, "count", 1, most=MOST_INJECTED)
        self._injected[operation, json_fields.text(request, "token", "")] = (error, count)
        return {"operation": operation, "error": error, "count": count}

    def _set_limit(self, request: JsonObject) -> JsonObject:
        operation = json_fields.one_of(request, "operation", tuple(self._operations))
        per_second = json_fields.number(request, "per_second", least=0, most=MOST_INJECTED)
        self._quotas.set(operation, per_second)
        return {"operation": operation, "per_second": per_second}

    def _list_sessions(self, _: JsonObject) -> list[dict[str, Any]]:
        return self._sessions.listing()


def _audit_image(session: Session, index: int) -> JsonObject:
    answer: JsonObject = {"BoundingBox": faces.bounding_box(0)}
    if index == 0 and session.reference_object is not None:
        return answer | {"S3Object": session.reference_object}
    return answer | {"Bytes": base64.b64encode(session.picture(index)).decode()}


def _refusal(error: AwsError) -> tuple[int, JsonObject]:
    return error.status, {"__type": error.code, "Code": error.code, "Message": error.message}
