"""What happens in the system, read from its topics: one step for each event, without anything that is secret.

Bodies, addresses with tokens, pictures and scores are never part of a step; names of cases, ids, subjects and outcomes
are.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from pydantic import ValidationError

from shared.cloudevents import CloudEvent, CloudEventError, parse_record
from shared.envelope import EnvelopeError, parse
from shared.errors import UnavailableError
from shared.events import (
    BY_TYPE,
    EVENTS,
    INBOX_ACCEPTED_TOPIC,
    INBOX_ACCEPTED_TYPE,
    CaptureCompleted,
    DeadlinePassed,
    EventData,
    PostRequested,
    PostSettled,
    PostSigned,
    SessionCreated,
    VerdictReached,
    derived_id,
)

TOPICS: Final = (INBOX_ACCEPTED_TOPIC, *(event.topic for event in EVENTS))
_PREFIX: Final = "facescan."
_ID_OF_BODY: Final = "Popup"


@dataclass(frozen=True, slots=True)
class Step:
    """One event. ``at`` is epoch seconds, ``verification_id`` empty when the event belongs to none that is known.

    ``detail`` is what a person wants to know of it: a subject, an attempt, an outcome. ``to`` is set for posts.
    """

    at: float
    verification_id: str
    step: str
    detail: str = ""
    to: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return the step as a JSON object; ``at`` in UTC."""
        moment = datetime.fromtimestamp(self.at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return {name: value for name, value in {**asdict(self), "at": moment}.items() if value != ""}


def step_of(
    headers: Sequence[tuple[str, bytes | None]], value: bytes | None, timestamp_milliseconds: int
) -> Step | None:
    """Return the step that a record stands for, or None when it is no event of ours."""
    try:
        event = parse_record(headers, value)
        if event.type == INBOX_ACCEPTED_TYPE:
            return _accepted(event, _moment(event, timestamp_milliseconds))
        model = BY_TYPE.get(event.type)
        return _step(model.model_validate_json(event.data), event, timestamp_milliseconds) if model else None
    except (CloudEventError, EnvelopeError, ValidationError):
        return None


def _moment(event: CloudEvent, timestamp_milliseconds: int) -> float:
    """The event's own time is finer than the record's."""
    return event.time.timestamp() if event.time else timestamp_milliseconds / 1000


def _accepted(event: CloudEvent, at: float) -> Step:
    message = parse(event.data)
    verification_id = derived_id("verification", message.sender, message.correlation)
    return Step(at, verification_id, "inbox.accepted", f"{message.subject} from {message.sender}")


def _step(data: EventData, event: CloudEvent, timestamp_milliseconds: int) -> Step:
    at = _moment(event, timestamp_milliseconds)
    verification_id, detail, to = str(getattr(data, "verification_id", "")), "", ""
    match data:
        case PostRequested():
            retry = f", attempt {data.attempt}" if data.attempt > 1 else ""
            verification_id, detail, to = _verification_of(data), data.subject + retry, data.to
        case PostSigned():
            verification_id, detail, to = _verification_of(data.request), data.request.subject, data.request.to
        case PostSettled():
            ending = data.outcome if data.outcome == "delivered" else f"given up: {data.reason}"
            verification_id, detail, to = data.order_key or "", f"{data.subject} {ending}", data.to
        case VerdictReached():
            detail = data.outcome.value
        case SessionCreated() | CaptureCompleted():
            detail = f"attempt {data.attempt}"
        case DeadlinePassed():
            # It was written when the wait began; it happened when the record appeared.
            at = timestamp_milliseconds / 1000
            detail = f"attempt {data.attempt}" if data.attempt else "verification"
    return Step(at, verification_id, data.topic.removeprefix(_PREFIX), detail, to)


def _verification_of(data: PostRequested) -> str:
    named = data.body.get(_ID_OF_BODY)
    return data.order_key or (named if isinstance(named, str) else "")


@asynccontextmanager
async def following(
    bootstrap: str, *, from_start: bool = False, security: Mapping[str, Any] = MappingProxyType({})
) -> AsyncIterator[AsyncIterator[Step]]:
    """Give the steps from now on (or from the start of the topics), as they come, without end.

    Inside the block the positions are fixed: nothing that happens from then on is missed. Raises UnavailableError.
    """
    async with records(bootstrap, from_start=from_start, security=security) as consumer:
        yield _steps(consumer)


@asynccontextmanager
async def records(
    bootstrap: str, *, from_start: bool = False, security: Mapping[str, Any] = MappingProxyType({})
) -> AsyncIterator[AIOKafkaConsumer]:
    """As ``following``, with the records as they are on the topics."""
    consumer = AIOKafkaConsumer(
        *TOPICS,
        bootstrap_servers=bootstrap,
        group_id=None,
        auto_offset_reset="earliest" if from_start else "latest",
        enable_auto_commit=False,
        **security,
    )
    try:
        await consumer.start()
        if from_start:
            await consumer.seek_to_beginning()
        else:
            await consumer.seek_to_end()
    except KafkaError as error:
        await consumer.stop()
        raise UnavailableError(f"Kafka at {bootstrap} cannot be read: {type(error).__name__}") from error
    try:
        yield consumer
    finally:
        await consumer.stop()


async def _steps(consumer: AIOKafkaConsumer) -> AsyncIterator[Step]:
    async for record in consumer:
        step = step_of(record.headers, record.value, record.timestamp)
        if step is not None:
            yield step


async def in_order(steps: AsyncIterator[Step], pause_seconds: float = 0.5, most: int = 50_000) -> AsyncIterator[Step]:
    """Give steps of the past by their time, for topics are read one after the other; after a pause, as they come."""
    past: list[Step] = []
    coming = asyncio.ensure_future(anext(steps))
    try:
        while len(past) < most and (await asyncio.wait({coming}, timeout=pause_seconds))[0]:
            try:
                past.append(coming.result())
            except StopAsyncIteration:
                break
            coming = asyncio.ensure_future(anext(steps))
        for step in sorted(past, key=lambda one: one.at):
            yield step
        with contextlib.suppress(StopAsyncIteration):
            yield await coming
            async for step in steps:
                yield step
    finally:
        coming.cancel()
