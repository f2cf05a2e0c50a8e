"""One endpoint for every AWS client: the emulated Rekognition, and moto for the other services.

`AWS_ENDPOINT_URL=http://127.0.0.1:N` is all that a boto3 client needs. moto's own Rekognition, whose CompareFaces
matches any bytes with any bytes, is replaced where moto chooses its backends, so no request can reach it.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from typing import TYPE_CHECKING

import click
import uvloop

from emulators.inline_wsgi import serve
from emulators.moto_services import MotoObjectStore, MotoServices
from emulators.rekognition import SIDE_DOOR_PREFIX, TARGET_PREFIX, Rekognition

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

_MOST_BODY_BYTES = 64 * 1024 * 1024
_BACKLOG = 1024


class Endpoint:
    """Dispatches a request by its target header or path; moto looks at its signature for the rest."""

    def __init__(self) -> None:
        s3_lock = threading.Lock()
        self._rekognition = Rekognition(MotoObjectStore(s3_lock))
        self._moto = MotoServices(self._rekognition, s3_lock)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one HTTP request."""
        for_rekognition = environ.get("HTTP_X_AMZ_TARGET", "").startswith(TARGET_PREFIX)
        if for_rekognition or environ.get("PATH_INFO", "").startswith(SIDE_DOOR_PREFIX):
            return self._rekognition(environ, start_response)
        return self._moto(environ, start_response)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(0, 65535), default=0, show_default="any free one")
def main(host: str, port: int) -> None:
    """Serve the emulated AWS until SIGTERM or SIGINT."""
    try:
        bound = socket.create_server((host, port), backlog=_BACKLOG, reuse_port=False)
    except OSError as error:
        raise click.ClickException(f"cannot listen on {host}:{port}: {error.strerror}") from None
    # State is in memory only: an orderly end would just wait for idle connections.
    for stop in (signal.SIGTERM, signal.SIGINT):
        signal.signal(stop, lambda *_: os._exit(0))
    click.echo(f"aws: ready on http://{host}:{bound.getsockname()[1]}")
    uvloop.run(serve(Endpoint(), bound, _MOST_BODY_BYTES))


if __name__ == "__main__":
    main()
