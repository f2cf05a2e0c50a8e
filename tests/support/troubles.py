"""What goes wrong for each alert, done to a running system: the very thing is broken, not its metric."""

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import aiohttp
from aiokafka import AIOKafkaProducer

from bench.load import SUCCESS, Load
from cli.peers import SHOP, Peers
from cli.ports import free_ports
from cli.workbench_environment import SELECTOR, SIGNING_SECRET
from emulators.world import write_fields
from services.async_post.ring import Algorithm, Ring, make
from services.async_post.ring_store import RingStore
from shared.breakers import FAILURES_TO_OPEN
from shared.broker import Publisher
from shared.endings import BUG_DELAYS_SECONDS
from shared.errors import UnavailableError
from shared.events import CaptureCompleted, PostRequested, VerificationRequested
from shared.received import FAILURES_HEADER
from shared.settings import KafkaSettings, load
from shared.tables import VERIFICATIONS
from tests.e2e.conftest import Running

DEAD_RECEIVERS: Final = 25
JUNK: Final = 150
BACKLOG: Final = 3000
_DAY: Final = 86_400


@dataclass(frozen=True)
class Scene:
    """The system, who drives it, and a publisher beside it."""

    running: Running
    load: Load
    peers: Peers
    publisher: Publisher

    async def ask(self, count: int, seconds: float = 20.0) -> None:
        """Let a domain ask; whether it is answered is not looked at."""
        with suppress(UnavailableError, ExceptionGroup):
            await self.load.run(count, 5.0, (SUCCESS,), answer_seconds=seconds)

    def signal(self, name: str, number: int) -> None:
        self.running.workbench.send_signal(name, number)

    @asynccontextmanager
    async def silent(self, name: str) -> AsyncIterator[None]:
        """Let a process hang."""
        self.signal(name, signal.SIGSTOP)
        try:
            yield
        finally:
            self.signal(name, signal.SIGCONT)

    @property
    def endpoint_map(self) -> Path:
        return self.running.workbench.directory / "endpoints.toml"


Doing = Callable[[Scene], AbstractAsyncContextManager[Callable[[], Awaitable[None]]]]


@dataclass(frozen=True)
class Trouble:
    """``begin`` breaks something and gives what is done again and again while the alerts are waited for."""

    alerts: tuple[str, ...]
    begin: Doing
    quick: bool = False


async def _nothing() -> None:
    await asyncio.sleep(0.5)


@asynccontextmanager
async def receivers_are_dead(scene: Scene) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Messages go to domains where nobody listens."""
    world = scene.running.workbench.world
    (closed,) = free_ports(1)
    domains = [f"dead{number}.example" for number in range(DEAD_RECEIVERS)]
    for domain in domains:
        inbox = f"http://127.0.0.1:{closed}/inbox"
        write_fields(world, domain, {"secure": True, "keys": {}, "inbox": inbox})

    async def post() -> None:
        for domain in domains:
            body = {"Id": str(uuid4())}
            await scene.publisher.publish(PostRequested(to=domain, subject="Any@Domain", body=body), str(uuid4()))
        await asyncio.sleep(0.5)

    for _ in range(FAILURES_TO_OPEN):
        await post()
    yield post


@asynccontextmanager
async def an_endpoint_is_dead(scene: Scene) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """A service of the endpoint map does not listen."""
    before = scene.endpoint_map.read_text()
    (closed,) = free_ports(1)
    dead = f'\n[endpoints.crm]\nkind = "http"\nurl = "http://127.0.0.1:{closed}/"\n'
    routed = before.replace('to = ["verification"]', 'to = ["verification", "crm"]', 1)
    scene.endpoint_map.write_text(routed + dead)
    await asyncio.sleep(3)  # until the map is used
    try:
        yield lambda: scene.ask(6)
    finally:
        scene.endpoint_map.write_text(before)


@asynccontextmanager
async def a_map_is_wrong(scene: Scene) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Somebody writes an endpoint map that is none."""
    before = scene.endpoint_map.read_text()
    scene.endpoint_map.write_text("version = 1\n[routes")
    try:
        yield _nothing
    finally:
        scene.endpoint_map.write_text(before)


@asynccontextmanager
async def others_write_junk(scene: Scene) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """A system of somebody else's publishes what is no event."""
    producer = AIOKafkaProducer(bootstrap_servers=scene.running.workbench.system.kafka)
    await producer.start()
    try:
        for number in range(JUNK):
            await producer.send(VerificationRequested.topic, b"{", key=str(number).encode())
    finally:
        await producer.stop()
    yield _nothing


async def _change_ring(scene: Scene, change: Callable[[Ring], Ring]) -> None:
    store = RingStore(scene.running.demo.aws, SIGNING_SECRET)
    stored = await store.read()
    await store.write(stored, change(stored.ring))


@asynccontextmanager
async def the_key_is_old(scene: Scene) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """The active key has been in use for 101 days."""

    def aged(ring: Ring) -> Ring:
        assert ring.active
        return ring.with_key(replace(ring.active, active_at=time.time() - 101 * _DAY))

    await _change_ring(scene, aged)
    yield _nothing


@asynccontextmanager
async def a_rotation_is_stuck(scene: Scene) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """A new key has been waiting for its record for two hours: the zone is not ours."""
    await _change_ring(scene, lambda ring: make(ring, "pw2", Algorithm.ED25519, time.time() - 7200))
    yield _nothing


@asynccontextmanager
async def the_record_is_gone(scene: Scene) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """The active key's record is no longer in DNS."""
    world = scene.running.workbench.world
    path = world / f"{scene.running.demo.domain}.json"
    before = json.loads(path.read_text())
    keys = {selector: record for selector, record in before["keys"].items() if selector != SELECTOR}
    write_fields(world, scene.running.demo.domain, {**before, "keys": keys})
    try:
        yield _nothing
    finally:
        write_fields(world, scene.running.demo.domain, before)


@asynccontextmanager
async def no_key_is_active(scene: Scene) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """The ring has no active key."""
    before: list[Ring] = []

    def emptied(ring: Ring) -> Ring:
        before.append(ring)
        return Ring(())

    await _change_ring(scene, emptied)
    try:
        yield _nothing
    finally:
        await _change_ring(scene, lambda _: before[0])


@asynccontextmanager
async def the_provider_throttles(scene: Scene) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Faces cannot be compared any more, until the verifications' time is over."""
    order = {"operation": "CompareFaces", "error": "ThrottlingException", "count": 1_000_000}
    await _emulator(scene, "errors", order)
    try:
        yield lambda: scene.ask(10)
    finally:
        await _emulator(scene, "errors", {**order, "count": 0})


@asynccontextmanager
async def a_bug(scene: Scene) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """What the store holds cannot be read by this code; the waits between the tries are not waited for."""
    data = CaptureCompleted(verification_id=str(uuid4()), attempt=1)
    item = {"verification_id": {"S": data.verification_id}, "state": {"S": "of a version to come"}}
    table = f"{scene.running.demo.stores.table_prefix}{VERIFICATIONS.name}"
    client = scene.running.demo.aws.client("dynamodb")
    await asyncio.to_thread(client.put_item, TableName=table, Item=item)
    event = scene.publisher.event(data)
    headers = [*event.to_headers(), (FAILURES_HEADER, str(len(BUG_DELAYS_SECONDS)).encode())]
    await scene.publisher.send(data.topic, data.key().encode(), event.data, headers)
    yield _nothing


@asynccontextmanager
async def the_stores_hang(scene: Scene) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Nothing of AWS answers, while more comes in than before."""
    # Who is asked for does not matter: nobody is found out while the store hangs.
    async with scene.silent("aws"):

        async def more() -> None:
            await asyncio.gather(*(scene.publisher.publish(_request()) for _ in range(300)))
            await asyncio.sleep(1)

        for _ in range(BACKLOG // 300):
            await more()
        yield more


def _request() -> VerificationRequested:
    return VerificationRequested(verification_id=str(uuid4()), locator="nobody", deadline_seconds=1.0)


@asynccontextmanager
async def aws_is_slow(scene: Scene) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Calls of AWS take some seconds."""

    async def slow() -> None:
        asking = asyncio.create_task(scene.ask(8, 15.0))
        for _ in range(4):
            await asyncio.sleep(0.5)
            async with scene.silent("aws"):
                await asyncio.sleep(3.5)
        await asking

    yield slow


@asynccontextmanager
async def kafka_is_slow(scene: Scene) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Kafka takes a second to store a message."""

    async def slow() -> None:
        async with scene.silent("kafka"):
            asking = asyncio.create_task(scene.ask(5, 5.0))
            await asyncio.sleep(1.2)
        await asking

    yield slow


@asynccontextmanager
async def kafka_is_away(scene: Scene) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Kafka does not answer for longer than the door waits."""

    async def away() -> None:
        async with scene.silent("kafka"):
            asking = asyncio.create_task(scene.ask(10, 1.0))
            await asyncio.sleep(8)
        await asking

    yield away


@asynccontextmanager
async def a_service_hangs(scene: Scene) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """A process does not answer any more."""
    async with scene.silent("session"):
        yield _nothing


async def _emulator(scene: Scene, door: str, order: dict[str, Any]) -> None:
    url = f"{scene.running.workbench.system.aws}/_emulator/{door}"
    async with aiohttp.ClientSession() as session, session.post(url, json=order) as answer:
        assert answer.status == 200, await answer.text()


def publisher_for(running: Running) -> Publisher:
    """Return a publisher that is not started."""
    settings = {"FACESCAN_KAFKA_BOOTSTRAP": running.workbench.system.kafka}
    return Publisher(load(KafkaSettings, settings), f"//{SHOP}/test")


# In this order: what is broken for good comes after what it would touch.
TROUBLES: Final = (
    Trouble(("FacescanEndpointMapRefused",), a_map_is_wrong, quick=True),
    Trouble(("FacescanDeadLettersTheirs",), others_write_junk, quick=True),
    Trouble(("FacescanBreakersOpen", "FacescanReceiversFail", "FacescanNothingDelivered"), receivers_are_dead),
    Trouble(("FacescanEndpointHeld",), an_endpoint_is_dead),
    Trouble(("FacescanKeyTooOld",), the_key_is_old, quick=True),
    Trouble(("FacescanKeyRotationStuck",), a_rotation_is_stuck),
    Trouble(("FacescanKeyRecordInvisible",), the_record_is_gone),
    Trouble(("FacescanNoActiveKey",), no_key_is_active, quick=True),
    Trouble(
        ("FacescanVerdictBudgetFast", "FacescanVerdictBudgetSlow", "FacescanPartUnavailable"), the_provider_throttles
    ),
    Trouble(("FacescanDeadLettersOurs",), a_bug),
    Trouble(("FacescanProviderSlow",), aws_is_slow),
    Trouble(("FacescanDoorLatencyBudgetFast", "FacescanDoorLatencyBudgetSlow"), kafka_is_slow),
    Trouble(("FacescanDoorBudgetFast", "FacescanDoorBudgetSlow"), kafka_is_away),
    Trouble(("FacescanRecordsWait", "FacescanLagGrows", "FacescanKeyRingNotRead"), the_stores_hang),
    Trouble(("FacescanDown",), a_service_hangs),
)
