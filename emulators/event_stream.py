"""Amazon's event stream encoding (`application/vnd.amazon.eventstream`): one frame is headers and a payload.

A frame: total length and headers' length (4 bytes each, big-endian), CRC-32 of these eight, headers, payload, CRC-32 of
all before. A header: length of its name (1 byte), name, type (1 byte), value. Source: "Event stream encoding" of
Amazon Transcribe's developer guide, which describes it for all services.
"""

from __future__ import annotations

import datetime
import struct
import zlib
from dataclasses import dataclass, field
from typing import Final, TypeAlias

HeaderValue: TypeAlias = bool | int | bytes | str | datetime.datetime

MOST_FRAME_BYTES: Final = 16 * 1024 * 1024
_PRELUDE_BYTES: Final = 12
_CRC_BYTES: Final = 4
_TRUE, _FALSE, _BYTES, _TEXT, _TIMESTAMP = 0, 1, 6, 7, 8
_WHOLE: Final = {2: ">b", 3: ">h", 4: ">i", 5: ">q"}
_EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


class FrameError(ValueError):
    """Raised when bytes are no whole and unharmed frame."""


@dataclass(frozen=True, slots=True)
class Frame:
    """Headers in their order, and the payload."""

    headers: dict[str, HeaderValue] = field(default_factory=dict)
    payload: bytes = b""


def encode(frame: Frame) -> bytes:
    """The frame's bytes."""
    headers = b"".join(encode_header(name, value) for name, value in frame.headers.items())
    total = _PRELUDE_BYTES + len(headers) + len(frame.payload) + _CRC_BYTES
    prelude = struct.pack(">II", total, len(headers))
    whole = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers + frame.payload
    return whole + struct.pack(">I", zlib.crc32(whole))


def encode_header(name: str, value: HeaderValue) -> bytes:
    """One header's bytes; whole numbers are written with eight bytes."""
    key = name.encode()
    head = bytes([len(key)]) + key
    match value:
        case bool():
            return head + bytes([_TRUE if value else _FALSE])
        case int():
            return head + struct.pack(">Bq", 5, value)
        case bytes():
            return head + struct.pack(">BH", _BYTES, len(value)) + value
        case str():
            text = value.encode()
            return head + struct.pack(">BH", _TEXT, len(text)) + text
        case datetime.datetime():
            milliseconds = (value - _EPOCH) // datetime.timedelta(milliseconds=1)
            return head + struct.pack(">Bq", _TIMESTAMP, milliseconds)


def decode(data: bytes) -> Frame:
    """The one frame that `data` is. Raises FrameError."""
    if len(data) < _PRELUDE_BYTES + _CRC_BYTES:
        raise FrameError(f"a frame has at least {_PRELUDE_BYTES + _CRC_BYTES} bytes, not {len(data)}")
    total, headers_length, prelude_crc = struct.unpack_from(">III", data)
    if total != len(data) or total > MOST_FRAME_BYTES:
        raise FrameError(f"the frame says that it has {total} bytes and has {len(data)}")
    if prelude_crc != zlib.crc32(data[:8]):
        raise FrameError("the checksum of the prelude is wrong")
    if struct.unpack_from(">I", data, total - _CRC_BYTES)[0] != zlib.crc32(data[:-_CRC_BYTES]):
        raise FrameError("the checksum of the frame is wrong")
    end = _PRELUDE_BYTES + headers_length
    if end > total - _CRC_BYTES:
        raise FrameError("the headers are longer than the frame")
    try:
        return Frame(_headers(data[_PRELUDE_BYTES:end]), data[end:-_CRC_BYTES])
    except (struct.error, IndexError, UnicodeDecodeError, OverflowError) as error:
        raise FrameError(f"a header cannot be read: {error}") from None


def _headers(data: bytes) -> dict[str, HeaderValue]:
    headers: dict[str, HeaderValue] = {}
    at = 0
    while at < len(data):
        length = data[at]
        name = _slice(data, at + 1, length).decode()
        headers[name], at = _value(data, at + 1 + length)
    return headers


def _value(data: bytes, at: int) -> tuple[HeaderValue, int]:
    """A header's value and where the next header begins."""
    kind, at = data[at], at + 1
    if kind in (_TRUE, _FALSE):
        return kind == _TRUE, at
    if kind in _WHOLE:
        return int(struct.unpack_from(_WHOLE[kind], data, at)[0]), at + struct.calcsize(_WHOLE[kind])
    if kind == _TIMESTAMP:
        (milliseconds,) = struct.unpack_from(">q", data, at)
        return _EPOCH + datetime.timedelta(milliseconds=milliseconds), at + 8
    if kind in (_BYTES, _TEXT):
        (length,) = struct.unpack_from(">H", data, at)
        value = _slice(data, at + 2, length)
        return (value if kind == _BYTES else value.decode()), at + 2 + length
    raise FrameError(f"a header of the unknown type {kind}")


def _slice(data: bytes, at: int, length: int) -> bytes:
    if at + length > len(data):
        raise FrameError("a header is longer than the headers")
    return data[at : at + length]
