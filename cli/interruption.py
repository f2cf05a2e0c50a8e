"""SIGINT and SIGTERM as an orderly end of a command."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class _InterruptedError(BaseException):
    """Raised in the main thread when a signal asks the command to end; nothing but ``interruptible`` catches it."""


class Interruption:
    """What the block may say about signals."""

    def ignore(self) -> None:
        """From now on the block ends by itself, soon: further signals change nothing."""
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)


@contextmanager
def interruptible() -> Iterator[Interruption]:
    """Run the block until it ends or a SIGINT or SIGTERM ends it; both are good endings. Main thread only."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise _InterruptedError

    before = {number: signal.signal(number, interrupt) for number in _SIGNALS}
    try:
        yield Interruption()
    except _InterruptedError:
        return
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
