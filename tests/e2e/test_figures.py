"""What a service costs, and how quickly it is there: on a real Apache Kafka, idle."""

import math
import re
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import pytest

from cli.run import SERVICES
from cli.workbench import Workbench

MOST_MEBIBYTES = 90
MOST_SECONDS_TO_READY = 2.0
MOST_SECONDS_BACK = 6.0
# 1.3 times was seen on an idle machine.
MOST_TIMES_THE_IMPORTS = 1.8
TRIES = 3

pytestmark = [pytest.mark.kafka, pytest.mark.alone]


@pytest.fixture(scope="module")
def workbench(real_kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    """A system on a real broker that nobody asks anything of."""
    return Workbench(tmp_path_factory.mktemp("figures"), kafka=real_kafka)


def test_an_idle_service_is_small_starts_quickly_and_is_back_soon_after_kill_9(workbench: Workbench) -> None:
    """Under 90 MiB resident; under 2 s from start to ready; under 6 s from kill -9 until it works again.

    The machine is shared: the best of a few tries says what the service needs, the others what else was running. Where
    importing the libraries alone is slow at the same time, the start is held against that.
    """
    figures = {name: _Figures() for name in SERVICES}
    with workbench:
        for _ in range(TRIES):
            trying = {name: figure for name, figure in figures.items() if figure.missed}
            for name, figure in trying.items():
                figure.starts.append(_Start(_start_seconds(workbench, name), _import_seconds()))
            time.sleep(2)  # what only the start needed is given back half a second after it
            for name, figure in trying.items():
                figure.mebibytes.append(_resident(workbench.system.pids[name]))
            for name, figure in trying.items():
                figure.backs.append(_back_seconds(workbench, name))
    for name, figure in figures.items():
        print(f"\n{name}: {figure}")
    assert not {name: figure.missed for name, figure in figures.items() if figure.missed}, figures


class _Start(NamedTuple):
    """One start, and what importing the libraries took at the same time, both in seconds."""

    seconds: float
    import_seconds: float


@dataclass
class _Figures:
    """What was seen of one service."""

    starts: list[_Start] = field(default_factory=list)
    mebibytes: list[float] = field(default_factory=list)
    backs: list[float] = field(default_factory=list)

    @property
    def _start_bound(self) -> float:
        imports = min((start.import_seconds for start in self.starts), default=0.0)
        return max(MOST_SECONDS_TO_READY, MOST_TIMES_THE_IMPORTS * imports)

    @property
    def missed(self) -> list[str]:
        """The figures that no try has met."""
        met = {
            "start to ready": min((start.seconds for start in self.starts), default=math.inf) < self._start_bound,
            "memory": min(self.mebibytes, default=MOST_MEBIBYTES) < MOST_MEBIBYTES,
            "back after kill -9": min(self.backs, default=MOST_SECONDS_BACK) < MOST_SECONDS_BACK,
        }
        return [name for name, one in met.items() if not one]


def _resident(pid: int) -> float:
    (kilobytes,) = re.findall(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return round(int(kilobytes) / 1024, 1)


def _import_seconds() -> float:
    """What a process needs to import the libraries that were chosen, with nothing of ours."""
    began = time.monotonic()
    libraries = (
        "aiohttp, boto3, cryptography.hazmat.primitives.serialization, faststream.kafka, pydantic_settings, uvloop"
    )
    subprocess.run([sys.executable, "-c", f"import {libraries}"], check=True)
    return round(time.monotonic() - began, 2)


def _start_seconds(workbench: Workbench, service: str) -> float:
    return round(workbench.restart_service(service), 2)


def _back_seconds(workbench: Workbench, service: str) -> float:
    began = time.monotonic()
    workbench.kill(service)
    time.sleep(0.1)  # until the dead one no longer answers
    workbench.wait_ready(service)
    return round(time.monotonic() - began, 2)
