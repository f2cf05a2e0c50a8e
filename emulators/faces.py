"""What the emulated Rekognition sees on a picture, and how alike two pictures are.

Shapes are those of Rekognition's CompareFaces and DetectFaces. Similarity comes from the persons written into the
pictures, and its decimals from the pictures' bytes: the same two files always give the same figure.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from emulators.aws_errors import AwsError, invalid_parameter
from emulators.pictures import Picture, PictureError, read_picture

if TYPE_CHECKING:
    from emulators.json_fields import JsonObject

ATTRIBUTE_DETAILS: dict[str, JsonObject] = {
    "AGE_RANGE": {"AgeRange": {"Low": 28, "High": 36}},
    "BEARD": {"Beard": {"Value": False, "Confidence": 97.1}},
    "EMOTIONS": {"Emotions": [{"Type": "CALM", "Confidence": 96.4}]},
    "EYE_DIRECTION": {"EyeDirection": {"Yaw": 1.2, "Pitch": -2.1, "Confidence": 98.2}},
    "EYEGLASSES": {"Eyeglasses": {"Value": False, "Confidence": 99.1}},
    "EYES_OPEN": {"EyesOpen": {"Value": True, "Confidence": 98.9}},
    "FACE_OCCLUDED": {"FaceOccluded": {"Value": False, "Confidence": 99.2}},
    "GENDER": {"Gender": {"Value": "Female", "Confidence": 61.0}},
    "MOUTH_OPEN": {"MouthOpen": {"Value": False, "Confidence": 97.8}},
    "MUSTACHE": {"Mustache": {"Value": False, "Confidence": 99.0}},
    "SMILE": {"Smile": {"Value": False, "Confidence": 93.3}},
    "SUNGLASSES": {"Sunglasses": {"Value": False, "Confidence": 99.6}},
}
"""Members of a FaceDetail that are reported only when asked for."""

_SAME_PERSON = (99.0, 0.9)
_OTHER_PERSON = (0.0, 20.0)
"""Least similarity in percent and its span."""


@dataclass(frozen=True, slots=True)
class Image:
    """A picture as handed to Rekognition: its bytes and who is on it."""

    data: bytes
    picture: Picture


def open_image(data: bytes) -> Image:
    """Decode `data`; raises InvalidImageFormatException."""
    try:
        return Image(data, read_picture(data))
    except PictureError as error:
        raise AwsError("InvalidImageFormatException", f"Request has invalid image format: {error}") from None


def compare(source: Image, target: Image, threshold: float) -> JsonObject:
    """The answer of CompareFaces: the largest face of `source` against every face of `target`."""
    if not source.picture.faces or not target.picture.faces:
        # Rekognition has no error of its own for an image without a face.
        raise invalid_parameter("Request has invalid parameters")
    matches: list[JsonObject] = []
    unmatched: list[JsonObject] = []
    for index in range(target.picture.faces):
        same = index == 0 and source.picture.person == target.picture.person
        least, span = _SAME_PERSON if same else _OTHER_PERSON
        similarity = round(least + span * _fraction(source.data, target.data, index), 4)
        if similarity >= threshold:
            matches.append({"Similarity": similarity, "Face": face(index)})
        else:
            unmatched.append(face(index))
    matches.sort(key=lambda match: -match["Similarity"])
    largest = face(0)
    return {
        "SourceImageFace": {"BoundingBox": largest["BoundingBox"], "Confidence": largest["Confidence"]},
        "FaceMatches": matches,
        "UnmatchedFaces": unmatched,
    }


def detect(image: Image, attributes: list[str]) -> JsonObject:
    """The answer of DetectFaces: a FaceDetail for each face, the largest first."""
    wanted = ATTRIBUTE_DETAILS if "ALL" in attributes else [name for name in attributes if name in ATTRIBUTE_DETAILS]
    extra: JsonObject = {}
    for name in wanted:
        extra |= ATTRIBUTE_DETAILS[name]
    details = [face(index) | extra for index in range(image.picture.faces)]
    for flaw in image.picture.flaws if details else ():
        _spoil(details[0], flaw)
    return {"FaceDetails": details}


_FLAWED: dict[str, tuple[str, JsonObject]] = {
    "turned": ("Pose", {"Yaw": -47.5}),
    "nodding": ("Pose", {"Pitch": 38.0}),
    "tilted": ("Pose", {"Roll": 41.0}),
    "blurred": ("Quality", {"Sharpness": 9.5}),
    "dark": ("Quality", {"Brightness": 14.0}),
    "glaring": ("Quality", {"Brightness": 99.1}),
    "occluded": ("FaceOccluded", {"Value": True}),
    "sunglasses": ("Sunglasses", {"Value": True}),
    "eyes-closed": ("EyesOpen", {"Value": False}),
    "unsure": ("FaceOccluded", {"Value": True, "Confidence": 52.0}),
}
"""What a flaw of a picture changes in its FaceDetail."""


def _spoil(detail: JsonObject, flaw: str) -> None:
    member, change = _FLAWED[flaw]
    if member in detail:
        detail[member] = detail[member] | change


def bounding_box(index: int) -> dict[str, float]:
    """Where face `index` is, as ratios of the picture's sides: face 0 is the largest, the others share the right."""
    if index == 0:
        return {"Left": 0.1, "Top": 0.2, "Width": 0.55, "Height": 0.55}
    return {"Left": 0.72, "Top": round(0.02 + 0.009 * index, 4), "Width": 0.2, "Height": 0.2}


def face(index: int) -> JsonObject:
    """A ComparedFace: where it is, how sure, which way it looks, how good the picture is."""
    box = bounding_box(index)
    return {
        "BoundingBox": box,
        "Confidence": 99.98 if index == 0 else 98.5,
        "Landmarks": [_landmark("eyeLeft", box, 0.3), _landmark("eyeRight", box, 0.7)],
        "Pose": {"Roll": 0.4, "Yaw": -1.3, "Pitch": 2.2},
        "Quality": {"Brightness": 82.5, "Sharpness": 94.1},
    }


def _landmark(name: str, box: dict[str, float], across: float) -> dict[str, Any]:
    x = box["Left"] + box["Width"] * across
    return {"Type": name, "X": round(x, 4), "Y": round(box["Top"] + box["Height"] * 0.4, 4)}


def _fraction(source: bytes, target: bytes, index: int) -> float:
    """A number in 0..1 that depends on nothing but the two files and the face."""
    digest = hashlib.sha256(hashlib.sha256(source).digest() + hashlib.sha256(target).digest() + bytes([index])).digest()
    return int.from_bytes(digest[:4], "big") / 0xFFFFFFFF
