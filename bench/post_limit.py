"""The least that a sender can do: sign and post with the same client, no Kafka, no retries. For ``bench.post``.

    python -m bench.post_limit WORLD COUNT RECEIVERS PEM [RATE]

PEM is the file of the signing key. Posts COUNT messages, at RATE a second in an open loop or else 64 at a time, and
says the microseconds of its own CPU for each, as the last word of its line. A message costs less the more are under
way at once, so only what had the same load can be compared.
"""

import asyncio
import gc
import os
import sys
import time
import uuid
from pathlib import Path
from typing import Final

import uvloop

from bench.post_messages import PAUSE_SECONDS, body
from bench.post_receivers import domain
from services.async_post.connect_to import ConnectTo
from services.async_post.delivery import HttpDelivery
from shared.clock import now_utc
from shared.envelope import seal
from shared.generation import Generation
from shared.keys import SigningKey

_AT_ONCE: Final = 64
_WARM: Final = 1000


class Poster:
    """Signs and posts messages, each to the next of the receivers."""

    def __init__(self, world: Path, receivers: int, key: SigningKey) -> None:
        self.delivery = HttpDelivery(ConnectTo(world), timeout_seconds=10)
        self._receivers = receivers
        self._key = key

    async def post(self, number: int) -> None:
        """Post one. Raises RuntimeError when it was not taken."""
        receiver = domain(number % self._receivers)
        message = seal(
            generation=Generation.NLWEB,
            sender="id.example",
            receiver=receiver,
            subject="LocatorVerified@Domain",
            body=body(),
            correlation=str(uuid.uuid4()),
            timestamp=now_utc(),
            key=self._key,
        )
        answer = await self.delivery.post(receiver, Generation.NLWEB, message.decode())
        if answer.status != 200:
            raise RuntimeError(f"not taken: {answer}")

    async def at_once(self, count: int) -> None:
        """Post so many, 64 at a time."""
        numbers = iter(range(count))

        async def some() -> None:
            for number in numbers:
                await self.post(number)

        await asyncio.gather(*(some() for _ in range(_AT_ONCE)))

    async def in_open_loop(self, count: int, rate: float) -> None:
        """Post so many at ``rate`` a second, answered or not."""
        began = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            for number in range(count):
                wait = began + number / rate - time.monotonic()
                if wait > 0:
                    await asyncio.sleep(max(wait, PAUSE_SECONDS))
                tasks.create_task(self.post(number))


async def run(world: Path, count: int, receivers: int, key: SigningKey, rate: float | None) -> float:
    """Return the microseconds of CPU for each message. Raises RuntimeError when one was not taken."""
    poster = Poster(world, receivers, key)
    await poster.at_once(_WARM)
    gc.collect()
    gc.freeze()
    before = os.times()
    if rate is None:
        await poster.at_once(count)
    else:
        await poster.in_open_loop(count, rate)
    after = os.times()
    await poster.delivery.close()
    return (after.user + after.system - before.user - before.system) / count * 1e6


if __name__ == "__main__":
    folder, messages, inboxes, pem, *rates = sys.argv[1:]
    signing = SigningKey.from_pem("pw1", Path(pem).read_text())
    used = uvloop.run(run(Path(folder), int(messages), int(inboxes), signing, float(rates[0]) if rates else None))
    print(f"microseconds {used:.0f}", flush=True)
