"""The launcher of a real Apache Kafka does what the tests that use it rely on."""

import asyncio
import contextlib
import fcntl
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.structs import TopicPartition

from tests.support import real_kafka
from tests.support.kafka_fixtures import leave_untested, obtain
from tests.support.kafka_jars import DataFolder
from tests.support.kafka_node import free_ports
from tests.support.real_kafka import (
    Cluster,
    KafkaNotObtainableError,
    KafkaNotReadyError,
    Kind,
    available,
    start_cluster,
    start_single,
)

TOPIC = "launcher"


def listens(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=5).close()
    except OSError:
        return False
    return True


async def create_topic(bootstrap: str, replicas: int) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(TOPIC, num_partitions=4, replication_factor=replicas)])
    finally:
        await admin.close()


async def consume(bootstrap: str, count: int) -> list[bytes]:
    """Returns ``count`` records, and any that come within a moment after them, in a group that commits."""
    async with AIOKafkaConsumer(
        TOPIC, bootstrap_servers=bootstrap, group_id="launcher", auto_offset_reset="earliest", enable_auto_commit=False
    ) as consumer:
        values: list[bytes] = []
        async with asyncio.timeout(60):
            while len(values) < count:
                values += [
                    record.value for part in (await consumer.getmany(timeout_ms=500)).values() for record in part
                ]
        surplus = await consumer.getmany(timeout_ms=200)
        await consumer.commit()
    return values + [record.value for part in surplus.values() for record in part]


async def committed(bootstrap: str) -> int:
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id="launcher") as consumer:
        offsets = [await consumer.committed(TopicPartition(TOPIC, number)) for number in range(4)]
    return sum(offset or 0 for offset in offsets)


@pytest.mark.kafka
@pytest.mark.parametrize("kind", ["docker", "java"])
def test_single_node_stores_records_and_commits(kind: Kind) -> None:
    async def round_trip(bootstrap: str) -> None:
        await create_topic(bootstrap, replicas=1)
        sent = [str(number).encode() for number in range(100)]
        async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=True) as producer:
            for value in sent:
                await producer.send_and_wait(TOPIC, value, key=value)
        assert sorted(await consume(bootstrap, len(sent))) == sorted(sent)
        assert await committed(bootstrap) == len(sent)

    kafka = obtain(f"a single node of Apache Kafka by {kind}", lambda: start_single(kind))
    with contextlib.closing(kafka):
        assert kafka.kind == kind
        asyncio.run(round_trip(kafka.bootstrap))
        host, port = kafka.bootstrap.split(":")
    assert not listens(host, int(port))


@pytest.mark.kafka
def test_cluster_takes_records_while_a_broker_is_dead() -> None:
    batch = 50
    acknowledged: list[bytes] = []

    async def produce(cluster: Cluster) -> None:
        await create_topic(cluster.bootstrap, replicas=3)
        await asyncio.to_thread(cluster.wait_in_sync)
        async with AIOKafkaProducer(
            bootstrap_servers=cluster.bootstrap, acks="all", enable_idempotence=True
        ) as producer:

            async def send_batch() -> None:
                for value in [str(len(acknowledged) + number).encode() for number in range(batch)]:
                    await producer.send_and_wait(TOPIC, value, key=value)
                    acknowledged.append(value)

            await send_batch()
            victim = cluster.leader(TOPIC)
            await asyncio.to_thread(cluster.kill, victim)
            await send_batch()
            assert not cluster.alive(victim)
            await asyncio.to_thread(cluster.start, victim)
            await send_batch()

    with obtain("a cluster of real Apache Kafka", start_cluster) as cluster:
        asyncio.run(produce(cluster))
        # The broker was started from a thread that ended with the event loop; it must have outlived both.
        cluster.wait_ready()
        cluster.wait_in_sync()
        assert [cluster.alive(number) for number in range(len(cluster))] == [True] * 3
        assert len(acknowledged) == 3 * batch
        assert sorted(asyncio.run(consume(cluster.bootstrap, len(acknowledged)))) == sorted(acknowledged)


@pytest.mark.kafka
def test_java_ends_with_the_process_that_started_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if "java" not in available().kinds:
        leave_untested("that Kafka's Java process ends with the tests' own", available().missing["java"])
    script = "import time; from tests.support.real_kafka import start_single as s; k = s('java'); "
    script += "print(k.bootstrap, flush=True); time.sleep(600)"
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environment
    ) as starter:
        try:
            assert starter.stdout is not None
            host, port = starter.stdout.readline().strip().split(":")
            assert listens(host, int(port))
        finally:
            starter.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 10
    while listens(host, int(port)):
        assert time.monotonic() < deadline, "Kafka outlives the process that started it"
    assert list(tmp_path.iterdir()), "the data that nobody could remove"
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    DataFolder.sweep()
    assert not list(tmp_path.iterdir())


def test_sweeping_spares_data_in_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    data = DataFolder()
    DataFolder.sweep()
    assert data.path.exists()
    with (data.path / "lock").open("rb") as other, pytest.raises(BlockingIOError):
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    data.remove()
    assert not data.path.exists()


class DeafNode:
    """A node that never answers."""

    def __init__(self, *, ends_at_once: bool) -> None:
        self._ends_at_once = ends_at_once
        self.removed = False

    @property
    def alive(self) -> bool:
        return not self._ends_at_once

    def start(self) -> None:
        """Starts nothing."""

    def kill(self) -> None:
        """Kills nothing."""

    def remove(self) -> None:
        self.removed = True

    def log_tail(self) -> str:
        return "the reason stands in the log"


@pytest.mark.parametrize(
    ("ends_at_once", "sentence"),
    [(True, r"node \[0\] ended by itself"), (False, r"not ready after 0 s")],
    ids=["ended", "silent"],
)
def test_a_node_that_does_not_serve_is_reported_with_its_log(*, ends_at_once: bool, sentence: str) -> None:
    node = DeafNode(ends_at_once=ends_at_once)
    data_removed: list[bool] = []
    address = f"127.0.0.1:{free_ports(1)[0]}"
    with Cluster("java", [node], [address], lambda: data_removed.append(True)) as cluster:
        cluster.start(0)
        with pytest.raises(KafkaNotReadyError, match=rf"(?s){sentence}.*the reason stands in the log"):
            cluster.wait_ready(seconds=0.3)
    cluster.close()
    assert node.removed
    assert data_removed == [True]


def test_a_machine_without_docker_and_java_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert available().kinds == ()
    assert available().why == "Docker is not installed; Java 17 is not installed"
    with pytest.raises(KafkaNotObtainableError, match="Docker is not installed; Java 17 is not installed"):
        start_single()
    with pytest.raises(KafkaNotObtainableError, match=r"^Java 17 is not installed$"):
        start_cluster(prefer="java")


def test_java_serves_where_the_image_cannot_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_image() -> Cluster:
        raise KafkaNotObtainableError("no image")

    stand_in = Cluster("java", [], [])
    monkeypatch.setattr(real_kafka, "available", lambda: real_kafka.Availability(("docker", "java"), {}))
    monkeypatch.setattr(real_kafka, "_single_container", no_image)
    monkeypatch.setattr(real_kafka, "_from_jars", lambda *_: stand_in)
    with pytest.warns(UserWarning, match="no real Kafka by docker: no image"):
        assert start_single() is stand_in
    stand_in.close()


@pytest.mark.parametrize(("ci", "outcome"), [("true", {"failed": 1}), ("", {"skipped": 1})])
def test_what_is_not_tested_is_said_once_and_fails_in_ci(
    ci: str, outcome: dict[str, int], pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", ci)
    pytester.makeconftest(
        "from tests.support import kafka_fixtures\n"
        "def pytest_terminal_summary(terminalreporter): kafka_fixtures.report_not_tested(terminalreporter)"
    )
    pytester.makepyfile(
        "from tests.support.kafka_fixtures import leave_untested\n"
        "def test_it(): leave_untested('real Apache Kafka', 'no engine')"
    )
    ran = pytester.runpytest_subprocess("-q", "-n", "1")
    ran.assert_outcomes(**outcome)
    header = next(at for at, line in enumerate(ran.outlines) if re.fullmatch("!+ NOT TESTED !+", line))
    assert ran.outlines[header + 1] == "NOT TESTED: real Apache Kafka (no engine)"
    assert not ran.outlines[header + 2].startswith("NOT TESTED")
