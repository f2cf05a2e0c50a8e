"""The front door is open before the router behind it has its place in the group."""

import asyncio
import time
import urllib.error
import urllib.request
from pathlib import Path

from tests.support.service_process import ServiceProcess, surroundings


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def test_a_started_door_answers_while_its_router_still_waits_for_the_group(tmp_path: Path) -> None:
    with surroundings(tmp_path) as around:
        asyncio.run(around.prepare())
        with ServiceProcess("inbox", around.environment(), tmp_path) as inbox:
            url = f"http://127.0.0.1:{inbox.environment['FACESCAN_INBOX_PORT']}/manifest"
            deadline = time.monotonic() + 60
            while not answers(url):
                assert time.monotonic() < deadline, inbox.said()
                time.sleep(0.02)
            # A first join of a group takes this broker three seconds.
            assert inbox.ask("/readyz") == (503, "starting\n")
            inbox.wait_ready()
