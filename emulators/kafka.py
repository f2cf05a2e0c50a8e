"""The embedded Kafka broker: librdkafka's mock cluster, one node, on a port of its own choice.

It is the real wire protocol, with limits that a caller must know (measured with librdkafka 2.16.0):
a topic comes to be when its metadata are first asked for, always with 4 partitions; the admin client cannot create one,
because the node says that there is no controller; a partition keeps its newest 5 MiB; a Fetch that finds nothing
always waits the whole `fetch_max_wait_ms`, also when data arrive meanwhile; nothing survives the process.
"""

from __future__ import annotations

import os
import signal
import tempfile
from pathlib import Path

import click
from confluent_kafka import KafkaException, Producer

PARTITIONS = 4
"""Of every topic: the mock cluster's default, which the Python binding cannot change."""

_START_SECONDS = 10.0


class BrokerError(RuntimeError):
    """Raised when the embedded broker does not start."""


class EmbeddedBroker:
    """The broker lives as long as this object, inside the process."""

    def __init__(self) -> None:
        # A client configured like this starts its own cluster and replaces `bootstrap.servers` by its address.
        self._client = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "replaced", "log_level": 0})
        try:
            nodes = list(self._client.list_topics(timeout=_START_SECONDS).brokers.values())
        except KafkaException as error:
            raise BrokerError(f"the embedded Kafka broker does not start: {error}") from None
        self.address = f"{nodes[0].host}:{nodes[0].port}"
        """host:port to bootstrap from; always 127.0.0.1."""


def write_address(path: Path, address: str) -> None:
    """Write `address` so that a reader never sees half of it."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}.", delete=False) as draft:
        draft.write(address + "\n")
    Path(draft.name).chmod(0o644)  # temporary files are private, but a container reads it as another user
    Path(draft.name).replace(path)


@click.command()
@click.option("--address-file", type=click.Path(dir_okay=False, path_type=Path), help="Also write host:port here.")
def main(address_file: Path | None) -> None:
    """Run the embedded Kafka broker until SIGTERM or SIGINT."""
    stop_signals = {signal.SIGTERM, signal.SIGINT}
    # Blocked before librdkafka starts its threads, which inherit the mask: sigwait alone takes the signal.
    signal.pthread_sigmask(signal.SIG_BLOCK, stop_signals)
    try:
        broker = EmbeddedBroker()
        if address_file is not None:
            write_address(address_file, broker.address)
    except (BrokerError, OSError) as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"kafka: ready on {broker.address}")
    signal.sigwait(stop_signals)
    # Everything is in memory and dies with the process; an orderly end would only wait for connected clients.
    os._exit(0)


if __name__ == "__main__":
    main()
