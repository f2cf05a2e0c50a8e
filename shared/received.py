"""A record of Kafka as a reader hands it on: decoded, with how often it has come and where it stood first.

Headers of our own carry that over a delay topic and back.
"""

from collections.abc import Callable
from typing import Any, Final, Generic, NamedTuple, TypeVar

from pydantic import ValidationError

from shared.cloudevents import CloudEvent, parse_record
from shared.errors import UnprocessableError
from shared.events import EventData
from shared.problems import first_problem

D = TypeVar("D")
E = TypeVar("E", bound=EventData)

ATTEMPT_HEADER: Final = "facescan_attempt"
# How many of the attempts before ended in a bug; a record that was only told to wait has none.
FAILURES_HEADER: Final = "facescan_failures"
# Where it stood when it was read first: what was claimed for that place is still its own (rule 7).
ORIGIN_HEADER: Final = "facescan_origin"
# A record that comes back after a delay is for the group that sent it away; the topic's other readers had it already.
GROUP_HEADER: Final = "facescan_group"

_ATTEMPT_DIGITS: Final = 6


# No frozen dataclass: as CloudEvent.
class Received(NamedTuple, Generic[D]):
    """One decoded event with the record that carried it; ``attempt`` counts from 1, ``failures`` the bugs so far."""

    data: D
    event: CloudEvent
    record: Any
    attempt: int = 1
    failures: int = 0

    @property
    def position(self) -> str:
        """Where the record first stood in the log: the same for ever, also when it comes back by a delay topic."""
        origin = next((value for name, value in self.record.headers if name == ORIGIN_HEADER and value), None)
        if origin is not None:
            return str(origin, "utf-8", "replace")
        return f"{self.record.topic}/{self.record.partition}/{self.record.offset}"


def event_decoder(model: type[E]) -> Callable[[CloudEvent], E]:
    """Return a decoder for one type of event; it raises UnprocessableError for any other and for bad data."""

    def decode(event: CloudEvent) -> E:
        if event.type != model.type:
            raise UnprocessableError(f"event type {event.type[:100]!r} is not {model.type}")
        try:
            return model.model_validate_json(event.data)
        except ValidationError as error:
            raise UnprocessableError(first_problem(error, "data")) from error

    return decode


def is_for(group: str, record: Any) -> bool:
    """Whether a record is for this group: one that comes back after a delay is for the one that sent it away."""
    return all(value in (None, group.encode()) for name, value in record.headers if name == GROUP_HEADER)


def read_record(record: Any, decode: Callable[[CloudEvent], D]) -> Received[D]:
    """Return a record with what it says. Raises CloudEventError and whatever ``decode`` raises."""
    headers = dict(record.headers)
    event = parse_record(record.headers, record.value)
    attempt, failures = _count(headers, ATTEMPT_HEADER), _count(headers, FAILURES_HEADER)
    return Received(decode(event), event, record, max(1, attempt), failures)


def _count(headers: dict[str, bytes | None], name: str) -> int:
    # Anybody can write the header: what is no small number counts as none.
    text = headers.get(name) or b""
    return int(text) if text.isdigit() and len(text) <= _ATTEMPT_DIGITS else 0
