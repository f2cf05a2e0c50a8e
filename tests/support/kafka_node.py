"""What a node started from jars and one started in a container have in common: their settings and their handle."""

import base64
import random
import socket
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

VERSION = "4.3.1"
# A node of a test lives for a minute or two. The second compiler would work all that time for nobody, and with a small
# heap the serial collector is the quickest to start and the least in the others' way.
FRUGAL = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
LOOPBACK = "127.0.0.1"
TAIL_LINES = 40

EPHEMERAL_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
LOWEST_PORT = 20_000
USUAL_FIRST_EPHEMERAL = 32_768


class KafkaNotObtainableError(RuntimeError):
    """No Kafka can be had on this machine; the message says what is missing."""


class KafkaNotReadyError(RuntimeError):
    """A Kafka that was started does not work; the message ends with its log's tail."""


class Node(Protocol):
    """One started Kafka process."""

    @property
    def alive(self) -> bool:
        """Whether the process runs."""

    def start(self) -> None:
        """Starts it, again on the same data; does not wait until it serves."""

    def kill(self) -> None:
        """Ends it with SIGKILL and returns when it is gone."""

    def remove(self) -> None:
        """Ends it and removes all that it left."""

    def log_tail(self) -> str:
        """Returns the last lines of its log."""


def last_lines(text: str) -> str:
    """Returns the end of a log."""
    return "\n".join(text.splitlines()[-TAIL_LINES:])


def new_cluster_id() -> str:
    """Returns a cluster id as Kafka makes them: 16 random bytes in URL-safe base64, with no leading dash."""
    while True:
        name = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not name.startswith("-"):
            return name


def free_ports(count: int) -> list[int]:
    """Returns loopback ports that nothing listens on, below those that the system gives to outgoing connections.

    A broker that was killed must find its port free when it is started again.
    """
    try:
        first_ephemeral = int(EPHEMERAL_RANGE.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        first_ephemeral = USUAL_FIRST_EPHEMERAL
    last = first_ephemeral - 1 if first_ephemeral > LOWEST_PORT + 1000 else 65_535
    found: list[int] = []
    for port in random.sample(range(LOWEST_PORT, last), k=1000):
        with socket.socket() as candidate:
            try:
                candidate.bind((LOOPBACK, port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return found
    raise KafkaNotObtainableError(f"no {count} free ports on {LOOPBACK}")


def cluster_settings(brokers: int) -> dict[str, str]:
    """Returns the properties that all nodes of a cluster of this size share, whatever they run in."""
    replicas, in_sync = (3, 2) if brokers >= 3 else (1, 1)
    return {
        "auto.create.topics.enable": "false",
        "group.initial.rebalance.delay.ms": "0",
        "num.partitions": "4",
        "default.replication.factor": str(replicas),
        "min.insync.replicas": str(in_sync),
        "offsets.topic.num.partitions": "1" if brokers == 1 else "6",
        "offsets.topic.replication.factor": str(replicas),
        "transaction.state.log.num.partitions": "1" if brokers == 1 else "6",
        "transaction.state.log.replication.factor": str(replicas),
        "transaction.state.log.min.isr": str(in_sync),
        # A third less than Kafka's own 9 and 2 s: so long a dead broker still counts as there.
        "broker.session.timeout.ms": "6000",
        "broker.heartbeat.interval.ms": "1000",
        "share.coordinator.state.topic.num.partitions": "1",
        "share.coordinator.state.topic.replication.factor": str(replicas),
        "share.coordinator.state.topic.min.isr": str(in_sync),
    }


def node_settings(number: int, broker_ports: Sequence[int], controller_ports: Sequence[int]) -> dict[str, str]:
    """Returns all properties of node ``number`` (its id too), broker and controller at once, on loopback."""
    listener = f"PLAINTEXT://{LOOPBACK}:{broker_ports[number]}"
    voters = (f"{voter}@{LOOPBACK}:{port}" for voter, port in enumerate(controller_ports))
    return cluster_settings(len(broker_ports)) | {
        "process.roles": "broker,controller",
        "node.id": str(number),
        "controller.quorum.voters": ",".join(voters),
        "controller.listener.names": "CONTROLLER",
        "listeners": f"{listener},CONTROLLER://{LOOPBACK}:{controller_ports[number]}",
        "advertised.listeners": listener,
        "inter.broker.listener.name": "PLAINTEXT",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    }
