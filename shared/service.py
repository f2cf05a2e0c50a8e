"""Service defaults: what every service is around its own few lines (style: one place for telemetry, health, stop).

A service is a FastStream application. Around its start and stop hang the operator's endpoints (``/livez``, ``/readyz``,
``/metrics``), the publisher, the readers and, where it has one, the public HTTP server, started and stopped in an order
that loses nothing: readers and requests end first, the producer last.
"""

import asyncio
import ctypes
import gc
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any, Protocol, TypeVar

import prometheus_client
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError
from faststream import AckPolicy, FastStream
from faststream.kafka import KafkaBroker, KafkaMessage
from faststream.security import BaseSecurity, SASLOAuthBearer, SASLPlaintext, SASLScram256, SASLScram512
from faststream.specification import AsyncAPI

from shared import metrics, telemetry
from shared.broker import Publisher, consumer_options
from shared.errors import ConfigurationError, UnavailableError
from shared.events import EventData
from shared.fetching import Fetching, join, leave
from shared.http_server import HttpServer
from shared.kafka_security import AWS_MSK_IAM, KafkaSecurity, tls_context, token_provider
from shared.settings import Settings
from shared.stores import Aws, Tables
from shared.tables import TableSpec
from shared.tasks import end_tasks

log = logging.getLogger(__name__)

VERSION = "0.1.0"

# A record that is handled for so long is stuck: longer than any time-out inside a handler, retries included.
STUCK_SECONDS = 120.0
# A partition that was not fetched for so long while the broker answers: the client is wedged (aiokafka #1154).
WEDGED_SECONDS = 90.0
# The collector needs a tenth of a second: not while others wait for the service to be ready.
_SETTLE_AFTER_SECONDS = 0.5
_GARBAGE_THRESHOLD = 10_000
# glibc's malloc.h.
_M_ARENA_MAX = -8

T = TypeVar("T")


class _Broker(KafkaBroker):
    """Starts all subscribers at once: one after the other, each would wait for its group in turn."""

    async def start(self) -> None:
        await self.connect()
        try:
            await asyncio.gather(*(join(subscriber) for subscriber in self.subscribers))
        except UnknownTopicOrPartitionError as error:  # after the client has asked for 40 s
            raise ConfigurationError("a topic is missing; make it with: facescan topics create") from error
        self.running = True


class Reader(Protocol):
    """What reads topics: a Consuming, or the delayer."""

    topics: Sequence[str]
    group: str
    listener: Any
    assigned: bool
    # What it reads waits there on purpose, and is no lag.
    holds: bool
    # How long the records of a busy topic may gather before the next fetch; 0: not at all.
    turn_seconds: float

    @property
    def oldest_seconds(self) -> float:
        """Age of the oldest record in flight."""

    @property
    def in_hand(self) -> int:
        """How many records it has taken and not finished."""

    @property
    def oldest_record_seconds(self) -> float:
        """For how long the oldest of them has been in Kafka."""

    def start(self, consumer: Callable[[], Any]) -> None:
        """Begin to work; ``consumer`` gives the client's consumer."""

    async def take(self, records: Sequence[Any]) -> None:
        """Take a fetch of records."""

    async def stop(self) -> None:
        """Finish what is in flight."""


class Listener(Protocol):
    """A public server: bound when it is made, answering from ``start`` to ``stop``."""

    address: str

    async def start(self) -> None:
        """Begin to answer."""

    async def stop(self) -> None:
        """Take nothing new and finish what is under way."""


class Service:
    """One service process. Build it with its parts, then ``await run()``.

    ``tables`` must exist before it starts; ``uses`` names the AWS services that it calls beside them.
    """

    def __init__(
        self, name: str, settings: Settings, *, tables: Sequence[TableSpec] = (), uses: Sequence[str] = ()
    ) -> None:
        self.name = name
        self.settings = settings
        self.publisher = Publisher(settings, source=f"//{settings.domain}/{name}")
        self.aws = Aws(settings)
        self.tables = Tables(self.aws, settings)
        self.broker = _Broker(
            settings.kafka_bootstrap.split(","),  # the framework takes one string for one host
            consumer_only=True,  # publishing has one producer with settings of its own, see shared.broker
            apply_types=False,  # records are decoded one by one, so that a bad one is put aside alone
            ack_policy=AckPolicy.MANUAL,
            allow_auto_create_topics=False,
            graceful_timeout=1.0,  # the readers have drained before the framework stops
            client_id=f"facescan-{name}",
            security=_security(settings),
            sasl_oauth_token_provider=token_provider(settings),
            logger=None,
        )
        self.app = FastStream(
            self.broker,
            logger=None,
            specification=AsyncAPI(
                self.broker,
                title=f"facescan {name}",
                version=VERSION,
                description="CloudEvents 1.0 in binary or structured mode; the payloads here are their data.",
            ),
            on_startup=[self._start],
            after_startup=[self._started],
            on_shutdown=[self._stopping],
            after_shutdown=[self._stop],
        )
        self._needs = tables
        self._uses = (*uses, *(["dynamodb"] if tables else []))
        self._readers: list[tuple[Reader, Any]] = []
        self._before_start: list[Callable[[], Awaitable[Any]]] = []
        self._after_stop: list[Callable[[], Awaitable[None]]] = []
        self._beside: list[Callable[[], Coroutine[Any, Any, None]]] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._written: list[str] = []
        self._listen: list[Callable[[], Listener]] = []
        self._servers: list[Listener] = []
        self._ops: HttpServer | None = None
        self._watching: asyncio.Task[None] | None = None
        self._ready = False
        self._stopping_now = False
        self._lag_seconds = 0.0

    # -- what a service is made of -------------------------------------------------------------------------------

    def read(self, reader: Reader, payload: Any, description: str) -> None:
        """Add a reader; ``payload`` is the data's model, for the AsyncAPI document."""

        async def parse(records: Any, _original: Any = None) -> KafkaMessage:
            # The framework's own parser skips records with null or non-UTF-8 headers for ever; this one looks at none.
            return KafkaMessage(body=b"", raw_message=records, headers={}, consumer=_NoConsumer())

        async def decode(message: KafkaMessage, _original: Any = None) -> Any:
            return message.raw_message

        async def take(records: Any) -> None:
            await reader.take(records)

        take.__annotations__["records"] = payload
        take.__name__ = reader.group.rsplit(".", 1)[-1]
        subscriber = self.broker.subscriber(
            *reader.topics,
            batch=True,
            listener=reader.listener,
            parser=parse,
            decoder=decode,
            title=reader.topics[0] if len(reader.topics) == 1 else take.__name__,
            description=description,
            **consumer_options(self.settings, reader.group, pauses=reader.holds),
        )
        subscriber(take)
        subscriber.get_msg = Fetching(reader.turn_seconds)  # see there
        self._readers.append((reader, subscriber))

    def writes(self, *events: type[EventData]) -> None:
        """Declare what the service publishes, for the AsyncAPI document."""
        self._written += [event.topic for event in events]
        for event in events:
            self.broker.publisher(
                event.topic, schema=event, title=f"{event.topic}.published", description=event.__doc__
            )

    def serve(self, application: Any, host: str, port: int, *, variable: str) -> None:
        """Add an HTTP server, for an ASGI application."""
        self.listen(
            partial(HttpServer, application, host, port, variable=variable, drain_seconds=self.settings.drain_seconds)
        )

    def listen(self, listener: Callable[[], Listener]) -> None:
        """Add a server of the service's own, made when the service starts."""
        self._listen.append(listener)

    def before_start(self, work: Callable[[], Awaitable[Any]]) -> None:
        """Add what must have worked before the first record is read; tried again while a part is unavailable."""
        self._before_start.append(work)

    def beside(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Add what runs beside the readers from the start to the stop; that it ends by an error makes us unhealthy."""
        self._beside.append(work)

    def after_stop(self, work: Callable[[], Awaitable[None]]) -> None:
        """Add what is to be closed when nothing is in flight any more."""
        self._after_stop.append(work)

    @property
    def groups(self) -> Mapping[str, Sequence[str]]:
        """The groups that it reads in, with their topics; an endpoint of the map has one more."""
        return {reader.group: reader.topics for reader, _ in self._readers}

    @property
    def needed_tables(self) -> Sequence[str]:
        """The tables that must be there before it starts, without their prefix."""
        return [spec.name for spec in self._needs]

    @property
    def aws_services(self) -> Sequence[str]:
        """The AWS services that it calls."""
        return self._uses

    @property
    def listens(self) -> bool:
        """Whether it has a public server."""
        return bool(self._listen)

    @property
    def written(self) -> Sequence[str]:
        """The topics of the events that it publishes, delays and dead letters not among them."""
        return self._written

    # -- start and stop ------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT. Raises ConfigurationError or UnavailableError when the start fails."""
        _share_one_arena()
        telemetry.set_up_traces(self.name, VERSION)
        settings = self.settings
        self._ops = HttpServer(
            self._operate, settings.ops_host, settings.ops_port, variable="FACESCAN_OPS_PORT", drain_seconds=1
        )
        # Bound before anything else, so that a taken port is the first thing said; answered when all is ready.
        self._servers = [make() for make in self._listen]
        await self._ops.start()
        try:
            await self.app.run()
        finally:
            # An ordinary stop has done this already; a start that failed has not.
            await self.publisher.stop()
            self.aws.close()
        if self.publisher.fatal.is_set():
            raise UnavailableError("the producer lost its sequence and cannot go on: start again")

    async def _start(self) -> None:
        await asyncio.gather(self._until_there(self.publisher.start), self._start_stores())
        # Not behind the readers: joining a group may take as long as the session of a member that has died.
        await asyncio.gather(*(server.start() for server in self._servers))

    async def _start_stores(self) -> None:
        await asyncio.to_thread(self.aws.warm, *self._uses)
        if self._needs:
            missing = await self._until_there(lambda: self.tables.missing([spec.name for spec in self._needs]))
            if missing:
                raise ConfigurationError(f"missing: {', '.join(missing)}; make them with: facescan tables create")
        for work in self._before_start:
            await self._until_there(work)

    async def _until_there(self, work: Callable[[], Awaitable[T]]) -> T:
        deadline = time.monotonic() + self.settings.start_timeout_seconds
        while True:
            try:
                return await work()
            except UnavailableError as error:
                if time.monotonic() > deadline:
                    raise
                log.warning("waiting to start", extra={"why": str(error)})
                await asyncio.sleep(0.5)

    async def _started(self) -> None:
        for reader, subscriber in self._readers:
            reader.start(partial(getattr, subscriber, "consumer"))
        self._watching = asyncio.create_task(self._watch(), name="watch")
        self._tasks = [asyncio.create_task(work(), name=work.__qualname__) for work in self._beside]
        self._ready = True
        asyncio.get_running_loop().call_later(_SETTLE_AFTER_SECONDS, _settle_memory)
        log.info("started", extra={"version": VERSION, "http": [server.address for server in self._servers]})

    async def _stopping(self) -> None:
        self._stopping_now = True
        await asyncio.gather(*(server.stop() for server in self._servers))
        await end_tasks([*self._tasks, *([self._watching] if self._watching is not None else [])])
        await asyncio.gather(*(reader.stop() for reader, _ in self._readers))
        await asyncio.gather(*(leave(subscriber) for _, subscriber in self._readers))

    async def _stop(self) -> None:
        for work in self._after_stop:
            await work()
        await self.publisher.stop()
        self.aws.close()
        if self._ops is not None:
            await self._ops.stop()
        telemetry.flush_traces()
        log.info("stopped")

    # -- health --------------------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        """Notice a producer that cannot go on (the process must end) and consumers that fetch no more."""
        while True:
            try:
                await asyncio.wait_for(self.publisher.fatal.wait(), timeout=5.0)
            except TimeoutError:
                self._lag_seconds = self._silence_seconds()
                await self._measure()
            else:
                self.app.exit()
                return

    def _silence_seconds(self) -> float:
        """For how long the longest silent assigned partition was not fetched."""
        silent = 0.0
        for _, subscriber in self._readers:
            consumer = subscriber.consumer
            if consumer is None:
                continue
            try:
                polled = [
                    consumer.last_poll_timestamp(partition) for partition in consumer.assignment() - consumer.paused()
                ]
            except (KafkaError, AssertionError):  # the assignment changed meanwhile
                continue
            silent = max(silent, *(time.time() - at / 1000 for at in polled if at), 0.0)
        return silent

    async def _measure(self) -> None:
        """Say how much of its partitions waits for this process."""
        for reader, subscriber in self._readers:
            consumer = subscriber.consumer
            if reader.holds or consumer is None:
                continue
            metrics.OLDEST_SECONDS.labels(reader.group).set(reader.oldest_record_seconds)
            waiting = reader.in_hand
            try:
                async with asyncio.timeout(1):
                    # Asked for, not remembered from the last fetch: a reader that is stuck fetches no more.
                    ends = await consumer.end_offsets(consumer.assignment())
                    for partition, end in ends.items():
                        waiting += max(0, end - await consumer.position(partition))
            except (KafkaError, AssertionError, TimeoutError):  # as above
                continue
            metrics.LAG.labels(reader.group).set(waiting)

    def unhealthy(self) -> str | None:
        """Why this process should be ended and started anew; None while it makes progress, Kafka reachable or not."""
        if self.publisher.fatal.is_set():
            return "the producer cannot go on"
        for task in self._tasks:
            if task.done() and not task.cancelled() and (error := task.exception()) is not None:
                return f"{task.get_name()} has died: {type(error).__name__}"
        for reader, _ in self._readers:
            if reader.oldest_seconds > STUCK_SECONDS:
                return f"a record in {reader.group} is being handled for {reader.oldest_seconds:.0f} s"
        return None

    def not_ready(self) -> str | None:
        """Why no work should be sent here now; None when all is well."""
        if self._stopping_now:
            return "stopping"
        if not self._ready:
            return "starting"
        for reader, _ in self._readers:
            if not reader.assigned:
                return f"{reader.group} has no partitions yet"
        if self._lag_seconds > WEDGED_SECONDS:
            return f"no fetch was answered for {self._lag_seconds:.0f} s"
        return None

    async def _operate(self, scope: Any, _receive: Any, send: Any) -> None:
        """The operator's endpoints, as ASGI."""
        if scope["type"] != "http":
            return
        content_type = b"text/plain; charset=utf-8"
        match scope["path"]:
            case "/livez":
                why = self.unhealthy()
                status, body = (200, b"ok\n") if why is None else (503, f"{why}\n".encode())
            case "/readyz":
                why = self.not_ready()
                status, body = (200, b"ok\n") if why is None else (503, f"{why}\n".encode())
            case "/metrics":
                status, body = 200, prometheus_client.generate_latest()
                content_type = prometheus_client.CONTENT_TYPE_LATEST.encode()
            case _:
                status, body = 404, b"here are /livez, /readyz and /metrics\n"
        headers = [(b"content-type", content_type), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def _security(settings: Settings) -> BaseSecurity | None:
    """Return the framework's word for how Kafka is spoken to. Raises ConfigurationError."""
    if settings.kafka_security is KafkaSecurity.PLAINTEXT:
        return None
    context = tls_context(settings)
    if settings.kafka_security is KafkaSecurity.TLS:
        return BaseSecurity(ssl_context=context, use_ssl=True)
    if settings.kafka_sasl_mechanism == AWS_MSK_IAM:
        return SASLOAuthBearer(ssl_context=context, use_ssl=True)
    kinds = {"SCRAM-SHA-512": SASLScram512, "SCRAM-SHA-256": SASLScram256, "PLAIN": SASLPlaintext}
    password = settings.kafka_password.get_secret_value() if settings.kafka_password is not None else ""
    return kinds[settings.kafka_sasl_mechanism](
        username=settings.kafka_username or "", password=password, ssl_context=context, use_ssl=True
    )


def _share_one_arena() -> None:
    """Let all threads allocate from one place: the few that call AWS would each hold on to memory of its own.

    For the start of a process, before it has threads. Does nothing where there is no glibc.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 1)


def _settle_memory() -> None:
    """Give back what only the start needed, and spare the collector what stays for ever."""
    gc.collect()
    gc.freeze()
    # Thousands of records in hand are no garbage: to look among them at each 700 new objects costs a tenth of the CPU.
    gc.set_threshold(_GARBAGE_THRESHOLD, 20, 20)
    # glibc keeps what imports and service models left free; elsewhere there is nothing to trim.
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


class _NoConsumer:
    """Stands where the framework wants something to acknowledge by; acknowledging is the readers' work."""

    async def commit(self) -> None:
        return

    def seek(self, partition: Any, offset: int) -> None:
        return
