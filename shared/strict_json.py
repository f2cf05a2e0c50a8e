"""JSON as signed messages may have it: bounded before it is parsed, every name once in its object (RFC 7493 §2.3).

``orjson`` refuses what else is no I-JSON (NaN, infinity, lone surrogates, wrong UTF-8), and keeps the last of two equal
names without a word. A parser that calls back for every object would cost more than all the rest, so names are
counted: each member has one colon outside strings, and what was parsed is written again and has its colons counted
too. A name that was dropped is a colon that is missing.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import orjson

# orjson writes no deeper than this; what it parsed must be writable again.
_DEEPEST: Final = 254


class JsonProblem(StrEnum):
    """Why text is not taken as JSON."""

    MALFORMED = "malformed"
    TOO_COMPLEX = "too_complex"
    DUPLICATE_NAME = "duplicate_name"


class JsonError(ValueError):
    """Raised when text is no JSON, has a name twice in one object, or is nested or filled beyond the bounds."""

    def __init__(self, problem: JsonProblem, detail: str) -> None:
        super().__init__(detail)
        self.problem = problem


@dataclass(frozen=True, slots=True)
class JsonBounds:
    """How complex a document may be: levels of objects and arrays, and in all of it values, names, objects and arrays.

    Bounded because a small text makes a large tree: 64 KiB of empty arrays are 1.3 ms of parsing and 1.5 MB. Strings
    need no bound of their own: each is a value or a name.
    """

    most_depth: int = 32
    most_values: int = 2000
    most_names: int = 2000
    most_containers: int = 2000

    def __post_init__(self) -> None:
        if not 1 <= self.most_depth <= _DEEPEST:
            raise ValueError(f"most_depth must be 1 to {_DEEPEST}")


DEFAULT_BOUNDS: Final = JsonBounds()


def parse_json(data: bytes | str, bounds: JsonBounds = DEFAULT_BOUNDS) -> Any:
    """Return what ``data`` (UTF-8) says, integers beyond 64 bits as floats. Raises JsonError, nothing else."""
    if isinstance(data, str):
        try:
            data = data.encode()
        except UnicodeEncodeError as error:
            raise JsonError(JsonProblem.MALFORMED, "no JSON: a surrogate without its pair") from error
    colons = data.count(b":")
    _check_bounds(data, colons, bounds)
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise JsonError(JsonProblem.MALFORMED, f"no JSON: {error.msg} at character {error.pos}") from error
    if b"\\u003" in data:
        colons += _escaped_colons(data)
    # A faithful reader finds those colons that stand there, and those that are escaped.
    if colons != orjson.dumps(value).count(b":"):
        raise JsonError(JsonProblem.DUPLICATE_NAME, "a name stands twice in one object")
    return value


def _check_bounds(data: bytes, colons: int, bounds: JsonBounds) -> None:
    opened = data.count(b"{") + data.count(b"[")
    # What stands in strings counts here too, so that most documents pass on four counts; the others are looked at.
    if (
        opened <= bounds.most_depth
        and opened <= bounds.most_containers
        and colons <= bounds.most_names
        and opened + data.count(b",") < bounds.most_values
    ):
        return
    marks = _outside_strings(data)
    opened = marks.count(b"{") + marks.count(b"[")
    # Every value but the first stands after a comma or is the first in its container.
    if opened + marks.count(b",") >= bounds.most_values:
        raise JsonError(JsonProblem.TOO_COMPLEX, f"more than {bounds.most_values} values")
    if marks.count(b":") > bounds.most_names:
        raise JsonError(JsonProblem.TOO_COMPLEX, f"more than {bounds.most_names} names")
    if opened > bounds.most_containers:
        raise JsonError(JsonProblem.TOO_COMPLEX, f"more than {bounds.most_containers} objects and arrays")
    # With more brackets closed than opened it is no JSON, which the parser says at once.
    if opened <= bounds.most_depth or marks.count(b"}") + marks.count(b"]") > opened:
        return
    # Brackets alone, of one kind; each round takes away the innermost of every nest.
    nests = marks.translate(_ONE_KIND, _NOT_BRACKETS)
    for _ in range(bounds.most_depth):
        left = nests.replace(b"[]", b"")
        if len(left) == len(nests):
            break
        nests = left
    if b"[" in nests:
        raise JsonError(JsonProblem.TOO_COMPLEX, f"nested more than {bounds.most_depth} deep")


_ONE_KIND: Final = bytes.maketrans(b"{}", b"[]")
_NOT_BRACKETS: Final = bytes(byte for byte in range(256) if byte not in b"{}[]")


def _outside_strings(data: bytes) -> bytes:
    """Return ``data`` without its strings. A backslash stands in strings alone and takes the next byte with it."""
    if b"\\" in data:
        data = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    return b"".join(data.split(b'"')[::2])


def _escaped_colons(data: bytes) -> int:
    escapes = data.replace(b"\\\\", b"")
    return escapes.count(b"\\u003a") + escapes.count(b"\\u003A")
