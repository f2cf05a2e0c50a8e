"""``facescan demo``, as a newcomer runs it."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from uuid import uuid4

from cli.demo_cases import CASES
from tests.e2e.scanning import chromium

# A machine with nothing else to do needs 20 s (README); this one may be running other things.
MOST_SECONDS = 60


def test_the_demo_shows_six_right_verifications_and_leaves_no_process_behind() -> None:
    """Exit code 0, every case as it must be, and nobody of its children is there afterwards."""
    mark = f"DEMO_MARK={uuid4()}"
    name, value = mark.split("=")
    began = time.monotonic()
    ended = subprocess.run(
        [sys.executable, "-m", "cli.main", "demo", "--json"],
        capture_output=True,
        env={**os.environ, name: value},
        timeout=180,
        check=False,
    )
    took = time.monotonic() - began
    assert ended.returncode == 0, ended.stderr.decode()
    result = json.loads(ended.stdout)
    assert [case["case"] for case in result["cases"]] == [case.name for case in CASES]
    assert len(result["cases"]) == 6
    assert _marked(mark) == []
    assert took < MOST_SECONDS, took


def test_the_demo_in_a_real_browser_ends_in_a_signed_success() -> None:
    """The real page and component on the embedded broker; all other ways of the page are walked on a real Kafka."""
    chromium()
    command = [sys.executable, "-m", "cli.main", "demo", "--browser"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "screen: check, the video streams" in ended.stdout
    assert "shop.example got the signed answer SUCCESS" in ended.stdout


def _marked(mark: str) -> list[str]:
    """Command lines of the processes that have inherited the mark."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (process / "environ").read_bytes().split(b"\0"):
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue  # ended meanwhile
    return found
