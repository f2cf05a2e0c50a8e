"""A publisher that keeps what it is given instead of sending it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from shared.broker import Publisher, RecordHeader, Together
from shared.cloudevents import CloudEvent, parse_record
from shared.delays import TARGET_HEADER, UNTIL_HEADER
from shared.errors import UnavailableError
from shared.events import BY_TYPE, EventData
from shared.settings import KafkaSettings


@dataclass(frozen=True, slots=True)
class Sent:
    """One record as it was to be sent."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Sequence[RecordHeader]

    @property
    def event(self) -> CloudEvent:
        return parse_record(self.headers, self.value)

    @property
    def data(self) -> EventData:
        """The event's data as its model."""
        return BY_TYPE[self.event.type].model_validate_json(self.event.data)

    @property
    def target(self) -> str:
        """Where it is to appear: its topic, or the one that it is delayed for."""
        target = dict(self.headers).get(TARGET_HEADER)
        return target.decode() if target else self.topic

    @property
    def due(self) -> float | None:
        """When a delayed record is to appear, in epoch seconds."""
        until = dict(self.headers).get(UNTIL_HEADER)
        return float(until) if until else None


class RecordingPublisher(Publisher):
    """``sent`` are the records that were taken; while ``refusals`` are left, each call is refused instead."""

    def __init__(self) -> None:
        super().__init__(KafkaSettings(kafka_bootstrap="127.0.0.1:1"), "//identity.example/test")
        self.sent: list[Sent] = []
        self.refusals = 0

    async def send_all(self, records: Iterable[tuple[str, bytes | None, bytes | None, Sequence[RecordHeader]]]) -> None:
        """See Publisher."""
        given = [Sent(*record) for record in records]
        if self.refusals:
            self.refusals -= 1
            raise UnavailableError("Kafka did not acknowledge: a test wants it so")
        self.sent += given

    async def partitions(self, topic: str) -> Sequence[int]:
        """See Publisher."""
        return (0,)

    async def append(self, topic: str, partition: int, records: Sequence[Together]) -> None:
        """See Publisher."""
        await self.send_all([(topic, *record) for record in records])

    def of(self, model: type[EventData]) -> list[Sent]:
        """Return what was sent of one type, delayed records too, in order."""
        return [sent for sent in self.sent if sent.target == model.topic]
