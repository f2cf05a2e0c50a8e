"""Child processes: started, watched, started again when they may die, and ended, none left behind.

One thread starts all of them and lives until the last has ended: Linux kills a child that asked for it (``cli.leash``)
when the *thread* that started it ends, so a passing thread would take its children with it.
"""

import atexit
import contextlib
import logging
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from shared.errors import UnavailableError

log = logging.getLogger(__name__)

T = TypeVar("T")

RESTART_SECONDS: Final = 0.5
_LOOK_SECONDS: Final = 0.02
_LAST_LINE_BYTES: Final = 4000
_LAST_LINE_CHARACTERS: Final = 300
_ROOT: Final = Path(__file__).parents[1]
_LEASH: Final = Path(__file__).with_name("leash.py")


@dataclass(frozen=True, slots=True)
class Child:
    """A process to run: ``python -m module arguments``, its whole environment, the file for its output.

    ``restarts``: whether its death is survived by starting it again; else it is the end of everything.
    """

    name: str
    module: str
    arguments: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    restarts: bool = False

    def command(self) -> list[str]:
        """Return the command line. ``-P`` keeps a folder in the current directory from standing in for a module."""
        leash = [sys.executable, "-I", "-S", str(_LEASH), str(os.getpid())]
        return [*leash, sys.executable, "-P", "-m", self.module, *self.arguments]


class Supervisor:
    """Runs children; ``changed`` is called in its thread when a child has been started again."""

    def __init__(self, changed: Callable[[], None] = lambda: None) -> None:
        self._changed = changed
        self._orders: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._children: dict[str, Child] = {}
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._again_at: dict[str, float] = {}
        self._restarting = False
        self._failure: str | None = None
        self._failed = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="supervisor", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        atexit.register(self._kill_all)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end(list(self._running), grace_seconds=5.0)
        self._orders.put(None)
        self._thread.join()
        atexit.unregister(self._kill_all)

    # -- orders --------------------------------------------------------------------------------------------------

    def start(self, child: Child) -> int:
        """Start a child and return its process id. Raises UnavailableError when the system cannot."""
        return self._in_thread(lambda: self._spawn(child))

    def end(self, names: Iterable[str], grace_seconds: float) -> None:
        """End children, all at once: SIGTERM, and SIGKILL for those that still run after ``grace_seconds``."""
        ending = self._in_thread(lambda: {name: self._let_go(name) for name in names if name in self._running})
        for process in ending.values():
            _send(process, signal.SIGTERM)
        deadline = time.monotonic() + grace_seconds
        for process in ending.values():
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                _send(process, signal.SIGKILL)
                process.wait()

    def send_signal(self, name: str, number: int) -> None:
        """Send a signal to a running child. Raises UnavailableError when it does not run now."""
        process = self._running.get(name)
        if process is None or process.poll() is not None:
            raise UnavailableError(f"{name} does not run now")
        _send(process, number)

    def restart_the_dead(self) -> None:
        """From now on, start children again that may die; until then every death is a failure."""
        self._restarting = True

    # -- questions -----------------------------------------------------------------------------------------------

    @property
    def pids(self) -> dict[str, int]:
        """The process id of every child, dead ones that are about to be started again included."""
        return {name: process.pid for name, process in list(self._running.items())}

    def child(self, name: str) -> Child:
        """Return what was started under this name. Raises UnavailableError when nothing was."""
        if name not in self._children:
            raise UnavailableError(f"{name} was never started")
        return self._children[name]

    @property
    def failure(self) -> str | None:
        """Why everything must end, in one line; None while all is well."""
        return self._failure

    def wait_for_failure(self, seconds: float | None = None) -> str | None:
        """Wait until something fails, or for so long; return why, or None."""
        self._failed.wait(seconds)
        return self._failure

    def wait_for_line(self, name: str, mark: str, seconds: float) -> str:
        """Return what follows ``mark`` in the child's output, up to the end of the line.

        Raises UnavailableError when the child dies or the time is over.
        """
        path = self._children[name].log
        deadline = time.monotonic() + seconds
        while True:
            for line in path.read_text("utf-8", "replace").splitlines(keepends=True):
                if mark in line and line.endswith("\n"):
                    return line.partition(mark)[2].strip()
            if self._failure:
                raise UnavailableError(self._failure)
            if time.monotonic() > deadline:
                raise UnavailableError(f"{name} is not ready after {seconds:.0f} s; its output is in {path}")
            time.sleep(_LOOK_SECONDS)

    # -- in the thread -------------------------------------------------------------------------------------------

    def _in_thread(self, work: Callable[[], T]) -> T:
        answer: Future[T] = Future()

        def order() -> None:
            try:
                answer.set_result(work())
            except Exception as error:  # noqa: BLE001 - it is raised again where the order came from
                answer.set_exception(error)

        self._orders.put(order)
        return answer.result()

    def _watch(self) -> None:
        while True:
            with contextlib.suppress(queue.Empty):
                order = self._orders.get(timeout=_LOOK_SECONDS)
                if order is None:
                    return
                order()
            for name, process in list(self._running.items()):
                if name not in self._again_at and process.poll() is not None:
                    self._died(name, process.returncode)
            for name, moment in list(self._again_at.items()):
                if time.monotonic() >= moment:
                    self._start_again(name)

    def _spawn(self, child: Child) -> int:
        environment = {**child.environment, "PYTHONPATH": str(_ROOT), "PYTHONUNBUFFERED": "1"}
        try:
            with child.log.open("ab") as output:
                process: subprocess.Popen[bytes] = subprocess.Popen(  # noqa: S603 - our own modules, no shell
                    child.command(),
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,  # a terminal's Ctrl-C is for us, who end them in order
                )
        except OSError as error:
            raise UnavailableError(f"{child.name} cannot be started: {error.strerror}: {error.filename}") from error
        self._children[child.name] = child
        self._running[child.name] = process
        self._again_at.pop(child.name, None)
        return process.pid

    def _died(self, name: str, code: int) -> None:
        child = self._children[name]
        if self._restarting and child.restarts:
            self._again_at[name] = time.monotonic() + RESTART_SECONDS
            return
        del self._running[name]
        self._fail(f"{name} ended with {_ending(code)}{_last_line(child.log)}")

    def _start_again(self, name: str) -> None:
        try:
            self._spawn(self._children[name])
        except UnavailableError as error:
            self._again_at.pop(name, None)
            self._fail(str(error))
            return
        self._changed()

    def _let_go(self, name: str) -> "subprocess.Popen[bytes]":
        self._again_at.pop(name, None)
        return self._running.pop(name)

    def _fail(self, why: str) -> None:
        self._failure = self._failure or why
        self._failed.set()

    def _kill_all(self) -> None:
        for process in list(self._running.values()):
            _send(process, signal.SIGKILL)


def _send(process: "subprocess.Popen[Any]", number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(number)


def _ending(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def _last_line(path: Path) -> str:
    """Return the last line of a log as the end of a sentence."""
    with contextlib.suppress(OSError):
        lines = path.read_bytes()[-_LAST_LINE_BYTES:].decode("utf-8", "replace").split("\n")
        said = next((line.strip() for line in reversed(lines) if line.strip()), "")
        if said:
            return f": {said[:_LAST_LINE_CHARACTERS]} (all of it: {path})"
    return f"; its output is in {path}"
