"""The dead letters as an operator sees them: read from their topics, replayed or dropped once.

The topics only ever grow. What became of a record stands in a table under its place in the topic, written by a
conditional put: of two operators who settle the same record one succeeds and the other is told.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final

import orjson
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from shared.broker import Publisher, RecordHeader
from shared.cloudevents import CloudEvent
from shared.dead_letters import PREFIX, Side
from shared.delays import without_delay
from shared.errors import FacescanError, UnavailableError, UnprocessableError
from shared.events import PostRequested, PostSigned, WebhookRequested, derived_id
from shared.fetching import leave
from shared.received import ATTEMPT_HEADER, FAILURES_HEADER, GROUP_HEADER, ORIGIN_HEADER
from shared.stores import ConditionFailedError, Put, Tables, Update
from shared.tables import DEAD_LETTERS
from shared.topics import DAY_SECONDS, DEAD_OURS, DEAD_THEIRS

TOPIC: Final = {Side.OURS: DEAD_OURS, Side.THEIRS: DEAD_THEIRS}
# Longer than the topics keep their records.
_REMEMBERED_SECONDS: Final = 30 * DAY_SECONDS
_REPLAYING: Final = "replaying"
# No record takes so long to be published: a replay that began before has been interrupted, and anybody may end it.
_REPLAY_SECONDS: Final = 60
_OURS: Final = (ATTEMPT_HEADER, FAILURES_HEADER, GROUP_HEADER, ORIGIN_HEADER)


class SettledError(FacescanError):
    """Raised when a record was replayed or dropped before."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One record of a dead-letter topic; ``place`` is topic/partition/offset there."""

    record: Any
    side: Side

    def _header(self, name: str) -> str:
        value = next((value for key, value in self.record.headers if key == PREFIX + name and value), b"")
        return str(value, "utf-8", "replace")

    @property
    def place(self) -> str:
        """Where it stands among the dead letters."""
        return f"{self.record.topic}/{self.record.partition}/{self.record.offset}"

    def describe(self) -> dict[str, Any]:
        """Return what is known of it, without its contents."""
        moment = self._header("time")
        ids = {key: value for key, value in self.record.headers if key in ("ce_id", "ce_type") and value}
        return {
            "place": self.place,
            "side": self.side.value,
            "topic": self._header("topic"),
            "position": f"{self._header('topic')}/{self._header('partition')}/{self._header('offset')}",
            "group": self._header("group"),
            "reason": self._header("reason"),
            "time": _utc(moment),
            "destination": self.destination,
            "event_id": str(ids.get("ce_id", b""), "utf-8", "replace"),
            "event_type": str(ids.get("ce_type", b""), "utf-8", "replace"),
            "bytes": len(self.record.value or b""),
            "cut": bool(self._header("cut")),
        }

    @property
    def destination(self) -> str:
        """The receiving domain of a post's record, "" of any other."""
        if not self._header("topic").startswith("facescan.post."):
            return ""
        return str(self.record.key or b"", "utf-8", "replace")

    def revived(self) -> tuple[str, bytes | None, bytes | None, list[RecordHeader]]:
        """Return topic, key, value and headers with which it is handled once more. Raises UnprocessableError.

        Only the group that gave it up takes it again, as the record of the same place, so that what was claimed for
        that place is still its own. A message that was given up goes to be signed again with the same Correlation.
        """
        topic = self._header("topic")
        if self._header("cut"):
            raise UnprocessableError(f"{self.place} was too large to be kept whole: replay it from {topic}")
        if topic == PostSigned.topic:
            return self._asked_again()
        value = self._told_again() if topic == WebhookRequested.topic else self.record.value
        headers = [
            (name, value)
            for name, value in without_delay(self.record.headers)
            if not name.startswith(PREFIX) and name not in _OURS
        ]
        origin = next((value for name, value in self.record.headers if name == ORIGIN_HEADER and value), None)
        headers += [
            (GROUP_HEADER, self._header("group").encode()),
            (ORIGIN_HEADER, origin or f"{topic}/{self._header('partition')}/{self._header('offset')}".encode()),
        ]
        return topic, self.record.key, value, headers

    def _told_again(self) -> bytes | None:
        """Return a webhook's record with all of its tries and its time before it; what is none as it is."""
        try:
            request = WebhookRequested.model_validate_json(self.record.value or b"")
        except ValueError:
            return bytes(self.record.value) if self.record.value is not None else None
        return request.model_copy(update={"attempt": 1, "first_requested_at": None}).to_json()

    def _asked_again(self) -> tuple[str, bytes | None, bytes | None, list[RecordHeader]]:
        try:
            request = PostSigned.model_validate(orjson.loads(self.record.value)).request
        except ValueError:
            raise UnprocessableError(f"{self.place} holds no signed message") from None
        fresh = request.model_copy(
            update={"attempt": 1, "first_requested_at": None, "deadline": None, "position": None}
        )
        identifier = derived_id("replay", self.place)
        event = CloudEvent(id=identifier, source="/facescan/cli", type=fresh.type, data=fresh.to_json())
        return PostRequested.topic, fresh.key().encode(), event.data, list(event.to_headers())


def _utc(text: str) -> str:
    try:
        return datetime.fromtimestamp(float(text), UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        return ""


class DeadLetterLog:
    """Reads, replays and drops dead letters."""

    def __init__(
        self,
        bootstrap: str,
        tables: Tables,
        clock: Callable[[], float],
        security: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        self._bootstrap = bootstrap
        self._security = security
        self._tables = tables
        self._clock = clock

    async def read(self, sides: tuple[Side, ...]) -> AsyncIterator[DeadLetter]:
        """Give every record that is there now. Raises UnavailableError."""
        for side in sides:
            consumer = AIOKafkaConsumer(
                TOPIC[side],
                bootstrap_servers=self._bootstrap,
                auto_offset_reset="earliest",
                fetch_max_wait_ms=50,
                **self._security,
            )
            try:
                await consumer.start()
                ends = await consumer.end_offsets(consumer.assignment())
                while any([await consumer.position(part) < end for part, end in ends.items()]):
                    for part, records in (await consumer.getmany(timeout_ms=100)).items():
                        for record in records:
                            if record.offset < ends[part]:
                                yield DeadLetter(record, side)
            except KafkaError as error:
                raise UnavailableError(f"Kafka at {self._bootstrap}: {type(error).__name__}") from error
            finally:
                await leave(consumer)

    async def settled(self, letter: DeadLetter) -> str:
        """Return what became of it: replayed, dropped, replaying (now), or "", also when a replay broke off."""
        item = await self._tables.get(DEAD_LETTERS.name, {"place": letter.place})
        return str(item["outcome"]) if item and not self._broken_off(item) else ""

    async def drop(self, letter: DeadLetter) -> None:
        """Note that nobody wants it. Raises SettledError."""
        await self._claim(letter, "dropped")

    async def replay(self, letter: DeadLetter, publisher: Publisher, *, again: bool = False) -> None:
        """Let it be handled once more. ``again``: also when it was settled. Raises SettledError, UnprocessableError."""
        record = letter.revived()
        if not again:
            await self._claim(letter, _REPLAYING)
        await publisher.send_all([record])
        await self._tables.put(Put(DEAD_LETTERS.name, self._item(letter, "replayed")))

    async def _claim(self, letter: DeadLetter, outcome: str) -> None:
        try:
            await self._tables.put(Put(DEAD_LETTERS.name, self._item(letter, outcome), unless_exists="place"))
        except ConditionFailedError:
            await self._take_over(letter, outcome)

    async def _take_over(self, letter: DeadLetter, outcome: str) -> None:
        """Carry on what somebody began and did not end. Its record may come twice then: it is the same event."""
        key: dict[str, str | int | bool] = {"place": letter.place}
        item = await self._tables.get(DEAD_LETTERS.name, key)
        try:
            if item is not None and self._broken_off(item):
                now = int(self._clock())
                begun: dict[str, list[str | int | bool]] = {"outcome": [_REPLAYING], "at": [int(item["at"])]}
                change = Update(DEAD_LETTERS.name, key, {"outcome": outcome, "at": now}, when=begun)
                await self._tables.update(change)
                return
        except ConditionFailedError:
            pass  # another took it over
        raise SettledError(f"{letter.place} is {await self.settled(letter)} already") from None

    def _broken_off(self, item: Mapping[str, Any]) -> bool:
        return item["outcome"] == _REPLAYING and int(item["at"]) < self._clock() - _REPLAY_SECONDS

    def _item(self, letter: DeadLetter, outcome: str) -> dict[str, str | int]:
        now = int(self._clock())
        return {"place": letter.place, "outcome": outcome, "at": now, "forget_at": now + _REMEMBERED_SECONDS}
