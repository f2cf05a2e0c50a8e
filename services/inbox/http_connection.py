"""One HTTP/1.1 connection of the front door: its requests are answered in order, its peer has to keep up (RFC 9112).

How requests are read stands in ``http_requests``. This file holds the queue of their answers: pipelining, ``Expect``,
deadlines, and a close that does not lose an answer.
"""

import asyncio
import logging
from collections import deque
from functools import partial
from typing import Any, Final, Protocol

from services.inbox.answers import Answer, problem
from services.inbox.domain import Reason
from services.inbox.http_application import Application, ConnectionLimits, Head
from services.inbox.http_requests import Phase, Requests

log = logging.getLogger(__name__)

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class Host(Protocol):
    """The server that a connection belongs to."""

    limits: ConnectionLimits
    application: Application
    loop: asyncio.AbstractEventLoop
    date: bytes
    draining: bool

    def admit(self, connection: "Connection", peer: str) -> Reason | None:
        """Count one more connection of ``peer`` and return None, or return why there may be no more."""

    def forget(self, connection: "Connection") -> None:
        """Take a closed connection off the count."""


class Connection(asyncio.Protocol):
    """One connection. ``deadline`` is when ``expire`` is due, in the loop's time; the server looks at it."""

    __slots__ = (
        "_asking", "_closing", "_eof", "_host", "_paused", "_queue", "_requests", "_stopped_reading", "_transport",
        "_turn", "_unread", "deadline", "peer",
    )  # fmt: skip

    def __init__(self, host: Host) -> None:
        self._host = host
        self._requests = Requests(self, host.application, host.limits)
        self._transport: Any = None
        self.peer = ""
        self.deadline = float("inf")
        # Requests that are whole and not answered, in order: to be asked, or answered already.
        self._queue: deque[tuple[Head, bytes, int] | Answer] = deque()
        self._asking = False  # one request is with the application
        self._closing = False  # after the answers in the queue
        self._eof = False
        self._paused = False  # the peer does not read its answers
        self._stopped_reading = False
        self._turn = 0  # requests in what came last
        self._unread = False  # the peer may be sending what nobody will read

    # -- from the transport --------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self._transport = transport
        name = transport.get_extra_info("peername")
        self.peer = str(name[0]) if name else ""
        self.deadline = self._host.loop.time() + self._host.limits.head_seconds
        refused = self._host.admit(self, self.peer)
        if refused is not None:
            self.end(problem(refused))

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol. What is being answered goes on: it may be in the log already."""
        self._closing = True
        self.deadline = float("inf")
        self._requests.close()
        for item in self._queue:
            if not isinstance(item, Answer):
                self._host.application.release(item[2])
        self._queue.clear()
        self._host.forget(self)

    def eof_received(self) -> bool | None:
        """See asyncio.Protocol: a peer that has ended its sending still gets the answers to its whole requests."""
        self._eof = True
        self._requests.phase = Phase.ENDED
        if not self._asking or self._transport.get_extra_info("ssl_object") is not None:
            return None
        self._closing = True
        return True

    def pause_writing(self) -> None:
        """See asyncio.Protocol: the peer does not read its answers."""
        self._paused = True
        self.deadline = self._host.loop.time() + self._host.limits.write_seconds

    def resume_writing(self) -> None:
        """See asyncio.Protocol."""
        self._paused = False
        self.deadline = float("inf") if self._asking else self._host.loop.time() + self._host.limits.idle_seconds
        self._next()

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        phase = self._requests.phase
        if phase is Phase.ENDED:
            return
        if phase is Phase.IDLE:
            self.begun()
        self._turn = 0
        self._requests.feed(data)

    # -- from the requests ---------------------------------------------------------------------------------------

    @property
    def full(self) -> bool:
        """See Receiver. Those that were answered at once count too: one peer's pipeline must not hold up the others."""
        return max(len(self._queue), self._turn) >= self._host.limits.most_pipelined

    @property
    def busy(self) -> bool:
        """Whether a whole request is not answered yet."""
        return self._asking or bool(self._queue)

    def begun(self) -> None:
        """See Receiver."""
        if not self._asking:
            self.deadline = self._host.loop.time() + self._host.limits.head_seconds

    def head_read(self) -> None:
        """See Receiver."""
        if not self._asking:
            self.deadline = self._host.loop.time() + self._host.limits.body_seconds

    def proceed(self) -> None:
        """See Receiver."""
        self._transport.write(_CONTINUE)

    def take(self, request: tuple[Head, bytes, int] | Answer, *, last: bool) -> None:
        """See Receiver."""
        if last or self._host.draining:
            self._closing = True
        self._turn += 1
        self._queue.append(request)
        if self._closing:
            self._requests.phase = Phase.ENDED
        self._next()

    def end(self, answer: Answer | None) -> None:
        """Read nothing more; give the answers that are due, then this one, then close."""
        self._requests.close()
        self._closing = True
        self._unread = True
        if answer is not None:
            self._host.application.count(answer.reason)
            self._queue.append(answer)
        self._next()

    # -- answers -------------------------------------------------------------------------------------------------

    def _next(self) -> None:
        """Answer what is at the head of the queue, one at a time: answers keep the order of requests."""
        while self._queue and not self._asking and not self._paused:
            item = self._queue.popleft()
            if isinstance(item, Answer):
                self._write(item)
            else:
                self._ask(*item)
        full = bool(self._queue) or self._paused
        if full is not self._stopped_reading and not self._transport.is_closing():
            self._stopped_reading = full
            if full:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()
        if self._closing and not self._queue and not self._asking:
            self._leave()

    def _ask(self, head: Head, body: bytes, reserved: int) -> None:
        application = self._host.application
        self.deadline = float("inf")
        self._asking = True
        try:
            answer = application.respond(head, body, partial(self._answered, reserved))
        except Exception:
            log.exception("a bug at the door")
            answer = problem(Reason.INTERNAL)
            application.count(Reason.INTERNAL)
        if answer is not None:
            self._give(reserved, answer)

    def _answered(self, reserved: int, answer: Answer) -> None:
        self._give(reserved, answer)
        if not self._transport.is_closing():
            self._next()

    def _give(self, reserved: int, answer: Answer) -> None:
        self._host.application.release(reserved)
        self._asking = False
        if self._transport.is_closing():
            return
        self._write(answer)
        if not self._paused:
            limits = self._host.limits
            idle = self._requests.phase is Phase.IDLE
            self.deadline = self._host.loop.time() + (limits.idle_seconds if idle else limits.body_seconds)

    def _write(self, answer: Answer) -> None:
        last = self._closing and not self._queue
        self._transport.write(answer.encode(self._host.date, close=last))

    def _leave(self) -> None:
        """Close so that the peer can read the last answer: unread bytes would make the kernel reset the connection."""
        if self._transport.is_closing():
            return
        if self._unread and not self._eof and self._transport.can_write_eof():
            self._transport.write_eof()
            self.deadline = self._host.loop.time() + self._host.limits.linger_seconds
        else:
            self._transport.close()

    # -- from the server -----------------------------------------------------------------------------------------

    def expire(self) -> None:
        """End a connection whose deadline has passed: its peer is too slow, or has nothing to say."""
        self.deadline = float("inf")
        phase = self._requests.phase
        if phase is Phase.IDLE and not self._paused:
            self._transport.close()
        elif phase is Phase.ENDED or self._paused:
            self._transport.abort()
        else:
            self.end(problem(Reason.SLOW))

    def drain(self) -> None:
        """Take no new request; close when what is under way is answered."""
        idle = self._requests.phase is Phase.IDLE
        if idle and not self._asking:
            self._transport.close()
        else:
            self._closing = self._closing or idle

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()
