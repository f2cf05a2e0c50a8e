"""What is said on the stream of one liveness check: the challenge, the video, the colours, the end.

Source: the model of the service `rekognitionstreaming` (2022-05-30), StartFaceLivenessSession. Thresholds come from the
server, so relaxed ones let any steady face pass: nobody here judges pixels.
"""

from __future__ import annotations

import base64
import binascii
import time
from dataclasses import dataclass
from typing import Any, Final

import orjson

from emulators.aws_errors import AwsError
from emulators.event_stream import Frame, decode

LIGHT: Final = "FaceMovementAndLightChallenge"
MOVEMENT: Final = "FaceMovementChallenge"
MOST_VIDEO_BYTES: Final = 10 * 1024 * 1024
MOST_SIDE_PIXELS: Final = 10_000

_WEBM: Final = b"\x1a\x45\xdf\xa3"  # EBML's magic number
_OVAL_WIDTH: Final = 0.35
_HEIGHT_TO_WIDTH: Final = 1.618
# Colour, milliseconds to scroll down, milliseconds to stand.
_COLOURS: Final = (((0, 0, 0), 0, 75), ((0, 255, 255), 300, 0), ((255, 0, 0), 300, 100), ((0, 0, 255), 300, 0),
                   ((0, 0, 0), 300, 0))  # fmt: skip
# AWS gives the face seven seconds to fit; on a machine that is full, the browser needs longer to look at it.
_THRESHOLDS: Final = {
    "BlazeFaceDetectionThreshold": 0.75,
    "FaceDistanceThresholdMin": 5,
    "FaceDistanceThreshold": 5,
    "FaceDistanceThresholdMax": 5,
    "OvalHeightWidthRatio": _HEIGHT_TO_WIDTH,
    "OvalIouThreshold": 0.2,
    "OvalIouWidthThreshold": 0.25,
    "OvalIouHeightThreshold": 0.25,
    "FaceIouWidthThreshold": 0.15,
    "FaceIouHeightThreshold": 0.15,
    "OvalFitTimeout": 20_000,
}
# And for so long that somebody has the time to look at the check on a slow machine.
_NOTHING_FITS: Final = {
    "OvalIouThreshold": 0.9999,
    "FaceIouWidthThreshold": 5,
    "FaceIouHeightThreshold": 5,
    "OvalFitTimeout": 60_000,
}


@dataclass(frozen=True, slots=True)
class Camera:
    """The picture's size in pixels and the challenges that the client knows, from the address."""

    width: int
    height: int
    challenges: frozenset[str]

    @staticmethod
    def of(given: dict[str, str]) -> Camera:
        """Read it from the address's parameters. Raises AwsError."""
        sides = [given.get("video-width", ""), given.get("video-height", "")]
        if not all(side.isascii() and side.isdigit() and 0 < int(side) < MOST_SIDE_PIXELS for side in sides):
            raise AwsError("ValidationException", "video-width, video-height: numbers of pixels are expected")
        known = frozenset(given.get("challenge-versions", "").split(","))
        return Camera(int(sides[0]), int(sides[1]), known)


class Dialogue:
    """One check; `challenge` is LIGHT or MOVEMENT."""

    def __init__(self, camera: Camera, challenge: str, version: str, *, fits: bool) -> None:
        if f"{challenge}_{version}" not in camera.challenges:
            raise AwsError("ValidationException", f"the client does not know {challenge} {version}")
        self._camera = camera
        self._challenge = challenge
        self._fits = fits
        self._video_bytes = 0
        self._begun = self._ended = False
        self._colours: list[tuple[int, ...]] = []

    def opening(self) -> Frame:
        """What the server says first."""
        challenge: dict[str, Any] = {
            "OvalParameters": {
                "Width": self._camera.width * _OVAL_WIDTH,
                "Height": self._camera.width * _OVAL_WIDTH * _HEIGHT_TO_WIDTH,
                "CenterX": self._camera.width * 0.5,
                "CenterY": self._camera.height * 0.55,
            },
            "ChallengeConfig": _THRESHOLDS | ({} if self._fits else _NOTHING_FITS),
        }
        if self._challenge == LIGHT:
            challenge["LightChallengeType"] = "SEQUENTIAL"
            challenge["ColorSequences"] = [
                {"FreshnessColor": {"RGB": colour}, "DownscrollDuration": scroll, "FlatDisplayDuration": flat}
                for colour, scroll, flat in _COLOURS
            ]
        information = {"SessionInformation": {"Challenge": {self._challenge: challenge}}}
        return event("ServerSessionInformationEvent", information)

    def take(self, payload: bytes) -> bool:
        """Take a chunk's payload and return whether it was the last. Raises AwsError, FrameError."""
        if not payload:
            return False  # a signature that ends the stream, without an event
        inner = decode(payload)
        try:
            said = orjson.loads(inner.payload)
            match inner.headers.get(":event-type"):
                case "VideoEvent":
                    return self._take_video(base64.b64decode(said["VideoChunk"], validate=True))
                case "ClientSessionInformationEvent":
                    self._take_information(said["Challenge"][self._challenge])
                    return False
                case other:
                    raise AwsError("ValidationException", f"{other!r} is no event of a client")
        except (KeyError, TypeError, ValueError, binascii.Error) as error:
            raise AwsError("ValidationException", f"an event cannot be read: {error!r}") from None

    @property
    def whole(self) -> bool:
        """Whether all that belongs to the challenge came: video, begin, end, and each colour in its turn."""
        shown = self._challenge != LIGHT or _in_turn([colour for colour, _, _ in _COLOURS], self._colours)
        return self._begun and self._ended and self._video_bytes > 0 and shown

    def _take_video(self, chunk: bytes) -> bool:
        if chunk and not self._video_bytes and not chunk.startswith(_WEBM):
            raise AwsError("ValidationException", "VideoChunk: no WebM")
        self._video_bytes += len(chunk)
        if self._video_bytes > MOST_VIDEO_BYTES:
            raise AwsError("ValidationException", f"the video exceeds {MOST_VIDEO_BYTES} bytes")
        return not chunk

    def _take_information(self, challenge: dict[str, Any]) -> None:
        self._begun = self._begun or "VideoStartTimestamp" in challenge
        self._ended = self._ended or "VideoEndTimestamp" in challenge
        if colour := challenge.get("ColorDisplayed"):
            self._colours.append(tuple(colour["CurrentColor"]["RGB"]))


def event(name: str, content: Any) -> Frame:
    """An event of the server."""
    headers = {":message-type": "event", ":event-type": name, ":content-type": "application/json"}
    return Frame(dict(headers), orjson.dumps(content))


def exception(name: str, message: str) -> Frame:
    """An exception of the server."""
    headers = {":message-type": "exception", ":exception-type": name, ":content-type": "application/json"}
    return Frame(dict(headers), orjson.dumps({"Message": message}))


def disconnection() -> Frame:
    """What ends a check that came to its end."""
    return event("DisconnectionEvent", {"TimestampMillis": int(time.time() * 1000)})


def _in_turn(wanted: list[tuple[int, ...]], shown: list[tuple[int, ...]]) -> bool:
    """Whether `wanted` stands in `shown` in its order; a colour may be told of twice."""
    following = iter(shown)
    return all(any(colour == other for other in following) for colour in wanted)
