"""The front door under bytes that nobody should send; ``make fuzz`` goes on for as long as it is told."""

import json
import os
import subprocess
import sys


def test_no_bytes_make_the_door_crash_answer_5xx_or_grow() -> None:
    """200,000 connections in CI, 20,000 elsewhere, FACESCAN_FUZZ_COUNT whatever is wanted."""
    count = int(os.environ.get("FACESCAN_FUZZ_COUNT", "200000" if os.environ.get("CI") else "20000"))
    # A process of its own: what other tests leave is not its growth.
    command = [sys.executable, "-m", "bench.fuzz", "--count", str(count), "--seed", "20261123"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280)
    assert ran.returncode == 0, ran.stderr[-2000:]
    seen = json.loads(ran.stdout)
    assert seen["cases"] == count
    answers = seen["answers"]
    assert {"200", "400", "401", "422", "431"} <= set(answers)
