"""Test pictures: small real PNG files that say in text chunks who is on them.

`facescan-person` (iTXt, UTF-8) names the largest face's owner, `facescan-faces` (tEXt) counts the faces,
`facescan-flaws` (tEXt) says what is wrong with the largest one (`FLAWS`, separated by commas).
A PNG without these chunks and every JPEG shows nobody: the emulated Rekognition finds no face on them.
Chunk layouts: PNG (Third Edition), §5.3 and §11.3.3.
"""

from __future__ import annotations

import functools
import hashlib
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterator

SIDE_PIXELS = 64
MOST_FACES = 100
"""As many as CompareFaces looks at in a target image."""

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_JPEG_SIGNATURE = b"\xff\xd8\xff"
_PERSON_KEYWORD = b"facescan-person"
_FACES_KEYWORD = b"facescan-faces"
_FLAWS_KEYWORD = b"facescan-flaws"
FLAWS = ("turned", "nodding", "tilted", "blurred", "dark", "glaring", "occluded", "sunglasses", "eyes-closed", "unsure")
_SKIN = bytes((224, 188, 160))


class PictureError(ValueError):
    """Raised when bytes are no PNG or JPEG picture, or when a picture cannot be made as asked."""


@dataclass(frozen=True, slots=True)
class Picture:
    """Who is on a picture: the owner of its largest face (None without a face) and the number of faces."""

    person: str | None
    faces: int
    flaws: tuple[str, ...] = ()


def make_picture(person: str, faces: int = 1, variant: int = 0, flaws: tuple[str, ...] = ()) -> bytes:
    """A PNG of `SIDE_PIXELS` squared that shows `person` and `faces` - 1 strangers.

    Another `variant` is another file of the same person, as two photographs are.
    """
    if not person:
        raise PictureError("a picture needs the name of a person")
    if not 0 <= faces <= MOST_FACES:
        raise PictureError(f"faces: {faces} is not within 0..{MOST_FACES}")
    if unknown := set(flaws) - set(FLAWS):
        raise PictureError(f"flaws: {min(unknown)!r} is none of {', '.join(FLAWS)}")
    try:
        name = person.encode()
    except UnicodeEncodeError:
        raise PictureError("the name of the person is not valid Unicode") from None
    header = struct.pack(">IIBBBBB", SIDE_PIXELS, SIDE_PIXELS, 8, 2, 0, 0, 0)
    # iTXt: keyword, NUL, uncompressed, method, empty language tag and translated keyword, then the text.
    return b"".join(
        (
            _PNG_SIGNATURE,
            _chunk(b"IHDR", header),
            _chunk(b"iTXt", _PERSON_KEYWORD + b"\0\0\0\0\0" + name),
            _chunk(b"tEXt", _FACES_KEYWORD + b"\0" + str(faces).encode()),
            _chunk(b"tEXt", _FLAWS_KEYWORD + b"\0" + ",".join(flaws).encode()) if flaws else b"",
            _chunk(b"IDAT", zlib.compress(_pixels(name, faces, variant))),
            _chunk(b"IEND", b""),
        )
    )


def read_picture(data: bytes) -> Picture:
    """Who is on the picture `data`; raises PictureError for anything but a whole PNG or a JPEG."""
    if data.startswith(_JPEG_SIGNATURE):
        return Picture(None, 0)
    if not data.startswith(_PNG_SIGNATURE):
        raise PictureError("neither PNG nor JPEG")
    person: str | None = None
    faces: int | None = None
    flaws: tuple[str, ...] = ()
    for kind, content in _chunks(data):
        keyword, _, value = content.partition(b"\0")
        try:
            if kind == b"iTXt" and keyword == _PERSON_KEYWORD:
                person = value[4:].decode()
            elif kind == b"tEXt" and keyword == _FACES_KEYWORD:
                faces = int(value)
            elif kind == b"tEXt" and keyword == _FLAWS_KEYWORD:
                flaws = tuple(value.decode().split(","))
        except ValueError:
            raise PictureError("the text chunks of the PNG are malformed") from None
    if not person:
        return Picture(None, 0)
    return Picture(person, 1 if faces is None else faces, flaws)


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The chunks up to IEND; a damaged or cut file raises PictureError, as a decoder would refuse it."""
    position = len(_PNG_SIGNATURE)
    while len(data) >= position + 12:
        (length,) = struct.unpack_from(">I", data, position)
        kind = data[position + 4 : position + 8]
        content = data[position + 8 : position + 8 + length]
        end = position + 8 + length
        if data[end : end + 4] != struct.pack(">I", zlib.crc32(kind + content)):
            raise PictureError("the PNG is damaged")
        if kind == b"IEND":
            return
        yield kind, content
        position = end + 4
    raise PictureError("the PNG is cut off")


def _pixels(name: bytes, faces: int, variant: int) -> bytes:
    """Rows of filter byte 0 and RGB pixels: a ground in the person's colour, a disc per face up to three."""
    speck = hashlib.sha256(variant.to_bytes(16, "big", signed=True)).digest()[:3]
    drawn = _drawn(name, faces, variant % 7)
    return drawn[:1] + speck + drawn[4:]  # whatever the variant, the pixels differ


@functools.lru_cache(maxsize=1000)
def _drawn(name: bytes, faces: int, shift: int) -> bytes:
    colour = hashlib.sha256(name).digest()
    ground = bytes((64 + colour[0] // 2, 64 + colour[1] // 2, 64 + colour[2] // 2))
    discs = [(24 + shift, 30, 18), (52, 14, 8), (52, 48, 8)][:faces]
    rows = []
    for y in range(SIDE_PIXELS):
        row = bytearray(b"\0")
        for x in range(SIDE_PIXELS):
            inside = any((x - cx) ** 2 + (y - cy) ** 2 < radius**2 for cx, cy, radius in discs)
            row += _SKIN if inside else ground
        rows.append(row)
    return b"".join(rows)


@click.command()
@click.argument("name")
@click.option("--faces", default=1, show_default=True, help="Number of faces; NAME is the largest.")
@click.option("--variant", default=0, show_default=True, help="Another number is another photo of the same person.")
@click.option("--flaw", "flaws", multiple=True, type=click.Choice(FLAWS), help="What is wrong with NAME's face.")
@click.option("-o", "--output", required=True, type=click.Path(dir_okay=False, path_type=Path), help="File to write.")
def main(name: str, faces: int, variant: int, flaws: tuple[str, ...], output: Path) -> None:
    """Write a test picture of NAME."""
    try:
        output.write_bytes(make_picture(name, faces, variant, flaws))
    except (OSError, PictureError) as error:
        raise click.ClickException(str(error)) from None


if __name__ == "__main__":
    main()
