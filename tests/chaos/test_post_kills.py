"""Posts while signer, sender and broker are killed with -9: every one arrives, with a signature that verifies.

FACESCAN_TEST_POSTS is how many messages are asked for (5,000 in the full run, fewer in the suite); FACESCAN_TEST_KILLS
how many kills there are (30 in the full run).
"""

import asyncio
import os
import signal
import time
import uuid
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from emulators.envelopes import verify
from shared.cloudevents import CloudEvent
from shared.events import PostRequested
from shared.topics import create_topics
from tests.support.readers import until_async
from tests.support.real_kafka import Cluster
from tests.support.service_process import ServiceProcess, Surroundings, surroundings
from tests.support.tls_inbox import TlsInbox

pytestmark = pytest.mark.kafka

POSTS = int(os.environ.get("FACESCAN_TEST_POSTS", "150"))
KILLS = int(os.environ.get("FACESCAN_TEST_KILLS", "3"))
# One kill after another: about so long, so that messages are asked for all the time.
SECONDS_PER_KILL = 4.0
# On a machine that is busy with other tests, too.
_START_SECONDS = 120.0
RECEIVERS = [f"r{number}.example" for number in range(10)]
ROLES = {"signer": "signer", "sender": "sender,delayer"}


class Parts:
    """Signer and sender as processes of their own, and how they are killed."""

    def __init__(self, around: Surroundings, cluster: Cluster, folder: Path) -> None:
        self._folder = folder
        self._cluster = cluster
        self._environments = {
            name: around.environment() | {"FACESCAN_POST_ROLES": roles, "FACESCAN_INSTANCE": f"kill-{name}"}
            for name, roles in ROLES.items()
        }
        self._processes = {name: self._start(name) for name in ROLES}

    def _start(self, name: str) -> ServiceProcess:
        return ServiceProcess("async_post", self._environments[name], self._folder)

    def wait_ready(self) -> None:
        for process in self._processes.values():
            process.wait_ready(_START_SECONDS)

    def kill(self, number: int) -> None:
        """Kill one of the three in turn with -9 and start it again."""
        victim = [*ROLES, "broker"][number % 3]
        if victim == "broker":
            broker = number // 3 % len(self._cluster)
            self._cluster.kill(broker)
            time.sleep(1)
            self._cluster.start(broker)
            self._cluster.wait_in_sync()
            return
        process = self._processes[victim]
        os.kill(process.process.pid, signal.SIGKILL)
        process.process.wait(10)
        self._processes[victim] = self._start(victim)
        self._processes[victim].wait_ready(_START_SECONDS)

    def end(self) -> None:
        for process in self._processes.values():
            process.__exit__()


@contextmanager
def posting(folder: Path, cluster: Cluster) -> Iterator[tuple[Surroundings, Parts]]:
    """What the parts need, and the parts, on a cluster of real brokers."""
    asyncio.run(create_topics(cluster.bootstrap, replication=3, partitions=6))
    with surroundings(folder) as embedded:
        around = replace(embedded, kafka=cluster.bootstrap)
        asyncio.run(around.prepare())
        parts = Parts(around, cluster, folder)
        try:
            yield around, parts
        finally:
            parts.end()


async def ask_for(kafka: str, count: int, seconds: float) -> set[str]:
    """Ask for posts over some time and return their Correlations when the brokers have all of them."""
    producer = AIOKafkaProducer(bootstrap_servers=kafka.split(","), acks="all", enable_idempotence=True)
    await producer.start()
    waiting, asked = [], set()
    for number in range(count):
        to, correlation = RECEIVERS[number % len(RECEIVERS)], str(uuid.uuid4())
        request = PostRequested(to=to, subject="LocatorVerified@Domain", body={"n": number}, correlation=correlation)
        event = CloudEvent(id=correlation, source="//chaos", type=request.type, data=request.to_json())
        waiting.append(await producer.send(request.topic, event.data, key=to.encode(), headers=event.to_headers()))
        asked.add(correlation)
        await asyncio.sleep(seconds / count)
    await asyncio.gather(*waiting)
    await producer.stop()
    return asked


@pytest.mark.timeout(340 + 20 * KILLS)
async def test_every_post_arrives_signed_while_signer_sender_and_broker_are_killed(
    kafka_cluster: Cluster, tmp_path: Path
) -> None:
    """None is lost; what arrives more than once is the same message, by its Correlation."""
    inboxes = {name: TlsInbox() for name in RECEIVERS}

    def came() -> set[str]:
        return {message["Header"]["Correlation"] for inbox in inboxes.values() for message in inbox.messages}

    asked: set[str] = set()

    async def all_came() -> bool:
        return asked <= came()

    async with AsyncExitStack() as stack:
        around, parts = await asyncio.to_thread(lambda: stack.enter_context(posting(tmp_path, kafka_cluster)))
        for name, inbox in inboxes.items():
            await stack.enter_async_context(inbox.running(around.world, name))
        await asyncio.to_thread(parts.wait_ready)
        asking = asyncio.create_task(ask_for(kafka_cluster.bootstrap, POSTS, KILLS * SECONDS_PER_KILL))
        for number in range(KILLS):
            await asyncio.to_thread(parts.kill, number)
        asked = await asking
        with suppress(TimeoutError):  # the account below says what is missing
            await until_async(all_came, seconds=90)
        messages = [message for inbox in inboxes.values() for message in inbox.messages]
        assert came() == asked
        assert len(asked) == POSTS
        for message in messages:
            verify(message, around.key.record)
        print(f"{POSTS} posts, {KILLS} kills with -9: {len(came())} arrived, {len(messages)} deliveries")
