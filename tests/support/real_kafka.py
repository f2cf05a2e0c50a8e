"""Starts a real Apache Kafka for tests: in a container where a Docker engine answers, else from jars on Java.

Everything that waits here blocks; from a coroutine call it through ``asyncio.to_thread``.
"""

import atexit
import contextlib
import os
import re
import shutil
import subprocess
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Protocol, Self

from tests.support.kafka_containers import ApacheKafkaContainer, ContainerNode, host_network_container, pull
from tests.support.kafka_jars import DataFolder, make_nodes
from tests.support.kafka_node import (
    LOOPBACK,
    KafkaNotObtainableError,
    KafkaNotReadyError,
    Node,
    free_ports,
    new_cluster_id,
    node_settings,
)
from tests.support.kafka_probe import Metadata, ProbeError, coordinator, metadata

__all__ = [
    "Availability",
    "Cluster",
    "KafkaNotObtainableError",
    "KafkaNotReadyError",
    "Kind",
    "RealKafka",
    "available",
    "start_cluster",
    "start_single",
]

Kind = Literal["docker", "java"]

READY_SECONDS = 90.0
BETWEEN_QUESTIONS = 0.1
ENGINE_ANSWERS_SECONDS = 5
OLDEST_JAVA = 17
SINGLE_HEAP = ("-Xms128m", "-Xmx256m")
CLUSTER_HEAP = ("-Xms256m", "-Xmx256m")


@dataclass(frozen=True)
class Availability:
    """Which ways to a real Kafka this machine offers, and why it does not offer the others."""

    kinds: tuple[Kind, ...]
    missing: dict[Kind, str]

    @property
    def why(self) -> str:
        """What is missing, as one sentence."""
        return "; ".join(self.missing.values())


class RealKafka(Protocol):
    """A running Kafka."""

    @property
    def bootstrap(self) -> str:
        """host:port of each broker, separated by commas."""

    @property
    def kind(self) -> Kind:
        """What it runs in."""

    def close(self) -> None:
        """Ends it and removes its data."""


def _docker_lacks() -> str | None:
    docker = shutil.which("docker")
    if docker is None:
        return "Docker is not installed"
    command = [docker, "info", "--format", "{{.ServerVersion}}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=ENGINE_ANSWERS_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return f"the Docker engine does not answer within {ENGINE_ANSWERS_SECONDS} s"
    if done.returncode or not done.stdout.strip():
        return f"the Docker engine does not answer ({' '.join(done.stderr.split()) or 'docker info failed'})"
    return None


def _java_lacks() -> str | None:
    java = shutil.which("java")
    if java is None:
        return f"Java {OLDEST_JAVA} is not installed"
    if shutil.which("mvn") is None:
        return "Maven (mvn) is not installed"
    told = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=30, check=False).stderr
    version = re.search(r'version "(\d+)', told)
    if version is None or int(version[1]) < OLDEST_JAVA:
        return f"Java is older than {OLDEST_JAVA} ({' '.join(told.split()[:3])})"
    return None


def available() -> Availability:
    """Returns which ways to a real Kafka can be gone here, without starting anything."""
    lacks: dict[Kind, str | None] = {"docker": _docker_lacks(), "java": _java_lacks()}
    return Availability(
        kinds=tuple(kind for kind, lack in lacks.items() if lack is None),
        missing={kind: lack for kind, lack in lacks.items() if lack is not None},
    )


class Cluster:
    """Nodes that are broker and controller at once, numbered from 0.

    A node's number is its id in Kafka too, but for a single container, whose id is testcontainers' choice. Each node
    can be killed and started again on its data. ``close`` may be called more than once and happens by itself when the
    interpreter ends.
    """

    def __init__(
        self,
        kind: Kind,
        nodes: Sequence[Node],
        addresses: Sequence[str],
        remove_data: Callable[[], None] = lambda: None,
        first_id: int = 0,
    ) -> None:
        self.kind: Kind = kind
        self.addresses = tuple(addresses)
        self._nodes = tuple(nodes)
        self._remove_data = remove_data
        self._first_id = first_id
        self._owner = os.getpid()
        self._closed = False
        self._wanted: set[int] = set()
        atexit.register(self.close)

    @property
    def bootstrap(self) -> str:
        return ",".join(self.addresses)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._nodes)

    def alive(self, number: int) -> bool:
        """Returns whether a node's process runs."""
        return self._nodes[number].alive

    def start(self, number: int) -> None:
        """Starts a node; ``wait_ready`` then waits for it. A node that runs stays as it is."""
        if not self._nodes[number].alive:
            self._nodes[number].start()
        self._wanted.add(number)

    def kill(self, number: int) -> None:
        """Ends a node with SIGKILL and returns when its process is gone; the others learn it in their own time."""
        self._wanted.discard(number)
        self._nodes[number].kill()

    def wait_ready(self, seconds: float = READY_SECONDS) -> None:
        """Waits until all nodes that should run answer, agree on who is there, and serve consumer groups."""

        def questions() -> None:
            self._agree()
            coordinator(self._first_address, "probe")

        self._until(questions, seconds, "ready")

    def wait_in_sync(self, seconds: float = READY_SECONDS) -> None:
        """Waits until besides no partition lacks a leader or a replica, so that the next node may be killed."""

        def questions() -> None:
            behind = [part for part in self._agree().partitions if not part.whole]
            if behind:
                raise ProbeError(f"{len(behind)} partitions have replicas that lag: {behind[:3]}")

        self._until(questions, seconds, "in sync")

    def leader(self, topic: str, partition: int = 0) -> int:
        """Returns the number of the node that leads a partition; -1 while none does."""
        known = metadata(self._first_address).partitions
        leaders = (part.leader for part in known if (part.topic, part.index) == (topic, partition))
        return max(-1, next(leaders, -1) - self._first_id)

    def close(self) -> None:
        """Ends all nodes and removes their data."""
        if self._closed or os.getpid() != self._owner:  # a forked child has inherited only a copy of this object
            return
        self._closed = True
        atexit.unregister(self.close)
        with contextlib.ExitStack() as stack:  # one node's failure keeps none of the others
            stack.callback(self._remove_data)
            for node in self._nodes:
                stack.callback(node.remove)

    @property
    def _first_address(self) -> str:
        if not self._wanted:
            raise KafkaNotReadyError("all nodes are killed")
        return self.addresses[min(self._wanted)]

    def _agree(self) -> Metadata:
        """Asks each node who is there, and returns the last answer."""
        known = metadata(self._first_address)
        wanted = {self._first_id + number for number in self._wanted}
        for number in sorted(self._wanted):
            known = metadata(self.addresses[number])
            if known.brokers != wanted or known.controller < 0:
                raise ProbeError(f"node {number} knows brokers {sorted(known.brokers)}, controller {known.controller}")
        return known

    def _until(self, questions: Callable[[], None], seconds: float, what: str) -> None:
        deadline = time.monotonic() + seconds
        while True:
            try:
                questions()
            except (OSError, ProbeError) as error:
                gone = [number for number in self._wanted if not self._nodes[number].alive]
                if gone:
                    raise KafkaNotReadyError(f"Kafka node {gone} ended by itself.{self._tails(gone)}") from error
                if time.monotonic() > deadline:
                    sentence = f"Kafka ({self.kind}) is not {what} after {seconds:.0f} s: {error}"
                    raise KafkaNotReadyError(f"{sentence}.{self._tails(self._wanted)}") from error
                time.sleep(BETWEEN_QUESTIONS)
            else:
                return

    def _tails(self, numbers: Sequence[int] | set[int]) -> str:
        return "".join(f"\n--- log of node {number}\n{self._nodes[number].log_tail()}" for number in sorted(numbers))

    def _start_all(self) -> Self:
        """Starts all nodes and waits for them; leaves nothing if that fails."""
        try:
            for number in range(len(self)):
                self.start(number)
            self.wait_ready()
        except BaseException:
            self.close()
            raise
        return self


def _from_jars(brokers: int, heap: Sequence[str]) -> Cluster:
    DataFolder.sweep()
    ports = free_ports(2 * brokers)
    data = DataFolder()
    try:
        settings = [node_settings(number, ports[:brokers], ports[brokers:]) for number in range(brokers)]
        nodes = make_nodes(data.path, settings, heap, new_cluster_id())
    except BaseException:
        data.remove()
        raise
    addresses = [f"{LOOPBACK}:{port}" for port in ports[:brokers]]
    return Cluster("java", nodes, addresses, data.remove)._start_all()


def _in_containers(brokers: int, heap: Sequence[str]) -> Cluster:
    pull()
    ports = free_ports(2 * brokers)
    identity = new_cluster_id()
    settings = [node_settings(number, ports[:brokers], ports[brokers:]) for number in range(brokers)]
    nodes = [ContainerNode(host_network_container(own, " ".join(heap), identity)) for own in settings]
    addresses = [f"{LOOPBACK}:{port}" for port in ports[:brokers]]
    return Cluster("docker", nodes, addresses)._start_all()


def _single_container() -> Cluster:
    pull()
    container = ApacheKafkaContainer(" ".join(SINGLE_HEAP))
    node = ContainerNode(container)
    try:
        node.start()  # the port that Docker maps is known only then
        address = container.address
    except BaseException as error:
        tail = node.log_tail()
        node.remove()
        if isinstance(error, Exception):
            raise KafkaNotReadyError(f"the container of Kafka did not start: {error}\n{tail}") from error
        raise
    return Cluster("docker", [node], [address], first_id=ApacheKafkaContainer.NODE_ID)._start_all()


def _first_obtainable(starts: dict[Kind, Callable[[], Cluster]], prefer: Kind | None) -> Cluster:
    """Starts the way preferred, or the first of ``starts`` that this machine offers."""
    offered = available()
    reasons = dict(offered.missing)
    for kind, start in starts.items():
        if kind in reasons or prefer not in {None, kind}:
            continue
        try:
            return start()
        except KafkaNotObtainableError as error:
            reasons[kind] = str(error)
            warnings.warn(f"no real Kafka by {kind}: {error}", stacklevel=3)
    raise KafkaNotObtainableError("; ".join(reason for kind, reason in reasons.items() if prefer in {None, kind}))


def start_single(prefer: Kind | None = None) -> RealKafka:
    """Returns one running node; ``prefer`` insists on a way, else a container comes before Java.

    Raises ``KafkaNotObtainableError`` when no way is open, and ``KafkaNotReadyError`` when one is but Kafka fails.
    """
    return _first_obtainable({"docker": _single_container, "java": lambda: _from_jars(1, SINGLE_HEAP)}, prefer)


def start_cluster(brokers: int = 3, prefer: Kind | None = None) -> Cluster:
    """Returns a running cluster with replication 3 and two replicas in sync; Java comes before containers.

    Raises as ``start_single`` does.
    """
    return _first_obtainable(
        {"java": lambda: _from_jars(brokers, CLUSTER_HEAP), "docker": lambda: _in_containers(brokers, CLUSTER_HEAP)},
        prefer,
    )
