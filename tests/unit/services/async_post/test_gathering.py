"""Records gathered for one wait: together, in order, again while the broker is away, and never lost silently."""

import asyncio
from collections.abc import Sequence

import pytest

from services.async_post.gathering import Gathering
from shared.broker import Publisher, Record
from tests.support.recording import RecordingPublisher


def records(numbers: Sequence[int]) -> list[Record]:
    return [("facescan.post.settled", b"key", str(number).encode(), []) for number in numbers]


def gathered_by(publisher: Publisher, wait_seconds: float = 0.0) -> Gathering[int]:
    return Gathering(publisher, records, wait_seconds)


class CountingPublisher(RecordingPublisher):
    """``calls`` is how often something was sent."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    async def send_all(self, records: object) -> None:
        """See Publisher."""
        self.calls += 1
        await super().send_all(records)  # type: ignore[arg-type] # handed on as it is


async def test_what_comes_within_the_wait_is_sent_at_once_and_in_order() -> None:
    publisher = CountingPublisher()
    gathering = gathered_by(publisher, 0.01)
    await asyncio.gather(*(gathering.add(number) for number in range(100)))
    assert publisher.calls == 1
    assert [sent.value for sent in publisher.sent] == [str(number).encode() for number in range(100)]


async def test_while_the_broker_is_away_nothing_is_done_and_nothing_is_lost() -> None:
    publisher = CountingPublisher()
    publisher.refusals = 2
    gathering = gathered_by(publisher)
    first = gathering.add(1)
    await asyncio.sleep(0.05)
    second = gathering.add(2)
    assert not first.done()
    await asyncio.gather(first, second)
    assert [sent.value for sent in publisher.sent] == [b"1", b"2"]


async def test_a_bug_is_told_to_whoever_waits_and_the_next_ones_are_sent() -> None:
    class FailingOnce(CountingPublisher):
        async def send_all(self, records: object) -> None:
            await super().send_all(records)
            if self.calls == 1:
                raise ZeroDivisionError

    publisher = FailingOnce()
    gathering = gathered_by(publisher)
    with pytest.raises(ZeroDivisionError):
        await gathering.add(1)
    await gathering.add(2)


async def test_at_the_end_what_is_not_acknowledged_is_cancelled() -> None:
    publisher = CountingPublisher()
    publisher.refusals = 1000
    gathering = gathered_by(publisher)
    under_way = gathering.add(1)
    await asyncio.sleep(0.02)
    waiting = gathering.add(2)
    await gathering.close()
    assert under_way.cancelled()
    assert waiting.cancelled()
