"""Records that cannot be handled, kept with their exact bytes and headers and the reason (rule 4)."""

import time
from enum import StrEnum
from typing import Any, Final

from shared import metrics
from shared.broker import Publisher, RecordHeader
from shared.errors import UnprocessableError
from shared.topics import DEAD_OURS, DEAD_THEIRS

PREFIX: Final = "facescan_dead_"
_LONGEST_REASON: Final = 500
_KEPT_BYTES: Final = 100_000


class Side(StrEnum):
    """Who must act on a dead letter: the operator of this system, or whoever wrote or received the record."""

    OURS = "ours"
    THEIRS = "theirs"


async def put_aside(publisher: Publisher, record: Any, *, side: Side, group: str, reason: str) -> None:
    """Append a consumed record to the dead letters of ``side``: same key, value and headers, plus where and why.

    ``record`` is a consumer record. Raises UnavailableError when the broker does not take it.
    """
    where: list[RecordHeader] = [
        (f"{PREFIX}topic", record.topic.encode()),
        (f"{PREFIX}partition", str(record.partition).encode()),
        (f"{PREFIX}offset", str(record.offset).encode()),
        (f"{PREFIX}group", group.encode()),
        (f"{PREFIX}reason", reason[:_LONGEST_REASON].encode()),
        (f"{PREFIX}time", f"{time.time():.3f}".encode()),
    ]
    topic = DEAD_OURS if side is Side.OURS else DEAD_THEIRS
    try:
        await publisher.send(topic, record.key, record.value, [*record.headers, *where])
    except UnprocessableError:
        # It fills the broker's limit by itself: a compressed batch of another publisher may hold more than one record
        # of ours can. Its beginning is kept here, all of it where it stands, and the partition goes on.
        cut = (f"{PREFIX}cut", str(len(record.value or b"")).encode())
        key, value = (part and part[:_KEPT_BYTES] for part in (record.key, record.value))
        await publisher.send(topic, key, value, [*where, cut])
    metrics.DEAD_LETTERS.labels(side.value, record.topic).inc()
