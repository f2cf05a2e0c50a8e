"""The embedded Kafka broker: librdkafka's mock cluster, one node, on a port of its own choice.

It is the real wire protocol, with limits that a caller must know (measured with librdkafka 2.16.0):
a topic comes to be when its metadata are first asked for, always with 4 partitions; the admin client cannot create one,
because the node says that there is no controller; a partition keeps its newest 5 MiB; nothing survives the process.
Before it stands a relay, which lets a Fetch that finds nothing wait for something: `emulators.kafka_relay`.
"""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
import threading
from pathlib import Path

import click
import uvloop
from confluent_kafka import KafkaException, Producer

from emulators.kafka_relay import Relay

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
        self._relay = Relay(f"{nodes[0].host}:{nodes[0].port}")
        self._listening = threading.Event()
        self._failure: BaseException | None = None
        threading.Thread(target=self._run_relay, name="relay", daemon=True).start()
        if not self._listening.wait(_START_SECONDS) or self._failure is not None:
            raise BrokerError(f"the embedded Kafka broker does not listen: {self._failure}")
        self.address = self._relay.address
        """host:port to bootstrap from; always 127.0.0.1."""

    def _run_relay(self) -> None:
        async def relay() -> None:
            await self._relay.start()
            self._listening.set()
            await asyncio.Event().wait()

        try:
            uvloop.run(relay())
        except OSError as error:
            self._failure = error
            self._listening.set()


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
