"""The least that a sender can do: sign and post with the same client, no Kafka, no retries. For ``bench.post``.

    python -m bench.post_limit WORLD COUNT RECEIVERS PEM

PEM is the file of the signing key. Posts COUNT messages, 64 at a time, and says the microseconds of its own CPU for
each, as the last word of its line.
"""

import asyncio
import gc
import os
import sys
import uuid
from pathlib import Path
from typing import Final

import uvloop

from bench.post_messages import body
from bench.post_receivers import domain
from services.async_post.connect_to import ConnectTo
from services.async_post.delivery import HttpDelivery
from shared.clock import now_utc
from shared.envelope import seal
from shared.generation import Generation
from shared.keys import SigningKey

_AT_ONCE: Final = 64
_WARM: Final = 1000


async def run(world: Path, count: int, receivers: int, key: SigningKey) -> float:
    """Return the microseconds of CPU for each message. Raises RuntimeError when one was not taken."""
    delivery = HttpDelivery(ConnectTo(world), timeout_seconds=10)
    numbers = iter(range(_WARM + count))

    async def post_some(end: int) -> None:
        for number in numbers:
            receiver = domain(number % receivers)
            message = seal(
                generation=Generation.NLWEB,
                sender="id.example",
                receiver=receiver,
                subject="LocatorVerified@Domain",
                body=body(),
                correlation=str(uuid.uuid4()),
                timestamp=now_utc(),
                key=key,
            )
            answer = await delivery.post(receiver, Generation.NLWEB, message.decode())
            if answer.status != 200:
                raise RuntimeError(f"not taken: {answer}")
            if number >= end - 1:
                return

    await asyncio.gather(*(post_some(_WARM) for _ in range(_AT_ONCE)))
    gc.collect()
    gc.freeze()
    before = os.times()
    await asyncio.gather(*(post_some(_WARM + count) for _ in range(_AT_ONCE)))
    after = os.times()
    await delivery.close()
    return (after.user + after.system - before.user - before.system) / count * 1e6


if __name__ == "__main__":
    folder, messages, inboxes, pem = sys.argv[1:5]
    signing = SigningKey.from_pem("pw1", Path(pem).read_text())
    print(f"microseconds {uvloop.run(run(Path(folder), int(messages), int(inboxes), signing)):.0f}", flush=True)
