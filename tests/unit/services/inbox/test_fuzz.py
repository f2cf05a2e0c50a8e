"""The front door under bytes that nobody should send; ``make fuzz`` goes on for as long as it is told."""

import os

from bench.fuzz import fuzz


async def test_no_bytes_make_the_door_crash_answer_5xx_or_grow() -> None:
    """200,000 connections in CI, 20,000 elsewhere, FACESCAN_FUZZ_COUNT whatever is wanted."""
    count = int(os.environ.get("FACESCAN_FUZZ_COUNT", "200000" if os.environ.get("CI") else "20000"))
    seen = await fuzz(seed=20261123, count=count, seconds=None)
    assert seen["cases"] == count
    answers = seen["answers"]
    assert isinstance(answers, dict)
    assert {200, 400, 401, 422, 431} <= set(answers)
