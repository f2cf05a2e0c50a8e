"""Whether a picture may be a legal photo: one face, straight, sharp, lit and free (Rekognition DetectFaces). Pure.

A face that can hardly be compared is refused when somebody can take another picture, not when somebody waits at a gate.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

# What DetectFaces is asked for.
ATTRIBUTES: Final = ("DEFAULT", "EYES_OPEN", "FACE_OCCLUDED", "SUNGLASSES")


@dataclass(frozen=True, slots=True)
class Standard:
    """What is asked of the face; Rekognition's scales: degrees, and 0 to 100."""

    most_degrees: float = 20.0
    least_sharpness: float = 40.0
    least_brightness: float = 30.0
    most_brightness: float = 95.0
    least_confidence_percent: float = 90.0
    # Below this Rekognition's word on an attribute is a guess.
    sure_percent: float = 80.0


def problems(faces: Sequence[Mapping[str, Any]], standard: Standard | None = None) -> list[str]:
    """Return what keeps a picture with these FaceDetails from being a legal photo, each for people; empty: nothing."""
    asked = standard or Standard()
    if not faces:
        return ["no face found in the picture"]
    if len(faces) > 1:
        return [f"{len(faces)} faces found in the picture; it must show the person alone"]
    (face,) = faces
    return [*_posture(face, asked), *_light(face, asked), *_freedom(face, asked)]


def _posture(face: Mapping[str, Any], asked: Standard) -> list[str]:
    found = [] if face["Confidence"] >= asked.least_confidence_percent else ["it is not certain that it shows a face"]
    names = {"Yaw": "turned to the side", "Pitch": "turned up or down", "Roll": "tilted"}
    return found + [
        f"the face is {meaning} by {abs(face['Pose'][name]):.0f} degrees, more than {asked.most_degrees:.0f}"
        for name, meaning in names.items()
        if abs(face["Pose"][name]) > asked.most_degrees
    ]


def _light(face: Mapping[str, Any], asked: Standard) -> list[str]:
    quality, found = face["Quality"], []
    if quality["Sharpness"] < asked.least_sharpness:
        found.append(f"the face is blurred (sharpness {quality['Sharpness']:.0f} of {asked.least_sharpness:.0f})")
    if quality["Brightness"] < asked.least_brightness:
        found.append(f"the face is too dark (brightness {quality['Brightness']:.0f} of {asked.least_brightness:.0f})")
    if quality["Brightness"] > asked.most_brightness:
        found.append(f"the face is too bright (brightness {quality['Brightness']:.0f} of {asked.most_brightness:.0f})")
    return found


def _freedom(face: Mapping[str, Any], asked: Standard) -> list[str]:
    wanted = {
        "FaceOccluded": (False, "something covers the face"),
        "Sunglasses": (False, "the person wears sunglasses"),
        "EyesOpen": (True, "the eyes are closed"),
    }
    return [
        meaning
        for name, (good, meaning) in wanted.items()
        if face[name]["Value"] is not good and face[name]["Confidence"] >= asked.sure_percent
    ]
