"""One HTTP/1.1 connection of the front door: bounded before anything is parsed, answered in order (RFC 9112).

The parser is llhttp, by httptools. This file holds what it leaves open: how long and how large each part of a request
may be, what is refused as smuggling, pipelining, ``Expect``, and a close that does not lose the answer.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Coroutine
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final, Protocol

import httptools

from services.inbox.answers import Answer, Malformed, problem
from services.inbox.domain import Reason

log = logging.getLogger(__name__)

_MANY_HEADERS: Final = (b"host", b"content-length", b"transfer-encoding", b"expect", b"content-encoding")
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
# What a chunked body may have in framing beside its content: a sender of one-byte chunks gets no further.
_FRAMING_BYTES: Final = 4096
_MOST_CHUNKS: Final = 1024
_LARGEST_LENGTH_DIGITS: Final = 18


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Bounds of one connection; times in seconds. Each is a setting, where it says what it prevents."""

    largest_body_bytes: int = 65536
    largest_head_bytes: int = 16384
    most_headers: int = 64
    most_pipelined: int = 16
    head_seconds: float = 10.0
    body_seconds: float = 20.0
    idle_seconds: float = 75.0
    write_seconds: float = 20.0
    linger_seconds: float = 2.0


@dataclass(slots=True)
class Head:
    """The request line and what the door reads of the headers.

    ``forwarded`` are the X-Forwarded-For lines in order; ``client`` is whom the application takes the sender for.
    """

    method: bytes
    path: bytes
    peer: str
    forwarded: tuple[bytes, ...]
    client: str = ""


class Application(Protocol):
    """What answers whole requests."""

    def refuse(self, head: Head) -> Answer | None:
        """Return the answer to a request that is refused by its head alone, else None."""

    def reserve(self, count: int) -> bool:
        """Whether ``count`` more bytes of bodies may be held; if so they are, until ``release``."""

    def release(self, count: int) -> None:
        """Give back what was reserved."""

    def respond(self, head: Head, body: bytes) -> Coroutine[Any, Any, Answer]:
        """Return the answer to a whole request."""

    def count(self, reason: Reason | None) -> None:
        """Count an answer that was given without the application."""


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


class _Phase(Enum):
    IDLE = auto()
    HEAD = auto()
    BODY = auto()
    ENDED = auto()  # nothing more is read as a request; what comes is thrown away until the peer has the answers


class _StopError(Exception):
    """Raised inside the parser's callbacks to end its work on this connection."""


class Connection(asyncio.Protocol):
    """One connection. ``deadline`` is when ``expire`` is due, in the loop's time; the server looks at it."""

    __slots__ = (
        "_answering", "_body", "_body_bytes", "_chunks", "_closing", "_discard", "_eof", "_forwarded", "_framed",
        "_head", "_head_bytes", "_headers", "_host", "_parser", "_path", "_paused", "_phase", "_queue",
        "_reserved", "_seen", "_stopped_reading", "_transport", "_unread", "_wire_bytes", "deadline", "peer",
    )  # fmt: skip

    def __init__(self, host: Host) -> None:
        self._host = host
        self._parser = httptools.HttpRequestParser(self)
        self._transport: Any = None
        self.peer = ""
        self.deadline = float("inf")
        self._phase = _Phase.IDLE
        # Requests that are whole and not answered, in order: to be asked, or answered already.
        self._queue: deque[tuple[Head, bytes, int] | Answer] = deque()
        self._answering: asyncio.Task[None] | None = None
        self._closing = False  # after the answers in the queue
        self._eof = False
        self._paused = False  # the peer does not read its answers
        self._stopped_reading = False
        self._unread = False  # the peer may be sending what nobody will read
        self._reserved = 0
        self._head_bytes = 0
        self._begin()

    def _begin(self) -> None:
        self._path = b""
        self._headers = 0
        self._seen: dict[bytes, bytes] = {}
        self._forwarded: list[bytes] = []
        self._head: Head | None = None
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._wire_bytes = 0
        self._chunks = 0
        self._discard: Answer | None = None
        self._framed = False

    # -- from the transport --------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self._transport = transport
        name = transport.get_extra_info("peername")
        self.peer = str(name[0]) if name else ""
        self.deadline = self._host.loop.time() + self._host.limits.head_seconds
        refused = self._host.admit(self, self.peer)
        if refused is not None:
            self._end(problem(refused))

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol. What is being answered goes on: it may be in the log already."""
        self._phase = _Phase.ENDED
        self._closing = True
        self.deadline = float("inf")
        self._drop_reserved()
        for item in self._queue:
            if not isinstance(item, Answer):
                self._host.application.release(item[2])
        self._queue.clear()
        self._host.forget(self)

    def eof_received(self) -> bool | None:
        """See asyncio.Protocol: a peer that has ended its sending still gets the answers to its whole requests."""
        self._eof = True
        self._phase = _Phase.ENDED
        if self._answering is None or self._transport.get_extra_info("ssl_object") is not None:
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
        self.deadline = float("inf") if self._answering else self._host.loop.time() + self._host.limits.idle_seconds
        self._next()

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        if self._phase is _Phase.ENDED:
            return
        if self._phase is _Phase.IDLE:
            self._phase = _Phase.HEAD
            if self._answering is None:
                self.deadline = self._host.loop.time() + self._host.limits.head_seconds
        if self._phase is _Phase.BODY:
            self._wire_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._refuse(Malformed.UPGRADE)
        except httptools.HttpParserCallbackError as error:
            if not isinstance(error.__context__, _StopError):
                raise
        except httptools.HttpParserError:
            self._refuse(Malformed.SYNTAX)
        else:
            self._check_wire(len(data))

    def _check_wire(self, received: int) -> None:
        """Bound what the parser holds without telling: a head that does not end, framing without content."""
        limits = self._host.limits
        if self._phase is _Phase.HEAD:
            self._head_bytes += received
            if self._head_bytes > limits.largest_head_bytes:
                self._end(problem(Reason.HEAD))
        elif (
            self._framed
            and self._phase is _Phase.BODY
            and self._wire_bytes > 2 * limits.largest_body_bytes + _FRAMING_BYTES
        ):
            self._end(problem(Reason.TOO_LARGE))

    # -- from the parser -----------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """A request begins; the last one may still be unanswered."""
        if len(self._queue) >= self._host.limits.most_pipelined:
            # Those before are answered; a sender sends the others again on another connection.
            self._end(None)
            raise _StopError
        self._begin()
        self._phase = _Phase.HEAD

    def on_url(self, part: bytes) -> None:
        """A part of the request's target."""
        self._path += part
        if len(self._path) > self._host.limits.largest_head_bytes:
            self._stop(problem(Reason.HEAD))

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header, or one trailer after a chunked body."""
        self._headers += 1
        self._head_bytes += len(name) + len(value)
        limits = self._host.limits
        if self._headers > limits.most_headers or self._head_bytes > limits.largest_head_bytes:
            self._stop(problem(Reason.HEAD))
        if self._head is not None:
            return  # a trailer says nothing here
        name = name.lower()
        if name == b"x-forwarded-for":
            self._forwarded.append(value)
        elif name in _MANY_HEADERS:
            if name in self._seen:
                self._stop_malformed(Malformed.REPEATED)
            self._seen[name] = value

    def on_headers_complete(self) -> None:
        """The head is whole: all that can be refused by it is refused now."""
        self._check_head()
        head = Head(self._parser.get_method(), self._path, self.peer, tuple(self._forwarded))
        self._head = head
        self._phase = _Phase.BODY
        self._head_bytes = 0
        length = self._length()
        if length > self._host.limits.largest_body_bytes:
            self._stop(problem(Reason.TOO_LARGE))
        answer = self._host.application.refuse(head)
        if answer is None and not self._reserve(length):
            answer = problem(Reason.OVERLOADED)
        expects = b"expect" in self._seen
        if answer is not None:
            if expects or answer.closes:
                self._stop(answer)
            self._discard = answer
        elif expects and (length or self._framed) and not self._queue and self._answering is None:
            self._transport.write(_CONTINUE)
        if self._answering is None:
            self.deadline = self._host.loop.time() + self._host.limits.body_seconds

    def on_chunk_header(self) -> None:
        """One chunk begins."""
        self._chunks += 1
        if self._chunks > _MOST_CHUNKS:
            self._stop(problem(Reason.TOO_LARGE, "the message comes in too many chunks"))

    def on_body(self, part: bytes) -> None:
        """A part of the body."""
        self._body_bytes += len(part)
        if self._body_bytes > self._host.limits.largest_body_bytes:
            self._stop(problem(Reason.TOO_LARGE))
        if self._discard is not None:
            return
        if self._framed and not self._reserve(len(part)):
            self._stop(problem(Reason.OVERLOADED))
        self._body.append(part)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._phase = _Phase.IDLE
        self._head_bytes = 0
        if not self._parser.should_keep_alive() or self._host.draining:
            self._closing = True
        if self._discard is not None:
            self._host.application.count(self._discard.reason)
            self._queue.append(self._discard)
        elif self._head is not None:
            body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
            self._queue.append((self._head, body, self._reserved))
            self._reserved = 0
        if self._closing:
            self._phase = _Phase.ENDED
        self._next()
        if self._closing:
            raise _StopError

    # -- the head ------------------------------------------------------------------------------------------------

    def _check_head(self) -> None:
        """Refuse what two servers in a row might read differently (RFC 9112 §3.2, §6.1, §6.3)."""
        seen, version = self._seen, self._parser.get_http_version()
        transfer = seen.get(b"transfer-encoding")
        if version not in {"1.1", "1.0"}:
            self._stop_malformed(Malformed.VERSION)
        if version == "1.1" and not seen.get(b"host"):
            self._stop_malformed(Malformed.HOST)
        if transfer is not None:
            if b"content-length" in seen:
                self._stop_malformed(Malformed.BOTH_LENGTHS)
            if transfer.lower() != b"chunked" or version == "1.0":
                self._stop_malformed(Malformed.TRANSFER)
            self._framed = True
        if b"expect" in seen and seen[b"expect"].lower() != b"100-continue":
            self._stop(problem(Reason.EXPECTATION))
        if seen.get(b"content-encoding", b"identity").lower() != b"identity":
            self._stop(problem(Reason.ENCODING))

    def _length(self) -> int:
        text = self._seen.get(b"content-length", b"0")
        if not text.isdigit():
            self._stop_malformed(Malformed.LENGTH)
        return int(text) if len(text) <= _LARGEST_LENGTH_DIGITS else 10**_LARGEST_LENGTH_DIGITS

    def _reserve(self, count: int) -> bool:
        if count and not self._host.application.reserve(count):
            return False
        self._reserved += count
        return True

    def _drop_reserved(self) -> None:
        self._host.application.release(self._reserved)
        self._reserved = 0

    # -- answers -------------------------------------------------------------------------------------------------

    def _next(self) -> None:
        """Answer what is at the head of the queue, one at a time: answers keep the order of requests."""
        while self._queue and self._answering is None and not self._paused:
            item = self._queue.popleft()
            if isinstance(item, Answer):
                self._write(item)
            else:
                self.deadline = float("inf")
                self._answering = self._host.loop.create_task(self._ask(*item))
        full = bool(self._queue) or self._paused
        if full is not self._stopped_reading and not self._transport.is_closing():
            self._stopped_reading = full
            if full:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()
        if self._closing and not self._queue and self._answering is None:
            self._leave()

    async def _ask(self, head: Head, body: bytes, reserved: int) -> None:
        application = self._host.application
        try:
            answer = await application.respond(head, body)
        except Exception:
            log.exception("a bug at the door")
            answer = problem(Reason.INTERNAL)
            application.count(Reason.INTERNAL)
        finally:
            application.release(reserved)
            self._answering = None
        if self._transport.is_closing():
            return
        self._write(answer)
        if not self._paused:
            self.deadline = self._host.loop.time() + (
                self._host.limits.idle_seconds if self._phase is _Phase.IDLE else self._host.limits.body_seconds
            )
        self._next()

    def _write(self, answer: Answer) -> None:
        last = self._closing and not self._queue
        self._transport.write(answer.encode(self._host.date, close=last))

    def _refuse(self, what: Malformed) -> None:
        self._end(problem(Reason.MALFORMED, what.value))

    def _stop_malformed(self, what: Malformed) -> None:
        self._stop(problem(Reason.MALFORMED, what.value))

    def _stop(self, answer: Answer) -> None:
        self._end(answer)
        raise _StopError

    def _end(self, answer: Answer | None) -> None:
        """Read nothing more; give the answers that are due, then this one, then close."""
        if self._phase is _Phase.ENDED:
            return
        self._phase = _Phase.ENDED
        self._closing = True
        self._unread = True
        self._body = []
        self._drop_reserved()
        if answer is not None:
            self._host.application.count(answer.reason)
            self._queue.append(answer)
        self._next()

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

    @property
    def busy(self) -> bool:
        """Whether a whole request is not answered yet."""
        return self._answering is not None or bool(self._queue)

    def expire(self) -> None:
        """End a connection whose deadline has passed: its peer is too slow, or has nothing to say."""
        self.deadline = float("inf")
        if self._phase is _Phase.IDLE and not self._paused:
            self._transport.close()
        elif self._phase is _Phase.ENDED or self._paused:
            self._transport.abort()
        else:
            self._end(problem(Reason.SLOW))

    def drain(self) -> None:
        """Take no new request; close when what is under way is answered."""
        if self._phase is _Phase.IDLE and self._answering is None:
            self._transport.close()
        else:
            self._closing = self._closing or self._phase is _Phase.IDLE

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()
