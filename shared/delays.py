"""Waiting, kept in Kafka (rule 5): a record that is to come back at a time is put into a delay topic.

A delay topic holds records that all wait equally long, so the head of each partition is always the next one due. Any
other wait is made of several: when a record's turn in one topic is over and its time has not come, it goes to the next.
"""

import time
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from shared import metrics
from shared.broker import Publisher, Record, RecordHeader
from shared.events import EventData
from shared.topics import DELAY_RUNGS_SECONDS, delay_topic

TARGET_HEADER: Final = "facescan_delay_target"
UNTIL_HEADER: Final = "facescan_delay_until"
# A record this near to its time is on time: another round through the shortest topic would make it late.
NEAR_SECONDS: Final = 0.05


def rung_for(remaining_seconds: float, rungs_seconds: Sequence[int] = DELAY_RUNGS_SECONDS) -> int:
    """Return the longest delay that does not overshoot, or the shortest one when all do."""
    return max((rung for rung in rungs_seconds if rung <= remaining_seconds), default=min(rungs_seconds))


def whole_rung(least_seconds: float, rungs_seconds: Sequence[int] = DELAY_RUNGS_SECONDS) -> int:
    """Return the shortest delay that is no shorter, or the longest one: a wait that is one round through one topic."""
    return min((rung for rung in rungs_seconds if rung >= least_seconds), default=max(rungs_seconds))


def without_delay(headers: Iterable[RecordHeader]) -> list[RecordHeader]:
    """Return the headers that the record had before it was put into a delay topic."""
    return [(name, value) for name, value in headers if name not in (TARGET_HEADER, UNTIL_HEADER)]


def delayed(
    *,
    target: str,
    until_epoch_seconds: float,
    key: bytes | None,
    value: bytes | None,
    headers: Iterable[RecordHeader],
) -> Record:
    """Return the record that makes another appear in topic ``target`` at a time: see ``delay_record``."""
    waiting: list[RecordHeader] = [
        *without_delay(headers),
        (TARGET_HEADER, target.encode()),
        (UNTIL_HEADER, f"{until_epoch_seconds:.3f}".encode()),
    ]
    metrics.DELAYED.labels(target).inc()
    return delay_topic(rung_for(until_epoch_seconds - time.time())), key, value, waiting


async def delay_record(
    publisher: Publisher,
    *,
    target: str,
    until_epoch_seconds: float,
    key: bytes | None,
    value: bytes | None,
    headers: Iterable[RecordHeader],
) -> None:
    """Make a record appear in topic ``target`` at a time: at most 50 ms before and seldom more than a second after."""
    await publisher.send(
        *delayed(target=target, until_epoch_seconds=until_epoch_seconds, key=key, value=value, headers=headers)
    )


def event_at(publisher: Publisher, data: EventData, moment: datetime, *step: str) -> Record:
    """Return the record that makes an event appear on its own topic at ``moment`` (aware)."""
    event = publisher.event(data, *step)
    return delayed(
        target=data.topic,
        until_epoch_seconds=moment.timestamp(),
        key=data.key().encode(),
        value=event.data,
        headers=list(event.to_headers()),
    )


async def publish_at(publisher: Publisher, data: EventData, moment: datetime, *step: str) -> None:
    """Publish an event on its own topic at ``moment`` (aware). Raises UnavailableError."""
    await publisher.send(*event_at(publisher, data, moment, *step))
