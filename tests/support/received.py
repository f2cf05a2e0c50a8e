"""Records as a reader gets them, made by hand."""

import asyncio
import itertools
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any, TypeVar

from shared.cloudevents import CloudEvent
from shared.events import EventData, event_id
from shared.received import Received

E = TypeVar("E", bound=EventData)

_offsets = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Record:
    """The members of a consumer record that services look at."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    timestamp: int = 0


def received(data: E, *, attempt: int = 1, offset: int | None = None, **event: Any) -> Received[E]:
    """Return ``data`` as a handler gets it, at a new place in the log unless ``offset`` says where."""
    members: dict[str, Any] = {"id": event_id(data), "source": "//test", **event}
    made = CloudEvent(type=data.type, data=data.to_json(), **members)
    record = Record(
        topic=data.topic,
        partition=0,
        offset=next(_offsets) if offset is None else offset,
        key=data.key().encode(),
        value=made.data,
        headers=tuple(made.to_headers()),
    )
    return Received(data, made, record, attempt)


async def to_its_end(handling: Awaitable[asyncio.Future[None] | None]) -> None:
    """Handle a record as a reader does: what the handler gives back is waited for, too."""
    rest = await handling
    if rest is not None:
        await rest
