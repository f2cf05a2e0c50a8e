"""Memory and file handles of processes over time."""

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_PAGE_MIB: Final = os.sysconf("SC_PAGE_SIZE") / 1024 / 1024
# A young process still grows into its work.
_SETTLED_SECONDS: Final = 60.0
_LEAST_POINTS: Final = 6


@dataclass(frozen=True, slots=True)
class Sample:
    """One process at one moment."""

    seconds: float
    service: str
    pid: int
    resident_mib: float
    handles: int


def samples_now(seconds: float, pids: Mapping[str, int]) -> list[Sample]:
    """Look at each process; one that is just gone is left out."""
    found = []
    for service, pid in pids.items():
        try:
            pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
            handles = len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208 - pathlib would make an object of each
        except (OSError, IndexError):
            continue
        found.append(Sample(round(seconds, 1), service, pid, round(pages * _PAGE_MIB, 2), handles))
    return found


def slope_mib_per_hour(samples: Sequence[Sample], service: str) -> float | None:
    """Return the growth of the service's longest-lived process after its first minute; None when none lived so long."""
    lives: dict[int, list[Sample]] = defaultdict(list)
    for sample in samples:
        if sample.service == service:
            lives[sample.pid].append(sample)
    settled = [
        [one for one in life if one.seconds - life[0].seconds >= _SETTLED_SECONDS]
        for life in sorted(lives.values(), key=len)
    ]
    points = settled[-1] if settled else []
    if len(points) < _LEAST_POINTS:
        return None
    mean_x = sum(one.seconds for one in points) / len(points)
    mean_y = sum(one.resident_mib for one in points) / len(points)
    across = sum((one.seconds - mean_x) ** 2 for one in points)
    rising = sum((one.seconds - mean_x) * (one.resident_mib - mean_y) for one in points)
    return round(rising / across * 3600, 2)
