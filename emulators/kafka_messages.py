"""What the relay before the embedded broker reads of Kafka's protocol: no more than whom a record wakes.

The layouts are Kafka's, of versions before the compact ones (KIP-482). A message here is a frame without the four bytes
of its length.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

PRODUCE, FETCH, METADATA, FIND_COORDINATOR, API_VERSIONS = 0, 1, 3, 10, 18

NEWEST = {PRODUCE: 8, FETCH: 11, API_VERSIONS: 2}
"""The newest version that is read here, of each request that is read at all."""

_HEADER = struct.Struct(">hhi")
_INT16 = struct.Struct(">h")
_INT32 = struct.Struct(">i")
_VERSIONS = struct.Struct(">hhh")


class MessageError(ValueError):
    """Raised when a message is not laid out as its version says."""


@dataclass(frozen=True, slots=True)
class Header:
    """The beginning of a request; `size` is its length in bytes, the client's name included."""

    key: int
    version: int
    correlation: int
    size: int

    @property
    def is_read(self) -> bool:
        """Whether the functions here understand it."""
        return self.version <= NEWEST.get(self.key, -1)


def request_header(message: bytes) -> Header:
    """Read the header of a request, version 1 (2 begins alike). Raises MessageError."""
    try:
        key, version, correlation = _HEADER.unpack_from(message)
        (named,) = _INT16.unpack_from(message, 8)
    except struct.error as error:
        raise MessageError("no request header") from error
    return Header(key, version, correlation, 10 + max(0, named))


def correlation_of(response: bytes) -> int:
    """Return which request a response answers. Raises MessageError."""
    try:
        return int(_INT32.unpack_from(response)[0])
    except struct.error as error:
        raise MessageError("no response header") from error


def produced(message: bytes, header: Header) -> tuple[bool, frozenset[str]]:
    """Return whether a Produce request is answered at all (acks), and the topics it writes to. Raises MessageError."""
    reader = _Reader(message, header.size)
    if header.version >= 3:  # noqa: PLR2004 - here and below: the protocol's versions
        reader.text()
    acks = reader.number(2)
    reader.skip(4)
    topics = set()
    for _ in range(reader.number(4)):
        topics.add(reader.text())
        for _ in range(reader.number(4)):
            reader.skip(4)
            reader.skip(max(0, reader.number(4)))
    return acks != 0, frozenset(topics)


@dataclass(frozen=True, slots=True)
class Fetch:
    """A Fetch request that does not wait itself; how long it wanted to (seconds), and for which topics."""

    message: bytes
    wait_seconds: float
    topics: frozenset[str]


def fetch(message: bytes, header: Header) -> Fetch:
    """Take a Fetch request apart. Raises MessageError."""
    reader = _Reader(message, header.size)
    reader.skip(4)
    wait_at = reader.at
    wait_milliseconds = reader.number(4)
    reader.skip(4)
    version = header.version
    reader.skip((4 if version >= 3 else 0) + (1 if version >= 4 else 0) + (8 if version >= 7 else 0))  # noqa: PLR2004
    partition = 4 + (4 if version >= 9 else 0) + 8 + (8 if version >= 5 else 0) + 4  # noqa: PLR2004
    topics = set()
    for _ in range(reader.number(4)):
        topics.add(reader.text())
        reader.skip(partition * reader.number(4))
    at_once = message[:wait_at] + bytes(4) + message[wait_at + 4 :]
    return Fetch(at_once, max(0, wait_milliseconds) / 1000, frozenset(topics))


def fetched_nothing(response: bytes, version: int) -> bool:
    """Whether a response to a Fetch has neither records nor an error. Raises MessageError."""
    reader = _Reader(response, 4)
    reader.skip(4 if version >= 1 else 0)
    if version >= 7:  # noqa: PLR2004
        if reader.number(2):
            return False
        reader.skip(4)
    for _ in range(reader.number(4)):
        reader.text()
        for _ in range(reader.number(4)):
            reader.skip(4)
            if reader.number(2):
                return False
            reader.skip(8 + (8 if version >= 4 else 0) + (8 if version >= 5 else 0))  # noqa: PLR2004
            if version >= 4:  # noqa: PLR2004
                reader.skip(16 * max(0, reader.number(4)))
            reader.skip(4 if version >= 11 else 0)  # noqa: PLR2004
            if reader.number(4) > 0:
                return False
    return True


def readable_versions(response: bytes) -> bytes:
    """Return a response to ApiVersions (0 to 2) that offers only what can be read here. Raises MessageError."""
    changed = bytearray(response)
    reader = _Reader(response, 6)
    for _ in range(reader.number(4)):
        at = reader.at
        reader.skip(_VERSIONS.size)
        key, oldest, newest = _VERSIONS.unpack_from(response, at)
        _VERSIONS.pack_into(changed, at, key, oldest, min(newest, NEWEST.get(key, newest)))
    return bytes(changed)


class _Reader:
    """Goes through a message from left to right."""

    __slots__ = ("at", "message")

    def __init__(self, message: bytes, at: int) -> None:
        self.message = message
        self.at = at

    def skip(self, size: int) -> None:
        self.at += size
        if size < 0 or self.at > len(self.message):
            raise MessageError("the message ends too early")

    def number(self, size: int) -> int:
        at = self.at
        self.skip(size)
        return int.from_bytes(self.message[at : self.at], signed=True)

    def text(self) -> str:
        size = max(0, self.number(2))
        at = self.at
        self.skip(size)
        return self.message[at : self.at].decode("utf-8", "replace")
