from __future__ import annotations

import struct
import subprocess
import sys
import zlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulators.pictures import Picture, PictureError, make_picture, read_picture

if TYPE_CHECKING:
    from pathlib import Path

names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=80)


@settings(max_examples=40, deadline=None)
@given(names, st.integers(0, 100), st.integers(-(2**40), 2**40))
def test_a_picture_says_who_is_on_it(person: str, faces: int, variant: int) -> None:
    assert read_picture(make_picture(person, faces, variant)) == Picture(person, faces)


def test_two_variants_show_one_person_in_two_files() -> None:
    first, second = make_picture("alice", variant=1), make_picture("alice", variant=2)
    assert first != second
    assert read_picture(first) == read_picture(second)
    assert make_picture("alice", variant=1) == first


def test_the_picture_is_a_png_whose_pixels_can_be_unpacked() -> None:
    data = make_picture("alice")
    width, height, depth, colour = struct.unpack_from(">IIBB", data, 16)
    assert (width, height, depth, colour) == (64, 64, 8, 2)
    at = data.index(b"IDAT")
    (length,) = struct.unpack_from(">I", data, at - 4)
    assert len(zlib.decompress(data[at + 4 : at + 4 + length])) == 64 * (1 + 64 * 3)


def test_a_jpeg_and_a_png_of_nobody_have_no_face() -> None:
    data = make_picture("alice")
    at = data.index(b"iTXt") - 4
    end = data.index(b"IDAT") - 4
    assert read_picture(data[:at] + data[end:]) == Picture(None, 0)
    assert read_picture(b"\xff\xd8\xff\xe0" + b"\0" * 100) == Picture(None, 0)


@pytest.mark.parametrize("cut", [0, 4, 8, 20, 200, -1])
def test_a_damaged_picture_is_refused(cut: int) -> None:
    with pytest.raises(PictureError):
        read_picture(make_picture("alice")[:cut])


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200), st.booleans())
def test_other_bytes_are_refused_and_break_nothing(data: bytes, like_png: bool) -> None:
    data = (b"\x89PNG\r\n\x1a\n" if like_png else b"x") + data
    with pytest.raises(PictureError):
        read_picture(data)


def test_the_command_writes_a_picture(tmp_path: Path) -> None:
    file = tmp_path / "bob.png"
    command = [sys.executable, "-m", "emulators.pictures", "bob", "--faces", "2", "--variant", "7", "-o", str(file)]
    subprocess.run(command, check=True)
    assert read_picture(file.read_bytes()) == Picture("bob", 2)
