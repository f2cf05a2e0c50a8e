"""What a cluster's Service is to its clients: one address, whose new connections go to the ready replicas in turn."""

import asyncio
import threading
from collections.abc import Coroutine
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

Address = tuple[str, int]

_CONNECT_SECONDS = 2.0


class Balancer:
    """Listens at ``address``; ``admit`` and ``withdraw`` replicas. Connections that are open stay where they are."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._replicas: list[Address] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="balancer", daemon=True)
        self._server: asyncio.Server | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = self._run(asyncio.start_server(self._serve, *self._address))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def admit(self, replica: Address) -> None:
        """Send a share of the new connections to a replica."""
        self._loop.call_soon_threadsafe(self._replicas.append, replica)

    def withdraw(self, replica: Address) -> None:
        """Send no new connection there."""
        self._run(self._withdraw(replica))

    async def _withdraw(self, replica: Address) -> None:
        self._replicas.remove(replica)

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=10)

    async def _close(self) -> None:
        assert self._server is not None
        self._server.close()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            for _ in range(len(self._replicas)):
                self._replicas.append(self._replicas.pop(0))
                with suppress(OSError, TimeoutError):
                    async with asyncio.timeout(_CONNECT_SECONDS):
                        there = await asyncio.open_connection(*self._replicas[-1])
                    break
            else:
                return
            await asyncio.gather(_pass_on(reader, there[1]), _pass_on(there[0], writer))
        finally:
            writer.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        with suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
    finally:
        writer.close()
