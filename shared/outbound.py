"""HTTPS to servers of others, guarded (rule 11): who may be connected to, by which certificate, for how long.

HTTPS alone, certificate and name checked; the address that was resolved and judged is the one connected to, for as long
as the connection lives; no redirects, cookies or proxies; one deadline for everything; headers and body of the answer
capped. One pool of connections with keep-alive, bounded, the longest unused closed first.
"""

import asyncio
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from shared.domain_names import domain_name
from shared.outbound_addresses import AddressRules
from shared.outbound_connection import Connection, Reply
from shared.outbound_errors import PERMANENT, OutboundError, Trouble
from shared.outbound_names import JudgedNames, LookUp, SystemLookUp
from shared.outbound_pool import ConnectionPool

__all__ = [
    "PERMANENT",
    "OutboundClient",
    "OutboundError",
    "Reply",
    "Target",
    "Trouble",
    "any_target",
    "https_target",
    "request_head",
]

_HTTPS: Final = 443
_ONE_ADDRESS_SECONDS: Final = 3.0
# OpenSSL's words for a certificate that time or its owner's next renewal mends: expired, not yet valid, no or old CRL.
_PASSING_VERIFY_CODES: Final = frozenset({3, 9, 10, 11, 12})
_ABSENT: Final = Reply(0)


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request goes; made by ``https_target`` or, for development alone, by ``any_target``."""

    host: str
    port: int
    path: str
    tls: bool = True

    @property
    def authority(self) -> str:
        """The Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (_HTTPS if self.tls else 80) else f"{host}:{self.port}"


def https_target(host: str, path: str) -> Target:
    """Return ``https://<host><path>``. Raises OutboundError unless ``host`` is a domain name and ``path`` is one."""
    try:
        name = domain_name(host)
    except ValueError as error:
        raise OutboundError(Trouble.URL, str(error)) from error
    return Target(name, _HTTPS, _path(path))


def any_target(url: str) -> Target:
    """Return the target of an http or https URL with any host and port. For development; raises OutboundError."""
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname
    except ValueError as error:
        raise OutboundError(Trouble.URL, f"{url[:100]!r} is no URL: {error}") from error
    if parts.scheme not in ("http", "https") or not host:
        raise OutboundError(Trouble.URL, f"{url[:100]!r} is no http or https URL")
    tls = parts.scheme == "https"
    return Target(host, port or (_HTTPS if tls else 80), _path(parts.path or "/"), tls)


def _path(path: str) -> str:
    if not path.startswith("/") or not path.isascii() or not path.isprintable() or " " in path:
        raise OutboundError(Trouble.URL, f"{path[:100]!r} is no path")
    return path


def request_head(method: str, target: Target, headers: Sequence[tuple[str, str]]) -> bytes:
    """Return the head of a request up to its Content-Length. Raises ValueError for a header with a line break."""
    lines = [f"{method} {target.path} HTTP/1.1", f"host: {target.authority}"]
    lines += [f"{name}: {value}" for name, value in headers]
    if any("\r" in line or "\n" in line for line in lines):
        raise ValueError("a header holds a line break")
    return ("\r\n".join(lines) + "\r\n").encode()


class OutboundClient:
    """Makes guarded requests with one pool of connections.

    ``idle_connections`` bounds those kept open for later; those under way are the caller's to bound.
    """

    def __init__(
        self,
        *,
        rules: AddressRules | None = None,
        trust: ssl.SSLContext | None = None,
        look_up: LookUp | None = None,
        idle_connections: int = 500,
    ) -> None:
        self._trust = trust or ssl.create_default_context()
        self._look_up = look_up or SystemLookUp()
        self._names = JudgedNames(rules or AddressRules(), self._look_up)
        self._pool = ConnectionPool(idle_connections)
        self._busy: set[Connection] = set()

    async def request(
        self,
        method: str,
        target: Target,
        *,
        headers: Mapping[str, str] | Sequence[tuple[str, str]] = (),
        body: bytes = b"",
        timeout_seconds: float,
        most_body_bytes: int = 64 * 1024,
    ) -> Reply:
        """Make one request and return its answer, whatever its status. Raises OutboundError.

        ``timeout_seconds`` is for everything: name, connection, TLS, request and answer. A body beyond
        ``most_body_bytes`` is cut and its connection closed.
        """
        pairs = headers.items() if isinstance(headers, Mapping) else headers
        head = request_head(method, target, list(pairs))
        return await self.send(target, b"%bcontent-length: %d\r\n\r\n%b" % (head, len(body), body), timeout_seconds,
                               most_body_bytes)  # fmt: skip

    async def send(self, target: Target, request: bytes, timeout_seconds: float, most_body_bytes: int) -> Reply:
        """As ``request``, with the whole request as bytes: for who sends many alike."""
        deadline = asyncio.get_running_loop().time() + timeout_seconds
        try:
            reply = _ABSENT
            connection = await self._pool.take(target)
            if connection is not None:
                try:
                    reply = await self._exchange(connection, request, deadline, most_body_bytes)
                except OutboundError as error:
                    # The other side closed it while it was idle: the request was not read, and is sent once more.
                    if error.trouble is not Trouble.CLOSED or connection.answering:
                        raise
            if connection is None or reply is _ABSENT:
                try:
                    async with asyncio.timeout_at(deadline):
                        connection = await self._connect(target)
                except TimeoutError as error:
                    raise OutboundError(Trouble.TIMEOUT, f"{target.host} could not be connected to in time") from error
                reply = await self._exchange(connection, request, deadline, most_body_bytes)
            self._pool.keep(target, connection)
            return reply
        finally:
            self._pool.leave(target)

    async def _exchange(self, connection: Connection, request: bytes, deadline: float, most_body_bytes: int) -> Reply:
        answer = connection.send(request, most_body_bytes)
        timer = asyncio.get_running_loop().call_at(deadline, _expire, answer)
        self._busy.add(connection)
        try:
            return await answer
        except BaseException:
            connection.abort()
            raise
        finally:
            timer.cancel()
            self._busy.discard(connection)

    # -- connections ---------------------------------------------------------------------------------------------

    async def _connect(self, target: Target) -> Connection:
        addresses = await self._names.addresses(target.host, target.port)
        failed: OutboundError | None = None
        for number, address in enumerate(addresses, 1):
            # The last one may use all the time there is.
            patience = _ONE_ADDRESS_SECONDS if number < len(addresses) else None
            try:
                async with asyncio.timeout(patience):
                    return await self._open(target, address)
            except TimeoutError:
                if patience is None:
                    raise
                failed = OutboundError(Trouble.TIMEOUT, f"{target.host} could not be connected to in time")
            except OutboundError as error:
                failed = error
                if error.trouble is not Trouble.CONNECT:
                    break  # somebody answered there; another address of the same name would answer the same
        self._names.forget(target.host)
        raise failed or OutboundError(Trouble.CONNECT, f"{target.host} cannot be connected to")

    async def _open(self, target: Target, address: str) -> Connection:
        loop = asyncio.get_running_loop()
        tls: dict[str, Any] = {"ssl": self._trust, "server_hostname": target.host} if target.tls else {}
        try:
            _, connection = await loop.create_connection(lambda: Connection(address), address, target.port, **tls)
        except ssl.SSLCertVerificationError as error:
            passing = error.verify_code in _PASSING_VERIFY_CODES
            trouble = Trouble.CERTIFICATE_EXPIRED if passing else Trouble.CERTIFICATE
            raise OutboundError(trouble, f"{target.host}: {error.verify_message}") from error
        except ssl.SSLError as error:
            raise OutboundError(Trouble.TLS, f"{target.host}: {error.reason or 'no TLS'}") from error
        except (ConnectionResetError, ConnectionAbortedError) as error:
            raise OutboundError(Trouble.CLOSED, f"{target.host} ended the connection") from error
        except (OSError, OverflowError) as error:
            raise OutboundError(Trouble.CONNECT, f"{target.host} cannot be connected to") from error
        connection.opened_at = time.monotonic()
        return connection

    @property
    def connections(self) -> int:
        """How many connections are open now."""
        return len(self._pool) + len(self._busy)

    async def close(self) -> None:
        """Close all connections."""
        for connection in list(self._busy):
            connection.abort()
        self._pool.close()
        if isinstance(self._look_up, SystemLookUp):
            self._look_up.close()


def _expire(answer: "asyncio.Future[Reply]") -> None:
    if not answer.done():
        answer.set_exception(OutboundError(Trouble.TIMEOUT, "no whole answer in time"))
