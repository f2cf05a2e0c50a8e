"""Starting an emulator as a process of its own and waiting for its line of readiness."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

READY = re.compile(r"[a-z]+: ready on (?:http://)?(\S+)\n")


@contextlib.contextmanager
def running(module: str, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process of `python -m module` and the host:port that it says it listens on."""
    command = [sys.executable, "-m", module, *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"})
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        match = READY.fullmatch(line)
        assert match, f"{module} said {line!r}"
        yield process, match[1]
    finally:
        process.terminate()
        process.wait(10)
        if process.stdout is not None:
            process.stdout.close()


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
