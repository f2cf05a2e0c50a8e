"""A reader for each endpoint that can be away by itself, started and ended with the map.

Each is a group of its own on ``endpoint.requested``, so that each has its own place in the log, and one that stands
still holds up nobody else.
"""

import asyncio
import contextlib
import logging
from typing import Any, Final

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from services.inbox.endpoint_delivery import Discarded, HttpDelivery, TopicDelivery
from services.inbox.endpoint_map import EndpointMap, HttpEndpoint, SyncEndpoint, TopicEndpoint
from shared.broker import LOOK_MILLISECONDS, Publisher, consumer_options
from shared.consuming import Consuming
from shared.events import EndpointRequested
from shared.fetching import leave
from shared.kafka_security import security_options
from shared.received import event_decoder
from shared.settings import Settings

log = logging.getLogger(__name__)

GROUP_PREFIX: Final = "facescan.inbox.endpoint."
# What one reader holds in memory at most; the rest waits in Kafka.
MOST_HELD: Final = 256
_FETCH_BYTES: Final = 256 * 1024
_AGAIN_SECONDS: Final = 2.0
_FULL_SECONDS: Final = 0.02


class EndpointReader:
    """Reads the records of one endpoint and delivers them, until it is stopped."""

    def __init__(
        self,
        name: str,
        endpoint: HttpEndpoint | TopicEndpoint,
        *,
        settings: Settings,
        publisher: Publisher,
        discarded: Discarded,
    ) -> None:
        self.endpoint = endpoint
        self._settings = settings
        self._delivery: HttpDelivery | TopicDelivery = (
            HttpDelivery(
                name, endpoint, source=publisher.source, discarded=discarded, stopping=lambda: self._consuming.draining
            )
            if isinstance(endpoint, HttpEndpoint)
            else TopicDelivery(name, endpoint, publisher=publisher)
        )
        prefix = f"{name}\n".encode()
        unordered = isinstance(endpoint, HttpEndpoint) and endpoint.order_by == "none"
        self._consuming: Consuming[EndpointRequested] = Consuming(
            topic=EndpointRequested.topic,
            group=GROUP_PREFIX + name,
            decode=event_decoder(EndpointRequested),
            publisher=publisher,
            handle=self._delivery.deliver,
            lane=lambda received: received.position if unordered else received.data.order_key,
            mine=lambda record: (record.key or b"").startswith(prefix),
            max_in_flight=MOST_HELD,
            drain_seconds=settings.drain_seconds,
        )
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin; a broker that does not answer is waited for."""
        self._task = asyncio.create_task(self._run(), name=self._consuming.group)

    async def stop(self) -> None:
        """Take nothing new, finish the request under way, commit; what waits is read again."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self._delivery.close()

    async def _run(self) -> None:
        group = self._consuming.group
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._settings.kafka_bootstrap,
            enable_auto_commit=False,
            max_partition_fetch_bytes=_FETCH_BYTES,
            client_id="facescan-inbox",
            **security_options(self._settings),
            **consumer_options(self._settings, group),
        )
        consumer.subscribe([EndpointRequested.topic], listener=self._consuming.listener)
        try:
            while True:
                try:
                    await consumer.start()
                    break
                except KafkaError as error:
                    log.warning("waiting to start", extra={"group": group, "why": type(error).__name__})
                    await asyncio.sleep(_AGAIN_SECONDS)
            self._consuming.start(lambda: consumer)
            await self._read(consumer)
        finally:
            await asyncio.shield(self._consuming.stop())
            await leave(consumer)

    async def _read(self, consumer: Any) -> None:
        """Fetch only what there are places for: taking never waits, so the group never takes this for a dead member."""
        held = False
        while True:
            free = self._consuming.free
            if (free == 0) != held:
                held = free == 0
                partitions = consumer.assignment()
                (consumer.pause if held else consumer.resume)(*partitions)
            if held:
                await asyncio.sleep(_FULL_SECONDS)
            try:
                fetched = await consumer.getmany(timeout_ms=0 if held else LOOK_MILLISECONDS, max_records=free or 1)
            except KafkaError as error:
                log.warning("fetch waits", extra={"group": self._consuming.group, "why": type(error).__name__})
                await asyncio.sleep(_AGAIN_SECONDS)
                continue
            for records in fetched.values():
                await self._consuming.take(records)


class EndpointReaders:
    """The readers of the map that is in use."""

    def __init__(self, settings: Settings, publisher: Publisher, discarded: Discarded) -> None:
        self._settings = settings
        self._publisher = publisher
        self._discarded = discarded
        self._readers: dict[str, EndpointReader] = {}
        self._changing = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    def update(self, endpoints: EndpointMap) -> None:
        """Begin to bring the readers to what the map says; changed endpoints get new ones, the others go on."""
        task = asyncio.create_task(self._change(endpoints))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _change(self, endpoints: EndpointMap) -> None:
        wanted: dict[str, HttpEndpoint | TopicEndpoint] = {
            name: endpoint
            for name, endpoint in endpoints.endpoints.items()
            if not isinstance(endpoint, SyncEndpoint) and (isinstance(endpoint, HttpEndpoint) or endpoint.topic)
        }
        async with self._changing:
            ending = [name for name, reader in self._readers.items() if wanted.get(name) != reader.endpoint]
            await asyncio.gather(*(self._readers.pop(name).stop() for name in ending))
            for name, endpoint in wanted.items():
                if name not in self._readers:
                    self._readers[name] = EndpointReader(
                        name,
                        endpoint,
                        settings=self._settings,
                        publisher=self._publisher,
                        discarded=self._discarded,
                    )
                    self._readers[name].start()

    async def stop(self) -> None:
        """End all readers."""
        for task in self._tasks:
            task.cancel()
        async with self._changing:
            await asyncio.gather(*(reader.stop() for reader in self._readers.values()))
            self._readers.clear()
