"""What a fetch gives of a backlog when one of its partitions cannot be read."""

from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import OffsetOutOfRangeError

from shared.fetching import Fetching
from tests.support.received import Record

TOPIC = "t"
COUNT = 2000


class Consumer:
    """Gives records of two partitions as the client does; of the ``broken`` one an error, each time."""

    def __init__(self) -> None:
        self.broken: TopicPartition | None = None
        self._places = {TopicPartition(TOPIC, number): 0 for number in range(2)}

    def assignment(self) -> set[TopicPartition]:
        return set(self._places)

    def paused(self) -> set[TopicPartition]:
        return set()

    async def getmany(self, *partitions: TopicPartition, timeout_ms: int, max_records: int) -> dict[Any, list[Any]]:
        """One partition after the other, each to its end; an error only when there is nothing to give."""
        drained: dict[Any, list[Any]] = {}
        for partition, place in self._places.items():
            if (partitions and partition not in partitions) or not max_records:
                continue
            if partition == self.broken:
                if drained:
                    break
                raise OffsetOutOfRangeError
            end = min(COUNT, place + max_records)
            max_records -= end - place
            self._places[partition] = end
            if end > place:
                drained[partition] = [Record(TOPIC, partition.partition, at, None, b"") for at in range(place, end)]
        return drained


async def test_what_was_given_of_one_partition_is_not_lost_by_the_error_of_another() -> None:
    consumer, fetching = Consumer(), Fetching(0.0)
    came: dict[int, list[int]] = {0: [], 1: []}
    for _ in range(3):
        for record in await fetching(consumer):
            came[record.partition].append(record.offset)
    assert min(map(len, came.values())) > 0, "there is a backlog, so each fetch has something of both"
    consumer.broken = list(consumer.assignment() - consumer.paused())[1]
    for record in await fetching(consumer):
        came[record.partition].append(record.offset)
    consumer.broken = None
    for _ in range(10):
        for record in await fetching(consumer):
            came[record.partition].append(record.offset)
    assert came == {0: list(range(COUNT)), 1: list(range(COUNT))}


async def test_an_error_with_nothing_beside_it_is_the_readers() -> None:
    consumer, fetching = Consumer(), Fetching(0.0)
    await fetching(consumer)
    consumer.broken = next(iter(consumer.assignment() - consumer.paused()))
    with pytest.raises(OffsetOutOfRangeError):
        await fetching(consumer)
