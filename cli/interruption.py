"""SIGINT and SIGTERM as an orderly end of a command."""

import signal
from types import FrameType, TracebackType
from typing import Any, Final, NoReturn, Self

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class _InterruptedError(BaseException):
    """Raised in the main thread when a signal asks the command to end; nothing but ``Interruptible`` catches it."""


class Interruptible:
    """A block that ends by itself, or by a SIGINT or SIGTERM: both are good endings. Main thread only."""

    def __init__(self) -> None:
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, _interrupt) for number in _SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        return isinstance(error, _InterruptedError)

    def ignore(self) -> None:
        """From now on the block ends by itself, soon: further signals change nothing."""
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    raise _InterruptedError
