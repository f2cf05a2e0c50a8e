"""The life of emulated Face Liveness sessions: CREATED → IN_PROGRESS → SUCCEEDED or FAILED, EXPIRED after 3 minutes.

Source of the rules: Amazon Rekognition's API reference, CreateFaceLivenessSession and GetFaceLivenessSessionResults.
Not thread-safe: the caller holds one lock around every call.
"""

from __future__ import annotations

import enum
import functools
import time
import uuid
from dataclasses import dataclass
from typing import Any

from emulators.aws_errors import AwsError
from emulators.pictures import make_picture

LIFETIME_SECONDS = 180.0
"""A session and all its data vanish three minutes after it was created."""

FORGOTTEN_AFTER_SECONDS = 600.0
"""Until then a lapsed session is EXPIRED, afterwards it is not found. AWS does not say when; clients must bear both."""

MOST_SESSIONS = 50_000
"""Bounds memory under load tests: the oldest session is dropped first."""


class Status(enum.StrEnum):
    """States that GetFaceLivenessSessionResults reports."""

    CREATED = "CREATED"
    IN_PROGRESS = "IN_PROGRESS"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    EXPIRED = "EXPIRED"


class Clock:
    """Seconds that pass by themselves and can be moved forward."""

    def __init__(self) -> None:
        self._advanced_seconds = 0.0

    def now(self) -> float:
        """Seconds since an arbitrary moment."""
        return time.monotonic() + self._advanced_seconds

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass at once."""
        self._advanced_seconds += seconds


@dataclass(frozen=True, slots=True)
class Settings:
    """What the caller of CreateFaceLivenessSession asked for."""

    audit_images_limit: int = 0
    challenge_type: str = "FaceMovementAndLightChallenge"
    challenge_version: str = "2.0.0"
    output_bucket: str | None = None
    output_prefix: str = ""


@dataclass(frozen=True, slots=True)
class Capture:
    """Who stood before the camera, and what the check made of it (`confidence` in percent)."""

    person: str
    faces: int
    confidence: float
    reference_image: bool


@dataclass(slots=True)
class Session:
    """One liveness check."""

    session_id: str
    created_at: float
    settings: Settings
    status: Status = Status.CREATED
    capture: Capture | None = None
    reference_object: dict[str, str] | None = None
    token: str = ""  # the ClientRequestToken that it was created with

    def picture(self, index: int) -> bytes:
        """Picture `index` of the capture: 0 is the reference image, 1.. the audit images; the same at every call."""
        if self.capture is None:
            raise ValueError("the session has no pictures")
        variant = uuid.UUID(self.session_id).int % 1_000_000 + index
        return _picture(self.capture.person, self.capture.faces, variant)


@functools.lru_cache(maxsize=1000)
def _picture(person: str, faces: int, variant: int) -> bytes:
    return make_picture(person, faces, variant)


class SessionError(Exception):
    """Raised when a side door cannot act on a session; `status` is the HTTP status to answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Sessions:
    """All sessions, oldest first."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._by_id: dict[str, Session] = {}
        self._id_by_token: dict[str, str] = {}

    def create(self, settings: Settings, token: str | None) -> Session:
        """A new session; the same `token` gives the same session for as long as that is remembered."""
        self._forget()
        if token is not None and (known := self._by_id.get(self._id_by_token.get(token, ""))):
            return known
        session = Session(str(uuid.uuid4()), self._clock.now(), settings, token=token or "")
        self._by_id[session.session_id] = session
        if token is not None:
            self._id_by_token[token] = session.session_id
        return session

    def result(self, session_id: str) -> Session:
        """The session as of now; raises SessionNotFoundException for an unknown or long expired one."""
        self._forget()
        session = self._by_id.get(session_id)
        if session is None:
            raise AwsError("SessionNotFoundException", "Session not found")
        return self._as_of_now(session)

    def film(self, session_id: str, status: Status, capture: Capture) -> Session:
        """End the check of the session with `capture`, or only begin it if `status` is IN_PROGRESS."""
        self._forget()
        session = self._by_id.get(session_id)
        if session is None:
            raise SessionError(404, f"no liveness session {session_id}")
        if self._as_of_now(session).status not in {Status.CREATED, Status.IN_PROGRESS}:
            raise SessionError(409, f"liveness session {session_id} is {session.status}")
        session.status = status
        session.capture = capture if status is Status.SUCCEEDED else None
        return session

    def listing(self) -> list[dict[str, Any]]:
        """Every remembered session: id, status, age in seconds, the token that it was created with."""
        self._forget()
        now = self._clock.now()
        return [
            {
                "session_id": session.session_id,
                "status": self._as_of_now(session).status.value,
                "age_seconds": round(now - session.created_at, 3),
                "token": session.token,
            }
            for session in self._by_id.values()
        ]

    def _as_of_now(self, session: Session) -> Session:
        if self._clock.now() - session.created_at >= LIFETIME_SECONDS:
            session.status = Status.EXPIRED
            session.capture = None
            session.reference_object = None
        return session

    def _forget(self) -> None:
        """Drop sessions beyond memory's bounds; insertion order is age, so only the front is looked at."""
        oldest_kept = self._clock.now() - FORGOTTEN_AFTER_SECONDS
        while self._by_id:
            first = next(iter(self._by_id.values()))
            if first.created_at > oldest_kept and len(self._by_id) < MOST_SESSIONS:
                break
            del self._by_id[first.session_id]
        # A token outlives its session by little; the bound keeps a long load test from growing for ever.
        while len(self._id_by_token) > MOST_SESSIONS:
            del self._id_by_token[next(iter(self._id_by_token))]
