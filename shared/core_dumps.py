"""No memory image of a process that holds private keys: neither a core file nor another process's look into it."""

import ctypes
import resource
from typing import Final

# linux/prctl.h
_PR_SET_DUMPABLE: Final = 4


def forbid_core_dumps() -> None:
    """Let this process, and what it starts, never leave a core; for the start of a process.

    RLIMIT_CORE does not hold for a core that is piped to a program, so the process is made undumpable too (prctl(2)),
    which also keeps other processes of the same user from attaching to it. Elsewhere than on Linux the limit is all.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
