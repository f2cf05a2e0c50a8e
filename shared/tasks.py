"""How tasks end."""

import asyncio
from collections.abc import Iterable
from typing import Any, Final

_AGAIN_SECONDS: Final = 0.5


async def end_tasks(tasks: Iterable[asyncio.Task[Any]], *, again_seconds: float = _AGAIN_SECONDS) -> None:
    """Cancel tasks and wait until all have ended; how they ended is for nobody to know any more.

    They are cancelled again while they go on: before Python 3.12, ``asyncio.wait_for`` forgets a cancellation that
    comes together with its result (CPython issue 86296), and libraries that are called here use it.
    """
    running = set(tasks)
    while running:
        for task in running:
            task.cancel()
        ended, running = await asyncio.wait(running, timeout=again_seconds)
        await asyncio.gather(*ended, return_exceptions=True)
