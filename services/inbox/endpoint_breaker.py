"""A breaker for one endpoint: after some failures in a row it is left alone, then tried by one request at a time."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

_FAILURES: Final = 5
_FIRST_REST_SECONDS: Final = 0.5
_LONGEST_REST_SECONDS: Final = 30.0


class Breaker:
    """Closed: all may pass. Open: nobody, for a rest that doubles. Then half open: one at a time, in turn.

    Whoever has passed must say ``succeeded`` or ``failed``. The one that waits longest tries first, and after a failure
    the next, so that one message that the endpoint cannot take does not keep it closed to all others.
    """

    def __init__(self, clock: Callable[[], float], *, failures: int = _FAILURES) -> None:
        self._clock = clock
        self._most = failures
        self._in_a_row = 0
        self._rest_seconds = _FIRST_REST_SECONDS
        self._open_until = 0.0
        self._probing = False
        self._turns: deque[asyncio.Future[None]] = deque()

    def closed(self) -> bool:
        """Whether the endpoint answers, as far as is known."""
        return self._in_a_row < self._most

    async def admit(self, patience_seconds: float) -> bool:
        """Wait for leave to try, at most so long; returns whether it is given."""
        if self.closed():
            return True
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._turns.append(turn)
        deadline = self._clock() + patience_seconds
        try:
            while not self.closed():
                now = self._clock()
                if not self._probing and now >= self._open_until and self._turns[0] is turn:
                    self._probing = True
                    return True
                if now >= deadline:
                    return False
                soonest = self._open_until if not self._probing and self._turns[0] is turn else deadline
                await asyncio.wait([turn], timeout=max(0.001, min(deadline, max(soonest, now)) - now))
                if turn.done():  # woken: somebody's try has ended
                    turn = self._next(turn)
            return True
        finally:
            if turn in self._turns:
                self._turns.remove(turn)
            turn.cancel()

    def _next(self, old: "asyncio.Future[None]") -> "asyncio.Future[None]":
        new: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._turns[self._turns.index(old)] = new
        return new

    def succeeded(self) -> None:
        """Note that the endpoint has answered."""
        self._in_a_row = 0
        self._probing = False
        self._rest_seconds = _FIRST_REST_SECONDS
        self._wake()

    def failed(self, retry_after_seconds: float | None = None) -> None:
        """Note that it has not; after enough in a row it rests, for as long as it asks or twice as long as before."""
        self._in_a_row += 1
        if self.closed():
            return
        rest = max(self._rest_seconds, min(retry_after_seconds or 0.0, _LONGEST_REST_SECONDS))
        if self._probing or self._open_until <= self._clock():
            self._open_until = self._clock() + rest
            self._rest_seconds = min(self._rest_seconds * 2, _LONGEST_REST_SECONDS)
        self._probing = False
        self._wake()

    def _wake(self) -> None:
        for turn in self._turns:
            if not turn.done():
                turn.set_result(None)
