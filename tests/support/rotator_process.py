"""One rotation by the real parts that the settings name, in a process that a test may kill: ``python -m …``.

Goes on with what is under way; begins a new key when the ring's active one is the selector given. Ends when nothing is
on its way and nothing retires.
"""

import asyncio
import logging
import os
import sys

from services.async_post.key_settings import KeySettings
from services.async_post.ring import State
from services.async_post.ring_store import RingStore
from services.async_post.rotation_parts import rotator
from shared.core_dumps import forbid_core_dumps
from shared.settings import load
from shared.stores import Aws
from shared.telemetry import set_up_logs


async def rotate(replaced: str) -> None:
    """Rotate until ``replaced`` is retired and another key is active."""
    settings = load(KeySettings)
    aws = Aws(settings)
    store, moves = RingStore(aws, settings.signing_secret), rotator(aws, settings)
    while True:
        ring = (await store.read()).ring
        active = ring.active
        if active is not None and active.selector != replaced and not any(k.state is State.RETIRING for k in ring.keys):
            break
        begin = active is not None and active.selector == replaced and ring.coming is None
        progress = await moves.step(begin=begin)
        if not progress.done:
            await asyncio.sleep(min(max(progress.wait_seconds, 0.01), 0.1))
    aws.close()


if __name__ == "__main__":
    forbid_core_dumps()
    set_up_logs("rotator", os.environ.get("FACESCAN_LOG_LEVEL", "DEBUG"))
    logging.getLogger(__name__).debug("rotator starts")
    asyncio.run(rotate(sys.argv[1]))
