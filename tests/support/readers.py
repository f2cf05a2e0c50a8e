"""A reader as a service runs it, inside of the test's own event loop, and what a test asks a broker beside it."""

import asyncio
import itertools
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import confluent_kafka
import confluent_kafka.admin
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from shared.cloudevents import CloudEvent
from shared.consuming import Consuming
from shared.events import CaptureCompleted
from shared.received import Received, event_decoder
from shared.service import Service
from shared.settings import Settings

Handle = Callable[[Received[CaptureCompleted]], Awaitable[None]]
Headers = Sequence[tuple[str, bytes | None]]

_numbers = itertools.count(1)


def new_topic() -> str:
    """Return a name that no other test has."""
    return f"contract.{uuid.uuid4().hex[:8]}.{next(_numbers)}"


def verification_id(name: object) -> str:
    """Return the id that stands for ``name`` in a test."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, str(name)))


def event(number: int, name: object = "") -> CloudEvent:
    """Return an event that carries ``number``."""
    data = CaptureCompleted(verification_id=verification_id(name), attempt=number)
    return CloudEvent(id=f"event-{number}", source="//test", type=data.type, data=data.to_json())


def service_settings(bootstrap: str, session_timeout_seconds: float = 10.0) -> Settings:
    """Return settings for a reader of a test."""
    return Settings(
        domain="identity.example",
        kafka_bootstrap=bootstrap,
        kafka_session_timeout_seconds=session_timeout_seconds,
    )


async def until(condition: Callable[[], Any], seconds: float = 10.0) -> None:
    """Wait until ``condition`` holds; fails with TimeoutError when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds} s")
        await asyncio.sleep(0.02)


async def until_async(condition: Callable[[], Awaitable[Any]], seconds: float = 10.0) -> None:
    """Wait until what ``condition`` returns is true."""
    deadline = time.monotonic() + seconds
    while not await condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds} s")
        await asyncio.sleep(0.1)


async def committed(bootstrap: str, group: str, topic: str, partition: int = 0) -> int:
    """Return the offset that a group has committed, 0 when it has committed none."""
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False) as consumer:
        return await consumer.committed(TopicPartition(topic, partition)) or 0


async def partitions_of_topics(bootstrap: str) -> dict[str, int]:
    """Return how many partitions each topic has; asking makes none."""
    client = confluent_kafka.admin.AdminClient({"bootstrap.servers": bootstrap})
    known = await asyncio.to_thread(client.list_topics, timeout=10)
    return {name: len(topic.partitions) for name, topic in known.topics.items()}


async def all_records(bootstrap: str, topic: str) -> list[Any]:
    """Return every record that is in a topic now."""
    async with AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest") as consumer:
        ends = await consumer.end_offsets(consumer.assignment())
        found: list[Any] = []
        while any([await consumer.position(part) < end for part, end in ends.items()]):
            for records in (await consumer.getmany(timeout_ms=50)).values():
                found += records
        return found


class Writer:
    """A foreign publisher: it chooses partition, key, headers and bytes, as any client may."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        self._producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", max_request_size=8_000_000)

    async def start(self) -> None:
        await self._producer.start()

    async def stop(self) -> None:
        await self._producer.stop()

    async def touch(self, topic: str) -> None:
        """Ask for a topic, which makes the embedded broker create it."""
        await self._producer.partitions_for(topic)

    async def write(
        self, topic: str, number: int, name: object = "", *, partition: int | None = 0, extra: Headers = ()
    ) -> None:
        """Append the event ``number`` of the verification that ``name`` stands for."""
        made = event(number, name)
        await self.write_raw(
            topic, made.data, key=verification_id(name).encode(), headers=[*made.to_headers(), *extra],
            partition=partition,
        )  # fmt: skip

    async def write_raw(
        self, topic: str, value: bytes | None, *, key: bytes | None = b"key", headers: Headers = (),
        partition: int | None = 0,
    ) -> None:  # fmt: skip
        """Append any bytes."""
        if key is None and value is None:  # which this client refuses, and others do not
            other = confluent_kafka.Producer({"bootstrap.servers": self._bootstrap})
            other.produce(topic, partition=partition or 0, headers=list(headers))
            assert await asyncio.to_thread(other.flush, 10) == 0
            return
        await self._producer.send_and_wait(topic, value, key=key, headers=list(headers), partition=partition)


class RunningReader:
    """A service with one reader. ``handle`` may be replaced before anything is written to its topic.

    ``started`` and ``handled`` are the numbers of the events whose handling began and ended well, in that order.
    """

    def __init__(
        self, bootstrap: str, topic: str, *, group: str | None = None, handle: Handle | None = None,
        drain_seconds: float = 5.0, session_timeout_seconds: float = 10.0,
    ) -> None:  # fmt: skip
        self.bootstrap = bootstrap
        self.topic = topic
        self.group = group or f"group.{topic}"
        self.handle = handle
        self.started: list[int] = []
        self.handled: list[int] = []
        self.attempts: list[int] = []
        self.service = Service("test", service_settings(bootstrap, session_timeout_seconds))
        self.consuming = Consuming(
            topic=topic,
            group=self.group,
            decode=event_decoder(CaptureCompleted),
            publisher=self.service.publisher,
            handle=self._handle,
            drain_seconds=drain_seconds,
        )
        self.service.read(self.consuming, CaptureCompleted, "a test")
        self._running = False

    async def _handle(self, received: Received[CaptureCompleted]) -> None:
        number = received.data.attempt
        self.started.append(number)
        self.attempts.append(received.attempt)
        if self.handle is not None:
            await self.handle(received)
        self.handled.append(number)

    async def start(self) -> "RunningReader":
        """Start, and wait until the group has given it partitions."""
        await self.service.app.start()
        self._running = True
        await until(lambda: self.consuming.assigned, 30)
        return self

    async def stop(self) -> None:
        """Stop as a service does."""
        if self._running:
            self._running = False
            await self.service.app.stop()

    async def __aenter__(self) -> "RunningReader":
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def committed(self, partition: int = 0) -> int:
        """Return what the group has committed."""
        return await committed(self.bootstrap, self.group, self.topic, partition)

    async def until_committed(self, offset: int, partition: int = 0, seconds: float = 10.0) -> None:
        """Wait until the group's committed offset is ``offset``."""

        async def there() -> bool:
            return await self.committed(partition) == offset

        await until_async(there, seconds)
