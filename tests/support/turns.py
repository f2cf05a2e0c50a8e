"""Turns between the processes of a test run: many side by side, or one alone."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Turns:
    """A lock of readers and writers over processes, in which a waiting writer is not passed by new readers.

    The operating system gives both locks back when a process dies.
    """

    def __init__(self, folder: Path) -> None:
        """Takes the folder that all processes of the run share; two empty files are made in it."""
        self._gate = folder / "turns.gate"
        self._room = folder / "turns.room"

    @contextmanager
    def beside_others(self) -> Iterator[None]:
        """Waits until nobody runs alone or waits for it; holds the turn for the block."""
        with _locked(self._gate, fcntl.LOCK_SH):
            entered = _locked(self._room, fcntl.LOCK_SH)
            entered.__enter__()
        try:
            yield
        finally:
            entered.__exit__(None, None, None)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Waits until those who run have ended, and lets nobody begin meanwhile; holds the turn for the block."""
        with _locked(self._gate, fcntl.LOCK_EX), _locked(self._room, fcntl.LOCK_EX):
            yield


@contextmanager
def _locked(path: Path, kind: int) -> Iterator[None]:
    with path.open("a") as file:
        fcntl.flock(file, kind)
        yield
