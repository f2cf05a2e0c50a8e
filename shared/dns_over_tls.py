"""Questions to a resolver over TLS: one connection, kept, which all of them share (RFC 7858, RFC 7766 §6.2.1.1)."""

import asyncio
import contextlib
import logging
import secrets
import ssl
import struct
import time
from pathlib import Path
from typing import Final

import dns.exception
import dns.message

from shared.resolver_address import ResolverAddress

log = logging.getLogger(__name__)

_LENGTH: Final = struct.Struct(">H")
_IDS: Final = 1 << 16
_MOST_QUESTIONS: Final = 4096
_SAID_SECONDS: Final = 60.0


class DnsOverTls:
    """Asks the resolver at ``where``, whose certificate must be for its name, by ``authority`` (PEM) or a known one.

    The connection is made when it is needed and made anew when the resolver has closed it. Raises OSError for a file
    that is no PEM.
    """

    def __init__(self, where: ResolverAddress, authority: Path | None) -> None:
        if where.tls_name is None:
            raise ValueError("a name to check is needed")
        self._where = where
        self._name = where.tls_name
        self._context = ssl.create_default_context(cafile=authority)
        self._context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._connecting = asyncio.Lock()
        self._connection: _Connection | None = None
        self._said_at = -_SAID_SECONDS

    async def ask(self, query: dns.message.Message, timeout_seconds: float) -> dns.message.Message:
        """Return the answer; ``query.id`` is chosen here. Raises OSError (TimeoutError, SSLError), DNSException."""
        async with asyncio.timeout(timeout_seconds):
            while True:
                connection, fresh = await self._connected()
                try:
                    return await connection.ask(query)
                except ConnectionError:
                    # A resolver closes what is idle, and the question may meet just that moment.
                    if fresh:
                        raise

    async def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

    async def _connected(self) -> "tuple[_Connection, bool]":
        async with self._connecting:
            if self._connection is not None and self._connection.usable:
                return self._connection, False
            await self.close()
            try:
                reader, writer = await asyncio.open_connection(
                    self._where.address, self._where.port, ssl=self._context, server_hostname=self._name
                )
            except OSError as error:
                self._say(error)
                raise
            self._connection = _Connection(reader, writer)
            return self._connection, True

    def _say(self, error: OSError) -> None:
        # Each look-up would say it; an operator has to know that it is the certificate.
        if time.monotonic() - self._said_at >= _SAID_SECONDS:
            self._said_at = time.monotonic()
            where = f"{self._where.address}:{self._where.port}"
            log.warning("no DNS over TLS", extra={"resolver": where, "certified": self._name, "why": str(error)})


class _Connection:
    """One connection: many questions under way, whose answers come in any order."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._waiting: dict[int, tuple[dns.message.Message, asyncio.Future[dns.message.Message]]] = {}
        self._answers = 0
        self._doubted = False
        self._reading = asyncio.create_task(self._read(), name="dns-over-tls")

    @property
    def usable(self) -> bool:
        """Whether another question may be asked here."""
        return not self._doubted and not self._reading.done() and len(self._waiting) < _MOST_QUESTIONS

    async def ask(self, query: dns.message.Message) -> dns.message.Message:
        """Return the answer. Raises ConnectionError when the connection ends before it."""
        number = secrets.randbelow(_IDS)
        while number in self._waiting:
            number = secrets.randbelow(_IDS)
        query.id = number
        future: asyncio.Future[dns.message.Message] = asyncio.get_running_loop().create_future()
        self._waiting[number] = (query, future)
        seen = self._answers
        try:
            wire = query.to_wire()
            self._writer.write(_LENGTH.pack(len(wire)) + wire)
            await self._writer.drain()
            return await future
        except asyncio.CancelledError:
            # A silent resolver, or one that has vanished without a word: the next question does not wait for it too.
            if self._answers == seen:
                self._doubted = True
            raise
        finally:
            del self._waiting[number]

    async def close(self) -> None:
        """End it; whoever waits gets ConnectionError."""
        self._reading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._reading

    async def _read(self) -> None:
        try:
            while True:
                (length,) = _LENGTH.unpack(await self._reader.readexactly(_LENGTH.size))
                self._take(await self._reader.readexactly(length))
        except (OSError, EOFError):
            pass  # the resolver has closed it
        finally:
            for _, future in self._waiting.values():
                if not future.done():
                    future.set_exception(ConnectionResetError("the resolver closed the connection"))
            # A farewell in TLS would be waited for: a resolver gives none while it has questions of ours.
            self._writer.transport.abort()

    def _take(self, wire: bytes) -> None:
        self._answers += 1
        with contextlib.suppress(dns.exception.DNSException):
            answer = dns.message.from_wire(wire)
            query, future = self._waiting.get(answer.id, (None, None))
            if query is not None and future is not None and query.is_response(answer) and not future.done():
                future.set_result(answer)
