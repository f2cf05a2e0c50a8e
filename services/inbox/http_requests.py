"""Reading the requests of one HTTP/1.1 connection: bounded before anything is parsed (RFC 9112).

The parser is llhttp, by httptools. This file holds what it leaves open: how long and how large each part of a request
may be, and what is refused as smuggling.
"""

from enum import Enum, auto
from typing import Final, Protocol

import httptools

from services.inbox.answers import Answer, Malformed, problem
from services.inbox.domain import Reason
from services.inbox.http_application import Application, ConnectionLimits, Head

_MANY_HEADERS: Final = (b"host", b"content-length", b"transfer-encoding", b"expect", b"content-encoding")
# What a chunked body may have in framing beside its content: a sender of one-byte chunks gets no further.
_FRAMING_BYTES: Final = 4096
_MOST_CHUNKS: Final = 1024
_LARGEST_LENGTH_DIGITS: Final = 18


class Phase(Enum):
    """How far the next request has come."""

    IDLE = auto()
    HEAD = auto()
    BODY = auto()
    ENDED = auto()  # nothing more is read as a request


class Receiver(Protocol):
    """What requests are read for: one connection."""

    peer: str

    @property
    def full(self) -> bool:
        """Whether it may keep no further request."""

    @property
    def busy(self) -> bool:
        """Whether a whole request is not answered yet."""

    def begun(self) -> None:
        """Take note that a request begins."""

    def head_read(self) -> None:
        """Take note that a body follows now."""

    def proceed(self) -> None:
        """Tell the peer to send the body (``Expect: 100-continue``)."""

    def take(self, request: tuple[Head, bytes, int] | Answer, *, last: bool) -> None:
        """Take a whole request with the bytes reserved for it, or its answer. ``last``: no other follows."""

    def end(self, answer: Answer | None) -> None:
        """Take note that nothing more can be read, and why; ``phase`` is ENDED from here on."""


class _StopError(Exception):
    """Raised inside the parser's callbacks to end its work on this connection."""


class Requests:
    """Reads the requests of one connection, and gives them to ``receiver`` in order."""

    __slots__ = (
        "_application", "_body", "_body_bytes", "_chunks", "_discard", "_forwarded", "_framed", "_head", "_head_bytes",
        "_headers", "_limits", "_parser", "_path", "_receiver", "_reserved", "_seen", "_wire_bytes", "phase",
    )  # fmt: skip

    def __init__(self, receiver: Receiver, application: Application, limits: ConnectionLimits) -> None:
        self._receiver = receiver
        self._application = application
        self._limits = limits
        self._parser = httptools.HttpRequestParser(self)
        self.phase = Phase.IDLE
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

    def feed(self, data: bytes) -> None:
        """Read what has come."""
        if self.phase is Phase.IDLE:
            self.phase = Phase.HEAD
        elif self.phase is Phase.BODY:
            self._wire_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._end(problem(Reason.MALFORMED, Malformed.UPGRADE.value))
        except httptools.HttpParserCallbackError as error:
            if not isinstance(error.__context__, _StopError):
                raise
        except httptools.HttpParserError:
            self._end(problem(Reason.MALFORMED, Malformed.SYNTAX.value))
        else:
            self._check_wire(len(data))

    def close(self) -> None:
        """Read nothing more, and give back what is reserved for what was not read to its end."""
        self.phase = Phase.ENDED
        self._body = []
        self._application.release(self._reserved)
        self._reserved = 0

    def _check_wire(self, received: int) -> None:
        """Bound what the parser holds without telling: a head that does not end, framing without content."""
        if self.phase is Phase.HEAD:
            self._head_bytes += received
            if self._head_bytes > self._limits.largest_head_bytes:
                self._end(problem(Reason.HEAD))
        elif (
            self._framed
            and self.phase is Phase.BODY
            and self._wire_bytes > 2 * self._limits.largest_body_bytes + _FRAMING_BYTES
        ):
            self._end(problem(Reason.TOO_LARGE))

    # -- from the parser -----------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """A request begins; the last one may still be unanswered."""
        if self._receiver.full:
            # Those before are answered; a sender sends the others again on another connection.
            self._stop(None)
        self._begin()
        self.phase = Phase.HEAD
        self._receiver.begun()

    def on_url(self, part: bytes) -> None:
        """A part of the request's target."""
        self._path += part
        if len(self._path) > self._limits.largest_head_bytes:
            self._stop(problem(Reason.HEAD))

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header, or one trailer after a chunked body."""
        self._headers += 1
        self._head_bytes += len(name) + len(value)
        limits = self._limits
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
        head = Head(self._parser.get_method(), self._path, self._receiver.peer, tuple(self._forwarded))
        self._head = head
        self.phase = Phase.BODY
        self._head_bytes = 0
        length = self._length()
        if length > self._limits.largest_body_bytes:
            self._stop(problem(Reason.TOO_LARGE))
        answer = self._application.refuse(head)
        if answer is None and not self._reserve(length):
            answer = problem(Reason.OVERLOADED)
        expects = b"expect" in self._seen
        if answer is not None:
            if expects or answer.closes:
                self._stop(answer)
            self._discard = answer
        elif expects and (length or self._framed) and not self._receiver.busy:
            self._receiver.proceed()
        self._receiver.head_read()

    def on_chunk_header(self) -> None:
        """One chunk begins."""
        self._chunks += 1
        if self._chunks > _MOST_CHUNKS:
            self._stop(problem(Reason.TOO_LARGE, "the message comes in too many chunks"))

    def on_body(self, part: bytes) -> None:
        """A part of the body."""
        self._body_bytes += len(part)
        if self._body_bytes > self._limits.largest_body_bytes:
            self._stop(problem(Reason.TOO_LARGE))
        if self._discard is not None:
            return
        if self._framed and not self._reserve(len(part)):
            self._stop(problem(Reason.OVERLOADED))
        self._body.append(part)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self.phase = Phase.IDLE
        self._head_bytes = 0
        last = not self._parser.should_keep_alive()
        if self._discard is not None:
            self._application.count(self._discard.reason)
            self._receiver.take(self._discard, last=last)
        elif self._head is not None:
            body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
            reserved, self._reserved = self._reserved, 0
            self._receiver.take((self._head, body, reserved), last=last)
        if self.phase is Phase.ENDED:  # the receiver wants no other
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
        if count and not self._application.reserve(count):
            return False
        self._reserved += count
        return True

    def _stop_malformed(self, what: Malformed) -> None:
        self._stop(problem(Reason.MALFORMED, what.value))

    def _stop(self, answer: Answer | None) -> None:
        self._end(answer)
        raise _StopError

    def _end(self, answer: Answer | None) -> None:
        if self.phase is not Phase.ENDED:
            self._receiver.end(answer)
