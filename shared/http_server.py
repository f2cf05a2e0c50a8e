"""An HTTP server inside a service's event loop: uvicorn on a socket that was bound before anything else started."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn

from shared.errors import ConfigurationError


class _Server(uvicorn.Server):
    """Leaves the process's signals to the service, which stops its parts in order."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class HttpServer:
    """Serves an ASGI application on ``host:port``; ``variable`` is the setting to name when the port is taken."""

    def __init__(self, application: Any, host: str, port: int, *, variable: str, drain_seconds: float) -> None:
        self.address = f"{host}:{port}"
        self._socket = bind(host, port, variable)
        self._server = _Server(
            uvicorn.Config(
                application,
                interface="asgi3",
                http="httptools",
                proxy_headers=False,
                ws="none",
                lifespan="off",
                access_log=False,
                log_config=None,
                server_header=False,
                timeout_keep_alive=75,
                timeout_graceful_shutdown=int(drain_seconds),
                backlog=1024,
            )
        )
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to answer."""
        self._task = asyncio.create_task(self._server.serve([self._socket]), name=f"http {self.address}")

    async def stop(self) -> None:
        """Take no new connection, finish the requests under way within the drain time."""
        self._server.should_exit = True
        if self._task is not None:
            await self._task
        self._socket.close()


def bind(host: str, port: int, variable: str) -> socket.socket:
    """Return a socket bound to ``host:port``. Raises ConfigurationError, naming the setting ``variable``."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise ConfigurationError(f"{variable}: cannot listen on {host}:{port}: {error.strerror}") from error
    bound.set_inheritable(True)
    return bound
