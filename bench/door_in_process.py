"""The real front door inside this process: its connections fed by hand, its resolver and its log stood in.

For what needs many requests and no network: fuzzing, and memory under many senders.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ed25519

from services.inbox.domain import Reason, RefusedError
from services.inbox.endpoint_map import Route
from services.inbox.endpoint_reload import DEFAULT_FILE, CurrentMap
from services.inbox.front import front_door
from services.inbox.http_connection import Connection
from services.inbox.http_server import DoorServer
from services.inbox.intake import Intake
from services.inbox.key_cache import KeyCache
from services.inbox.look_up_budget import LookUpBudget
from services.inbox.opener import Opener
from services.inbox.settings import InboxSettings
from shared.broker import Publisher, RecordHeader, Together
from shared.clock import now_utc
from shared.envelope import Envelope
from shared.keys import key_record
from shared.resolver import Answer, KeyAnswer
from shared.settings import KafkaSettings

DOMAIN = "id.example"
UNLIMITED = {"address_rate": 1e6, "address_burst": 1e7, "sender_rate": 1e6, "sender_burst": 1e7,
             "unverified_rate": 1e6, "unverified_burst": 1e7}  # fmt: skip
_MOST_STEPS = 200
# A request that is never answered is a finding; a machine that is busy, or a process that was stopped, is none.
_LONGEST_SECONDS = 300


class Swallowing(Publisher):
    """Takes every record, counts it, keeps none."""

    def __init__(self) -> None:
        super().__init__(KafkaSettings(kafka_bootstrap="127.0.0.1:1"), f"//{DOMAIN}/inbox")
        self.taken = 0

    async def send_all(self, records: Iterable[tuple[str, bytes | None, bytes | None, Sequence[RecordHeader]]]) -> None:
        """See Publisher."""
        self.taken += sum(1 for _ in records)

    async def partitions(self, topic: str) -> Sequence[int]:
        """See Publisher."""
        return range(12)

    async def append(self, topic: str, partition: int, records: Sequence[Together]) -> None:
        """See Publisher."""
        self.taken += len(records)


class OneKey:
    """Gives every name the same key record, or what ``record`` returns."""

    def __init__(self, record: Callable[[], str], keep_seconds: float = 3600.0) -> None:
        self._record = record
        self._keep_seconds = keep_seconds

    async def look_up(self, name: str) -> KeyAnswer:
        """See Resolver."""
        return KeyAnswer(Answer.SECURE, (self._record(),), self._keep_seconds)


def record_of(key: ed25519.Ed25519PrivateKey) -> str:
    """Return the TXT record of a key's public half."""
    return key_record(key.public_key())


def a_door(resolver: OneKey, publisher: Publisher, **changed: Any) -> DoorServer:
    """Return a door with no limit on rates but those given, bound to a free port; not started."""
    values: dict[str, Any] = {"domain": DOMAIN, "kafka_bootstrap": "127.0.0.1:1", "window_seconds": 86400.0}
    settings = InboxSettings(**(values | UNLIMITED | changed))
    endpoints = CurrentMap(DEFAULT_FILE)
    opener = Opener(
        domain=DOMAIN,
        window_seconds=settings.window_seconds,
        subjects=endpoints,
        # Not bounded here: beyond its budget a forged signature is answered 503, which is no crash but looks like one.
        keys=KeyCache(resolver, budget=LookUpBudget(burst=1e12, overall_per_second=1e12)),
        registered=None,
        clock=now_utc,
        json_bounds=settings.json_bounds,
    )
    intake = Intake(endpoints, publisher, manifest=_no_reply, synchronous=_no_reply)
    server = front_door(settings, opener, intake, manifest=b"{}", port=0)
    server.loop = asyncio.get_running_loop()
    return server


async def _no_reply(_route: Route, _envelope: Envelope, _message: bytes) -> bytes:
    """Stand for handlers where none is asked."""
    raise RefusedError(Reason.SUBJECT, "not handled here")


class Wire(asyncio.Transport):
    """The door's end of a connection: what it writes stays in ``written``."""

    def __init__(self, address: str) -> None:
        super().__init__({"peername": (address, 1)})
        self.written = bytearray()
        self.closed = False
        self.ended = False

    def write(self, data: Any) -> None:
        """Keep what is written."""
        self.written += data

    def is_closing(self) -> bool:
        """Whether nothing can be written any more."""
        return self.closed

    def can_write_eof(self) -> bool:
        """A socket can."""
        return True

    def write_eof(self) -> None:
        """Mark the end of the answers."""
        self.ended = True

    def close(self) -> None:
        """Close."""
        self.closed = True

    def abort(self) -> None:
        """Close."""
        self.closed = True

    def pause_reading(self) -> None:
        """Do nothing: what a test sends is small."""

    def resume_reading(self) -> None:
        """Do nothing."""


async def exchange(server: DoorServer, parts: Iterable[bytes], address: str = "192.0.2.1") -> bytes:
    """Return all that the door writes to these bytes on one connection. Raises TimeoutError when it does not end."""
    wire = Wire(address)
    connection = Connection(server)
    connection.connection_made(wire)
    try:
        for part in parts:
            if wire.closed or wire.ended:
                break
            connection.data_received(part)
        for _ in range(_MOST_STEPS):
            if not connection.busy:
                return bytes(wire.written)
            await asyncio.sleep(0)
        async with asyncio.timeout(_LONGEST_SECONDS):
            while connection.busy:  # noqa: ASYNC110 - a look-up or a bug
                await asyncio.sleep(0.001)
        return bytes(wire.written)
    finally:
        connection.connection_lost(None)


def post(body: bytes, *headers: bytes) -> bytes:
    """Return a whole request."""
    lines = [b"POST /inbox HTTP/1.1", b"Host: id.example", b"Content-Length: %d" % len(body), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body
