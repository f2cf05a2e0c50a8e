"""The last release's code, out of this clone's history: what upgrades begin from and events are compared with.

``deploy/last-release`` names its version and commit, so that no clone needs tags; releasing means to write the new one
there and to tag it ``v<version>``.
"""

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
NAMED: Final = ROOT / "deploy" / "last-release"


class NoHistoryError(Exception):
    """Raised when this clone does not have the last release's commit."""


@dataclass(frozen=True, slots=True)
class Release:
    """A release by its version and the whole hash of its commit."""

    version: str
    commit: str

    def extract(self, folder: Path, *paths: str) -> Path:
        """Write the release's files, or those below ``paths``, to ``folder`` and return it. Raises NoHistoryError."""
        archive = _git("archive", "--format=tar", self.commit, *paths)
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["tar", "-x", "-C", str(folder)], input=archive, check=True)
        return folder


def last_release() -> Release:
    """Return what ``deploy/last-release`` names. Raises NoHistoryError when this clone does not have it."""
    version, commit = NAMED.read_text().split()
    _git("cat-file", "-e", f"{commit}^{{commit}}")
    return Release(version, commit)


def _git(*arguments: str) -> bytes:
    try:
        done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, check=False)
    except FileNotFoundError:
        raise NoHistoryError("git is not installed") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise NoHistoryError(said[-1] if said else f"git {arguments[0]} ended with {done.returncode}")
    return done.stdout
