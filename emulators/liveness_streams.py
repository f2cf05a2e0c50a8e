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
    """Who stands before every camera that streams from now on, and what the check makes of it.

    `fits` false: the oval asks for what no face does, and the page's time to fit runs out.
    """

    capture: Capture
    status: Status
    fits: bool


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
        self.stage = Stage(Capture("nobody", 1, 98.5, reference_image=True), Status.SUCCEEDED, fits=True)

    def set_stage(self, request: JsonObject) -> JsonObject:
        """Side door: the stage from now on."""
        self.stage = Stage(
            capture_from(request),
            Status(json_fields.one_of(request, "status", ("SUCCEEDED", "FAILED"), "SUCCEEDED")),
            json_fields.flag(request, "fits", default=True),
        )
        return {"person": self.stage.capture.person}

    def begin(self, session_id: str) -> Settings:
        """Take the session for one stream. Raises AwsError: unknown, over, streamed before, or ordered so."""
        with self._lock:
            self._fail(OPERATION)
            session = self._sessions.result(session_id)
            if session.status is not Status.CREATED:
                raise AwsError("SessionNotFoundException", f"Session not found: it is {session.status} already")
            session.status = Status.IN_PROGRESS
            return session.settings

    def end(self, session_id: str, *, whole: bool) -> None:
        """The stream has ended: filmed as the stage says if it came whole, FAILED if it broke off."""
        with self._lock:
            try:
                self._film(session_id, self.stage.status if whole else Status.FAILED, self.stage.capture)
            except SessionError:
                return  # it has expired meanwhile, or the side door was first


def capture_from(request: JsonObject) -> Capture:
    """Who is before a camera, as the side doors name it."""
    return Capture(
        person=json_fields.text(request, "person"),
        faces=json_fields.whole(request, "faces", 1, least=0, most=MOST_FACES),
        confidence=json_fields.number(request, "confidence", 98.5, least=0, most=100),
        reference_image=json_fields.flag(request, "reference_image", default=True),
    )
