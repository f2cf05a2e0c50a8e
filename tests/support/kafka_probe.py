"""Asks a broker real questions over its own protocol, synchronously, so that tests wait for answers, not for time.

Two requests are enough: Metadata (which brokers are there, which replicas are in sync) and FindCoordinator (can a
consumer group be served; the first such question also makes Kafka create its offsets topic).
"""

import socket
import struct
from dataclasses import dataclass

METADATA = (3, 5)
"""API key and version; 5 is the first version with offline replicas, and one before the flexible encoding."""

FIND_COORDINATOR = (10, 1)
LARGEST_ANSWER = 16 * 1024 * 1024


class ProbeError(Exception):
    """What came back was no answer of a Kafka broker, or an answer that names an error."""


@dataclass(frozen=True)
class Partition:
    """Where one partition lives, as a broker tells it; ``leader`` is -1 while there is none."""

    topic: str
    index: int
    leader: int
    replicas: tuple[int, ...]
    in_sync: tuple[int, ...]

    @property
    def whole(self) -> bool:
        """Whether a leader is there and no replica lags."""
        return self.leader >= 0 and set(self.in_sync) == set(self.replicas)


@dataclass(frozen=True)
class Metadata:
    """What one broker knows about the cluster."""

    brokers: frozenset[int]
    controller: int
    partitions: tuple[Partition, ...]


class _Answer:
    """Reads Kafka's primitive types from a response, front to back."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def _take(self, count: int) -> bytes:
        part = self._data[self._at : self._at + count]
        if len(part) < count:
            raise ProbeError("the answer ends too early")
        self._at += count
        return part

    def flag(self) -> bool:
        return self._take(1) != b"\0"

    def int16(self) -> int:
        return int.from_bytes(self._take(2), "big", signed=True)

    def int32(self) -> int:
        return int.from_bytes(self._take(4), "big", signed=True)

    def text(self) -> str:
        length = self.int16()
        return "" if length < 0 else self._take(length).decode()

    def int32s(self) -> tuple[int, ...]:
        return tuple(self.int32() for _ in range(self.int32()))


def _text(value: str) -> bytes:
    data = value.encode()
    return struct.pack(">h", len(data)) + data


def _receive(connection: socket.socket, count: int) -> bytes:
    data = bytearray()
    while len(data) < count:
        part = connection.recv(count - len(data))
        if not part:
            raise ProbeError("the broker closed the connection")
        data += part
    return bytes(data)


def _ask(address: str, api: tuple[int, int], body: bytes, timeout: float) -> _Answer:
    host, _, port = address.rpartition(":")
    request = struct.pack(">hhi", *api, 1) + _text("probe") + body
    with socket.create_connection((host, int(port)), timeout=timeout) as connection:
        connection.sendall(struct.pack(">i", len(request)) + request)
        length = int.from_bytes(_receive(connection, 4), "big", signed=True)
        if not 0 < length <= LARGEST_ANSWER:
            raise ProbeError(f"an answer of {length} bytes")
        answer = _Answer(_receive(connection, length))
    if answer.int32() != 1:
        raise ProbeError("an answer to another question")
    return answer


def metadata(address: str, timeout: float = 5) -> Metadata:
    """Returns what the broker at ``address`` (host:port) knows; raises ``OSError`` or ``ProbeError``."""
    every_topic = struct.pack(">i?", -1, False)
    answer = _ask(address, METADATA, every_topic, timeout)
    answer.int32()  # throttle time
    brokers = []
    for _ in range(answer.int32()):
        brokers.append(answer.int32())
        answer.text(), answer.int32(), answer.text()  # host, port, rack
    answer.text()  # cluster id
    controller = answer.int32()
    partitions = []
    for _ in range(answer.int32()):
        answer.int16()
        topic = answer.text()
        answer.flag()  # internal
        for _ in range(answer.int32()):
            answer.int16()
            index, leader = answer.int32(), answer.int32()
            partitions.append(Partition(topic, index, leader, answer.int32s(), answer.int32s()))
            answer.int32s()  # offline replicas
    return Metadata(frozenset(brokers), controller, tuple(partitions))


def coordinator(address: str, group: str, timeout: float = 5) -> int:
    """Returns the id of the broker that coordinates ``group``; raises ``ProbeError`` while there is none."""
    answer = _ask(address, FIND_COORDINATOR, _text(group) + b"\0", timeout)
    answer.int32()  # throttle time
    error, message = answer.int16(), answer.text()
    if error:
        raise ProbeError(f"no group coordinator yet (error {error} {message})".rstrip())
    return answer.int32()
