"""Runs a command that dies with the process that started it; used as a script: ``leash.py PARENT_PID COMMAND…``.

Linux kills a process with its parent when it asks for that (prctl(2), PR_SET_PDEATHSIG), and keeps the wish over exec.
Elsewhere the command just runs. It is a script of its own, and no ``preexec_fn``, because a fork of a process with
threads must not run Python code.
"""

import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(parent: int, command: list[str]) -> None:
    """Tie this process to ``parent`` (a process id) and become ``command``."""
    if sys.platform == "linux":
        import ctypes  # noqa: PLC0415 - needed here only

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            sys.exit(1)  # it died before the wish was known
    os.execv(command[0], command)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
