"""The streaming half of emulated Face Liveness: who stands before the cameras, and how a stream ends a session."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from emulators import json_fields
from emulators.aws_errors import AwsError
from emulators.liveness_sessions import Capture, SessionError, Sessions, Settings, Status
from emulators.pictures import MOST_FACES

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from emulators.json_fields import JsonObject

OPERATION: Final = "StartFaceLivenessSession"
STREAM_ERRORS: Final = (
    "ValidationException",
    "InternalServerException",
    "ThrottlingException",
    "ServiceQuotaExceededException",
    "ServiceUnavailableException",
)
"""The exceptions of the stream's own union; an unknown session ends the connection instead."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Who stands before a camera, and what the check makes of it.

    `fits` false: the oval asks for what no face does, and the page's time to fit runs out. `error`: the stream ends in
    that exception.
    """

    capture: Capture
    status: Status
    fits: bool
    error: str = ""


class Streams:
    """Begins and ends the streams of sessions; `fail` raises an error that was ordered for the operation."""

    def __init__(
        self,
        sessions: Sessions,
        lock: threading.Lock,
        fail: Callable[[str], None],
        film: Callable[[str, Status, Capture], object],
    ) -> None:
        self._sessions = sessions
        self._lock = lock
        self._fail = fail
        self._film = film
        # By how the tokens begin that sessions were created with; "" is everybody's.
        self._stages = {"": Stage(Capture("nobody", 1, 98.5, reference_image=True), Status.SUCCEEDED, fits=True)}

    def set_stage(self, request: JsonObject) -> JsonObject:
        """Side door: the stage from now on."""
        stage = Stage(
            capture_from(request),
            Status(json_fields.one_of(request, "status", ("SUCCEEDED", "FAILED"), "SUCCEEDED")),
            json_fields.flag(request, "fits", default=True),
            json_fields.one_of(request, "error", ("", *STREAM_ERRORS), ""),
        )
        self._stages[json_fields.text(request, "token", "")] = stage
        return {"person": stage.capture.person}

    def stage(self, session_id: str) -> Stage:
        """Who stands before the camera of that session."""
        token = self._sessions.result(session_id).token
        return self._stages[max((start for start in self._stages if token.startswith(start)), key=len)]

    def begin(self, session_id: str) -> Settings:
        """Take the session for one stream. Raises AwsError: unknown, over, streamed before, or ordered so."""
        with self._lock:
            self._fail(OPERATION)
            session = self._sessions.result(session_id)
            if session.status is not Status.CREATED:
                raise AwsError("SessionNotFoundException", f"Session not found: it is {session.status} already")
            if error := self.stage(session_id).error:
                raise AwsError(error, f"{error} as ordered")
            session.status = Status.IN_PROGRESS
            return session.settings

    def end(self, session_id: str, *, whole: bool) -> None:
        """The stream has ended: filmed as the stage says if it came whole, FAILED if it broke off."""
        with self._lock:
            try:
                stage = self.stage(session_id)
                self._film(session_id, stage.status if whole else Status.FAILED, stage.capture)
            except (AwsError, SessionError):
                return  # it has expired meanwhile, or the side door was first


def capture_from(request: JsonObject) -> Capture:
    """Who is before a camera, as the side doors name it."""
    return Capture(
        person=json_fields.text(request, "person"),
        faces=json_fields.whole(request, "faces", 1, least=0, most=MOST_FACES),
        confidence=json_fields.number(request, "confidence", 98.5, least=0, most=100),
        reference_image=json_fields.flag(request, "reference_image", default=True),
    )
