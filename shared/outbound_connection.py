"""One HTTP/1.1 connection to somebody else's server: one request at a time, bounded answers (RFC 9112)."""

import asyncio
from dataclasses import dataclass, field
from typing import Any, Final

import httptools

from shared.outbound_errors import OutboundError, Trouble

# Status line and headers of one answer together; informational ones before it count too.
_MOST_HEAD_BYTES: Final = 16 * 1024
_MOST_HEADERS: Final = 100
_FINAL: Final = 200
_SWITCHING: Final = 101


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: ``headers`` by lower-case name (of several with one name, the last), ``cut`` when more body came."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    cut: bool = False


class Connection(asyncio.Protocol):
    """Sends a request and collects its answer.

    ``address`` is the judged address that it was opened to, ``used`` how often it answered.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.used = 0
        self.opened_at = 0.0
        self.idle_since = 0.0
        self.alive = False
        self.answering = False  # whether a byte of the answer has come
        self._transport: Any = None
        self._parser: Any = None
        self._waiting: asyncio.Future[Reply] | None = None
        self._most_body_bytes = 0
        self._head_bytes = 0
        self._unseen_bytes = 0
        self._head_done = False
        self._status = 0
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._reusable = False

    # -- the loop's side -----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note the transport."""
        self._transport = transport
        self.alive = True

    def data_received(self, data: bytes) -> None:
        """Parse what came."""
        waiting = self._waiting
        if waiting is None or waiting.done():
            self.abort()  # bytes that nobody asked for
            return
        self.answering = True
        began_in_head = not self._head_done
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._fail(Trouble.NOT_HTTP, "the answer switches to another protocol")
        except httptools.HttpParserCallbackError as error:
            # What a callback of ours raised.
            if isinstance(error.__context__, OutboundError):
                self._fail(error.__context__.trouble, str(error.__context__))
            else:
                self._fail(Trouble.NOT_HTTP, "the answer is no HTTP")
        except httptools.HttpParserError:
            self._fail(Trouble.NOT_HTTP, "the answer is no HTTP")
        if began_in_head and not self._head_done:
            # Announcements and unfinished lines count too: what a callback has not seen yet.
            self._unseen_bytes += len(data)
            if self._unseen_bytes > _MOST_HEAD_BYTES:
                self._fail(Trouble.TOO_LARGE, f"the answer's head exceeds {_MOST_HEAD_BYTES} bytes")

    def eof_received(self) -> bool:
        """End the connection as the other side does."""
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """Give what came, if that is an answer, or say that there is none."""
        self.alive = False
        waiting = self._waiting
        if waiting is None or waiting.done():
            return
        if self._head_done:
            # Its body was to end with the connection, or is missing a part that nobody needs: the status counts.
            self._finish(cut=error is not None)
        else:
            waiting.set_exception(OutboundError(Trouble.CLOSED, "the connection ended before the answer"))

    # -- the parser's side ---------------------------------------------------------------------------------------

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep one header."""
        self._head_bytes += len(name) + len(value)
        if len(self._headers) >= _MOST_HEADERS or self._head_bytes > _MOST_HEAD_BYTES:
            raise OutboundError(Trouble.TOO_LARGE, "the answer's headers are too many or too long")
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """Note the status; an informational answer (RFC 9110 §15.2) is only the announcement of another."""
        status = self._parser.get_status_code()
        if status < _FINAL:
            if status == _SWITCHING:
                raise OutboundError(Trouble.NOT_HTTP, "the answer switches to another protocol")
            self._headers = {}
            return
        self._status = status
        self._head_done = True
        self._reusable = self._parser.should_keep_alive()

    def on_body(self, data: bytes) -> None:
        """Keep the body up to what is allowed."""
        self._body_bytes += len(data)
        if self._body_bytes > self._most_body_bytes:
            self._finish(cut=True)
        else:
            self._body.append(data)

    def on_message_complete(self) -> None:
        """Hand the answer over."""
        if self._head_done:
            self._finish(cut=False)

    # -- the client's side ---------------------------------------------------------------------------------------

    def send(self, request: bytes, most_body_bytes: int) -> "asyncio.Future[Reply]":
        """Write a whole request; the future has its answer or raises OutboundError."""
        self._parser = httptools.HttpResponseParser(self)
        self._head_bytes = self._unseen_bytes = self._body_bytes = self._status = 0
        self._head_done = self._reusable = self.answering = False
        self._headers, self._body = {}, []
        self._most_body_bytes = most_body_bytes
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._waiting

    @property
    def reusable(self) -> bool:
        """Whether another request may be sent now."""
        return self.alive and self._reusable

    def close(self) -> None:
        """End it in order."""
        self.alive = False
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """End it at once: with TLS, a receiver that does not read must not keep it open."""
        self.alive = False
        if self._transport is not None:
            self._transport.abort()

    def _finish(self, *, cut: bool) -> None:
        waiting = self._waiting
        if waiting is None or waiting.done():
            return
        if cut:
            self._reusable = False
        waiting.set_result(Reply(self._status, self._headers, b"".join(self._body), cut))
        self.used += 1
        if cut:
            self.abort()

    def _fail(self, trouble: Trouble, detail: str) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(OutboundError(trouble, detail))
        self.abort()
