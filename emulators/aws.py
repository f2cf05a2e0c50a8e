"""One endpoint for every AWS client: the emulated Rekognition, and moto for the other services.

`AWS_ENDPOINT_URL=http://127.0.0.1:N` is all that a boto3 client needs. moto's own Rekognition, whose CompareFaces
matches any bytes with any bytes, is replaced where moto chooses its backends, so no request can reach it.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import click
import uvloop

from emulators.certificates import CertificateError
from emulators.inline_wsgi import serve
from emulators.moto_services import MotoCredentials, MotoObjectStore, MotoServices
from emulators.rekognition import SIDE_DOOR_PREFIX, TARGET_PREFIX, Rekognition
from emulators.streaming_server import StreamingEndpoint, serve_streams, tls_context

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
        self.streaming = StreamingEndpoint(self._rekognition.streams, MotoCredentials())

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one HTTP request."""
        for_rekognition = environ.get("HTTP_X_AMZ_TARGET", "").startswith(TARGET_PREFIX)
        if for_rekognition or environ.get("PATH_INFO", "").startswith(SIDE_DOOR_PREFIX):
            return self._rekognition(environ, start_response)
        return self._moto(environ, start_response)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(0, 65535), default=0, show_default="any free one")
@click.option(
    "--streaming-port", type=click.IntRange(1, 65535), help="Also serve Rekognition's streaming over TLS here."
)
@click.option(
    "--world",
    type=click.Path(file_okay=False, path_type=Path),
    help="The world folder, whose authority signs the streaming endpoint's certificate.",
)
@click.option(
    "--name", "names", multiple=True, default=["127.0.0.1", "localhost"], show_default=True,
    help="A name or address in that certificate.",
)  # fmt: skip
def main(host: str, port: int, streaming_port: int | None, world: Path | None, names: tuple[str, ...]) -> None:
    """Serve the emulated AWS until SIGTERM or SIGINT."""
    if (streaming_port is None) != (world is None):
        raise click.UsageError("--streaming-port and --world belong together")
    try:
        bound = socket.create_server((host, port), backlog=_BACKLOG, reuse_port=False)
    except OSError as error:
        raise click.ClickException(f"cannot listen on {host}:{port}: {error.strerror}") from None
    # State is in memory only: an orderly end would just wait for idle connections.
    for stop in (signal.SIGTERM, signal.SIGINT):
        signal.signal(stop, lambda *_: os._exit(0))
    endpoint = Endpoint()

    async def run() -> None:
        if streaming_port is not None and world is not None:
            await serve_streams(endpoint.streaming, host, streaming_port, tls_context(world, list(names)))
        click.echo(f"aws: ready on http://{host}:{bound.getsockname()[1]}")
        await serve(endpoint, bound, _MOST_BODY_BYTES)

    try:
        uvloop.run(run())
    except (OSError, CertificateError) as error:
        raise click.ClickException(f"streaming on {host}:{streaming_port}: {error}") from None


if __name__ == "__main__":
    main()
