"""Errors of an AWS service in the form of its JSON protocol."""

from __future__ import annotations

from dataclasses import dataclass

SERVER_FAULTS = frozenset({"InternalServerError"})
"""Answered with 500; every other error of Rekognition, throttling included, is a 400."""


@dataclass(frozen=True)
class AwsError(Exception):
    """Raised when an AWS call is refused; `code` is the shape's name, such as `InvalidParameterException`."""

    code: str
    message: str

    @property
    def status(self) -> int:
        """The HTTP status that goes with the code."""
        return 500 if self.code in SERVER_FAULTS else 400


def invalid_parameter(message: str) -> AwsError:
    """The error for a request with a value out of its bounds; also Rekognition's "no face in the image"."""
    return AwsError("InvalidParameterException", message)
