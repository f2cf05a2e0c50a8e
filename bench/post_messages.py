"""What the benches of the post send: messages of some 1,000 bytes, and their requests in an open loop."""

import asyncio
import time
import uuid
from typing import Any, Final

import orjson
from aiokafka import AIOKafkaProducer

from bench.post_receivers import domain
from shared.cloudevents import CloudEvent
from shared.events import PostRequested

# An open loop looks at the clock so often.
PAUSE_SECONDS: Final = 0.001
_MOST_UNDER_WAY: Final = 10_000
_FILLER: Final = "0123456789abcdef" * 32


def body(due: float | None = None) -> dict[str, Any]:
    """Return a Body that says when it was due, in seconds of the monotonic clock; now when left out."""
    moment = time.monotonic() if due is None else due
    return {"Request": str(uuid.uuid4()), "Result": "SUCCESS", "Due": int(moment * 1e6), "More": _FILLER}


class Requests:
    """Publishes requests to post, each to the next of the receivers."""

    def __init__(self, producer: AIOKafkaProducer, receivers: int) -> None:
        self._producer = producer
        self._receivers = receivers
        self._number = 0

    async def publish(self, count: int, rate: float | None = None, only: int | None = None) -> None:
        """Publish ``count`` at ``rate`` a second, delivered or not; without a rate at once; ``only`` to that one."""
        began, sent, waiting = time.monotonic() + 0.01, 0, []
        while sent < count:
            now = time.monotonic()
            due = now if rate is None else began + sent / rate
            if due > now:
                await asyncio.sleep(PAUSE_SECONDS)
                continue
            waiting.append(await self._send(due, only))
            sent += 1
            if len(waiting) > _MOST_UNDER_WAY:
                await asyncio.gather(*waiting)
                waiting.clear()
        await asyncio.gather(*waiting)

    async def _send(self, due: float, only: int | None) -> Any:
        receiver = domain(self._number % self._receivers if only is None else only)
        self._number += 1
        number = str(uuid.uuid4())
        data = {"to": receiver, "subject": "LocatorVerified@Domain", "body": body(due), "order_key": number}
        event = CloudEvent(id=number, source="//id.example/bench", type=PostRequested.type, data=orjson.dumps(data))
        return await self._producer.send(
            PostRequested.topic, event.data, key=receiver.encode(), headers=event.to_headers()
        )
