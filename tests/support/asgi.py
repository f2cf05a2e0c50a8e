"""An application of a service behind the service's own HTTP server, on a free port."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from shared.http_server import HttpServer
from tests.unit.emulators.processes import free_port


@asynccontextmanager
async def serving(application: Any) -> AsyncIterator[str]:
    """Yield the URL at which ``application`` answers."""
    port = free_port()
    server = HttpServer(application, "127.0.0.1", port, variable="FACESCAN_TEST_PORT", drain_seconds=1)
    await server.start()
    try:
        await _until_it_listens(port)
        yield f"http://{server.address}"
    finally:
        await server.stop()


async def _until_it_listens(port: int) -> None:
    for _ in range(100):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except ConnectionRefusedError:
            await asyncio.sleep(0.01)
        else:
            writer.close()
            return
    raise TimeoutError(f"nobody listens on {port}")
