"""A service whose broker is gone ends all the same: what it could not commit is read again."""

import asyncio
import time

from shared.events import CaptureCompleted
from shared.received import Received
from tests.support.readers import RunningReader, Writer, new_topic, until
from tests.unit.emulators.processes import running


async def test_a_service_with_something_to_commit_ends_within_seconds_when_the_broker_is_gone() -> None:
    with running("emulators.kafka") as (broker, address):
        topic = new_topic()
        writer = Writer(address)
        await writer.start()
        await writer.touch(topic)

        async def handled_last(_: Received[CaptureCompleted]) -> None:
            broker.kill()
            await asyncio.to_thread(broker.wait, 5)

        reader = await RunningReader(address, topic, handle=handled_last).start()
        await writer.write(topic, 1)
        await until(lambda: reader.handled == [1])
        began = time.monotonic()
        await asyncio.wait_for(reader.stop(), 30)
        assert time.monotonic() - began < 10
        await asyncio.wait_for(writer.stop(), 10)
