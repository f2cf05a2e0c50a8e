"""The one place that knows the Kafka client: settings for producing and consuming, and the publisher.

Defaults of the client and the framework lose records (acks=1, auto-commit, ``latest``, auto-creation); here is what is
used instead. A part of the system that needs another client changes this file alone.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    IllegalOperation,
    KafkaConnectionError,
    KafkaError,
    MessageSizeTooLargeError,
    OutOfOrderSequenceNumber,
    ProducerFenced,
    UnknownProducerId,
)
from aiokafka.partitioner import DefaultPartitioner

from shared import metrics
from shared.cloudevents import CloudEvent
from shared.errors import UnavailableError, UnprocessableError
from shared.events import EventData, event_id
from shared.kafka_security import security_options
from shared.settings import KafkaSettings
from shared.telemetry import current_traceparent

log = logging.getLogger(__name__)

# What may stand in one record; the door takes far less, a dead letter carries the original and its reason.
LARGEST_RECORD_BYTES: Final = 1_000_000

# An idempotent producer that lost its sequence can never publish again: the process must end and start anew.
_FATAL: Final = (OutOfOrderSequenceNumber, UnknownProducerId, ProducerFenced, IllegalOperation)

# One look for records: it ends at the first that comes; errors of the group are seen between two.
LOOK_MILLISECONDS: Final = 1000

# Of one partition in one request: many records that are sent at once travel together (the client's default is 16 KiB).
LARGEST_BATCH_BYTES: Final = 128 * 1024
_FLUSH_SECONDS: Final = 5.0
_PAUSING_MILLISECONDS: Final = 100

# Fewer records than this travel as cheaply one by one.
_LEAST_TOGETHER: Final = 4
# A larger record goes by itself, so that the client says whether it is too large.
_LARGEST_TOGETHER_BYTES: Final = LARGEST_BATCH_BYTES // 4

RecordHeader = tuple[str, bytes | None]
# Topic, key, value and headers.
Record = tuple[str, bytes | None, bytes | None, Sequence[RecordHeader]]
# Key, value and headers, for a topic and a partition that are named once for many.
Together = tuple[bytes, bytes, Sequence[RecordHeader]]


def consumer_options(settings: KafkaSettings, group: str, *, pauses: bool = False) -> dict[str, Any]:
    """Return the options of a subscriber that reads from the start, commits only when told and joins statically.

    ``pauses`` is for a reader that puts its partitions to sleep: one that wakes is fetched only when the fetch of the
    others that is under way has been answered.
    """
    session_milliseconds = int(settings.kafka_session_timeout_seconds * 1000)
    return {
        "group_id": group,
        # Static membership: a restarted process takes its partitions back at once, without a rebalance.
        "group_instance_id": f"{group}.{settings.instance}" if settings.instance else None,
        "auto_offset_reset": "earliest",
        "fetch_max_wait_ms": min(
            settings.kafka_fetch_max_wait_milliseconds, _PAUSING_MILLISECONDS if pauses else 10_000
        ),
        "session_timeout_ms": session_milliseconds,
        "heartbeat_interval_ms": max(500, session_milliseconds // 10),
        # aiokafka would use the session time-out: too short to drain in-flight work when partitions are revoked.
        "rebalance_timeout_ms": 60_000,
        "max_poll_interval_ms": 300_000,
    }


class Publisher:
    """Publishes with ``acks=all`` and idempotence: what it has returned from is in every in-sync replica's log.

    ``source`` is the CloudEvents source of this process. ``fatal`` is set when the producer can never publish again.
    """

    def __init__(self, settings: KafkaSettings, source: str) -> None:
        self._settings = settings
        self._producer: AIOKafkaProducer | None = None
        self.source = source
        self.fatal = asyncio.Event()

    async def start(self) -> None:
        """Connect. Raises UnavailableError when no broker answers."""
        producer = AIOKafkaProducer(
            bootstrap_servers=self._settings.kafka_bootstrap,
            acks="all",
            enable_idempotence=True,
            linger_ms=self._settings.kafka_linger_milliseconds,
            max_request_size=LARGEST_RECORD_BYTES + 100_000,
            max_batch_size=LARGEST_BATCH_BYTES,
            partitioner=_partition_of,
            request_timeout_ms=20_000,
            retry_backoff_ms=100,
            **security_options(self._settings),
        )
        try:
            await producer.start()
        except KafkaConnectionError as error:
            await producer.stop()
            raise UnavailableError(f"Kafka at {self._settings.kafka_bootstrap} does not answer") from error
        self._producer = producer

    async def stop(self) -> None:
        """Send what is buffered, within some seconds, and disconnect; nobody was told that the rest is stored."""
        producer, self._producer = self._producer, None
        if producer is None:
            return
        try:
            async with asyncio.timeout(_FLUSH_SECONDS):
                await producer.stop()
        except TimeoutError:
            log.warning("stopped without the broker's answer to what was sent last")

    def event(
        self, data: EventData, *step: str, subject: str | None = None, traceparent: str | None = None
    ) -> CloudEvent:
        """Return ``data`` as an event whose id is the one that this step always has.

        ``traceparent`` is of the trace that it belongs to; the current one when left out.
        """
        return CloudEvent(
            id=event_id(data, *step),
            source=self.source,
            type=data.type,
            data=data.to_json(),
            subject=subject,
            traceparent=traceparent or current_traceparent(),
        )

    async def publish(self, data: EventData, *step: str) -> None:
        """Publish one event on its own topic and wait for the broker. Raises UnavailableError."""
        event = self.event(data, *step)
        await self.send(data.topic, data.key().encode(), event.data, event.to_headers())

    async def send(self, topic: str, key: bytes | None, value: bytes | None, headers: Sequence[RecordHeader]) -> None:
        """Append one record and wait for the broker. Raises UnavailableError, or UnprocessableError for its size."""
        await self.send_all([(topic, key, value, headers)])

    async def send_all(self, records: Iterable[Record]) -> None:
        """Append records and wait for all of them; on an error some may have been appended: repeat them all.

        Those of one topic and partition keep their order, and travel together.
        """
        producer = self._producer
        if producer is None:
            raise UnavailableError("the producer is not connected")
        given = list(records)
        waiting: list[asyncio.Future[Any]] = []
        try:
            if len(given) >= _LEAST_TOGETHER:
                await self._together(producer, given, waiting)
            else:
                for record in given:
                    waiting.append(await _send(producer, record))  # noqa: PERF401 - known when one of them fails
            for acknowledged in waiting:
                if not acknowledged.done():
                    await acknowledged
                acknowledged.result()
        except KafkaError as error:
            # The others were sent too; their errors must not be reported as never retrieved.
            await asyncio.gather(*waiting, return_exceptions=True)
            raise self._failed(error) from error
        for topic, count in Counter(topic for topic, *_ in given).items():
            _counter(topic).inc(count)

    @staticmethod
    async def _together(producer: AIOKafkaProducer, given: Sequence[Record], waiting: list[Any]) -> None:
        """Send records with one future for many: a future and a report for each cost as much as the rest."""
        every: dict[str, tuple[int, ...]] = {}
        batches: dict[tuple[str, int], Any] = {}
        for record in given:
            topic, key, value, headers = record
            if key is None or len(value or b"") > _LARGEST_TOGETHER_BYTES:
                partition, batch = -1, None
            else:
                if topic not in every:
                    every[topic] = tuple(sorted(await producer.partitions_for(topic)))
                partition = _place(key, every[topic])
                batch = batches.get((topic, partition))
                if batch is None:
                    batch = batches[topic, partition] = producer.create_batch()
                if batch.append(timestamp=None, key=key, value=value, headers=headers) is not None:
                    continue
            # Whatever does not fit goes behind what was before it, also behind that of the other partitions.
            for (of, place), full in batches.items():
                waiting.append(await producer.send_batch(full, of, partition=place))
            batches.clear()
            if batch is None:
                waiting.append(await _send(producer, record))
            else:
                batch = batches[topic, partition] = producer.create_batch()
                batch.append(timestamp=None, key=key, value=value, headers=headers)
        for (of, place), last in batches.items():
            waiting.append(await producer.send_batch(last, of, partition=place))

    async def partitions(self, topic: str) -> Sequence[int]:
        """Return the partitions of a topic as they are known now. Raises UnavailableError."""
        if self._producer is None:
            raise UnavailableError("the producer is not connected")
        try:
            return sorted(await self._producer.partitions_for(topic))
        except KafkaError as error:
            raise self._failed(error) from error

    async def append(self, topic: str, partition: int, records: Sequence[Together]) -> None:
        """Append records to one partition as one batch and wait for the broker: all of them are in its log, or none.

        They must fit a batch (``LARGEST_BATCH_BYTES`` with headers), or be one. Raises as ``send`` does.
        """
        if self._producer is None:
            raise UnavailableError("the producer is not connected")
        try:
            batch = self._producer.create_batch()
            for key, value, headers in records:
                if batch.append(timestamp=None, key=key, value=value, headers=headers) is None:
                    raise UnprocessableError("the records do not fit one batch")
            await (await self._producer.send_batch(batch, topic, partition=partition))
        except KafkaError as error:
            raise self._failed(error) from error
        _counter(topic).inc(len(records))

    def _failed(self, error: KafkaError) -> UnavailableError | UnprocessableError:
        """Return what is said of the client's error, and end the process's publishing when it cannot go on."""
        if isinstance(error, MessageSizeTooLargeError):
            return UnprocessableError("the record is too large for the broker")
        if isinstance(error, _FATAL):
            log.critical("the producer cannot go on", extra={"error": type(error).__name__})
            self.fatal.set()
        return UnavailableError(f"Kafka did not acknowledge: {type(error).__name__}")


async def _send(producer: AIOKafkaProducer, record: Record) -> "asyncio.Future[Any]":
    topic, key, value, headers = record
    # The client refuses a record with neither key nor value, which other publishers may write.
    key_bytes = b"" if key is None and value is None else key
    sent: asyncio.Future[Any] = await producer.send(topic, value, key=key_bytes, headers=list(headers))
    return sent


def _partition_of(key: bytes | None, every: Sequence[int], available: Sequence[int]) -> int:
    """Return the partition of a key as all Kafka clients have it; any available one for a record without a key."""
    if key is None:
        partition: int = DefaultPartitioner()(key, list(every), list(available))
        return partition
    return _place(key, tuple(every))


@lru_cache(maxsize=1024)
def _place(key: bytes, every: tuple[int, ...]) -> int:
    # The client's hash is in Python; keys come again, a receiving domain for each of its messages.
    partition: int = DefaultPartitioner()(key, every, every)
    return partition


@cache
def _counter(topic: str) -> Any:
    """Return the counter of a topic: to look it up costs more than to count. There are as many as topics."""
    return metrics.PUBLISHED.labels(topic)
