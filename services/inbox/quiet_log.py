"""Log lines that strangers can cause, so many a second and no more; the next one says how many were left out."""

import logging
from collections.abc import Callable
from typing import Final

_LINES_PER_SECOND: Final = 20


class QuietLog:
    """Writes the first lines of each second. What was left out is in the metrics, by reason."""

    def __init__(self, log: logging.Logger, clock: Callable[[], float]) -> None:
        self._log = log
        self._clock = clock
        self._second = 0
        self._written = 0
        self._left_out = 0

    def info(self, message: str, reason: str, detail: str) -> None:
        """Write a line, unless there were too many."""
        second = int(self._clock())
        if second != self._second:
            self._second, self._written = second, 0
        if self._written >= _LINES_PER_SECOND:
            self._left_out += 1
            return
        self._written += 1
        extra: dict[str, object] = {"reason": reason, "detail": detail}
        if self._left_out:
            extra["left_out"], self._left_out = self._left_out, 0
        self._log.info(message, extra=extra)
