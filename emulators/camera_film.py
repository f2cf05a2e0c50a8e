"""A film for a browser's fake camera (Chromium's --use-file-for-fake-video-capture): plain YUV4MPEG2, a few frames."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

# The least that the component takes: a browser without a graphics card encodes it in software.
WIDTH, HEIGHT = 320, 240
FRAMES_PER_SECOND: Final = 15
_FRAMES: Final = 3
_NEUTRAL: Final = 128
_STEP: Final = 2


def write_film(path: Path, brightness: int = 128) -> None:
    """Write a film whose frames are `brightness` (0..255) all over: at 0 the stand-in face model sees nobody.

    Chromium names the camera after the file, and the page's component refuses cameras called virtual.
    """
    header = f"YUV4MPEG2 W{WIDTH} H{HEIGHT} F{FRAMES_PER_SECOND}:1 Ip A1:1 C420jpeg\n"
    chroma = bytes([_NEUTRAL]) * (WIDTH * HEIGHT // 2)
    frames = [
        # A little change from frame to frame, or an encoder has nothing to send.
        b"FRAME\n" + bytes([min(255, brightness + _STEP * number if brightness else 0)]) * (WIDTH * HEIGHT) + chroma
        for number in range(_FRAMES)
    ]
    path.write_bytes(header.encode() + b"".join(frames))


@click.command()
@click.option("--brightness", type=click.IntRange(0, 255), default=128, show_default=True)
@click.option("-o", "--output", required=True, type=click.Path(dir_okay=False, path_type=Path))
def main(brightness: int, output: Path) -> None:
    """Write a film for a browser's fake camera."""
    write_film(output, brightness)


if __name__ == "__main__":
    main()
