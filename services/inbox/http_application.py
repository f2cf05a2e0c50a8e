"""What the front door's connections and what answers them know of each other."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from services.inbox.answers import Answer
from services.inbox.domain import Reason


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

    def respond(self, head: Head, body: bytes, answered: Callable[[Answer], None]) -> Answer | None:
        """Return the answer to a whole request, or None and call ``answered`` with it later, once.

        A request that nothing is to be waited for costs no task.
        """

    def count(self, reason: Reason | None) -> None:
        """Count an answer that was given without the application."""
