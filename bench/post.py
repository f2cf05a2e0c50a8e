"""What Async Post costs a message and how late it comes, beside the least that a sender can do, in the same run.

    python -m bench.post                     embedded broker; Ed25519 and RSA-2048, three runs of each
    python -m bench.post --kafka HOST:PORT   a Kafka that has the topics

Async Post is the service itself, signer and sender in one process. So are the limit script (``bench.post_limit``), the
receivers, each an HTTPS inbox (``bench.post_receivers``), the broker, and the load, which is this process, in an open
loop. CPU is a process's own user and system time, so it holds on a machine that has other work; latency does not.
"""

import argparse
import asyncio
import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from statistics import median
from typing import Any, Final

import uvloop
from aiokafka import AIOKafkaProducer

from bench.inbox import Server, keys, started
from bench.load import percentile
from bench.post_messages import Requests
from cli.embedded_topics import make_topics
from cli.local_aws import LOCAL_ENVIRONMENT, LocalAws
from cli.ports import free_ports
from cli.workbench_environment import base_environment
from shared.keys import SigningKey
from shared.settings import StoreSettings

_SECRET: Final = "bench/signing-key"  # noqa: S105 - the name of a secret
_PATIENCE_SECONDS: Final = 90.0


class Receivers:
    """The receivers' process, by its commands."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._file = socket.create_connection((host, int(port))).makefile("rw")

    def ask(self, command: str) -> dict[str, Any]:
        """Give a command and return its answer."""
        self._file.write(command + "\n")
        self._file.flush()
        answer: dict[str, Any] = json.loads(self._file.readline())
        return answer

    async def until(self, count: int, patience_seconds: float = _PATIENCE_SECONDS) -> None:
        """Wait until so many messages have come since the last figures. Raises RuntimeError."""
        deadline = time.monotonic() + patience_seconds
        while (came := self.ask("count")["came"]) < count:
            if time.monotonic() > deadline:
                raise RuntimeError(f"only {came} of {count} came in {patience_seconds:.0f} s")
            await asyncio.sleep(0.05)


class Bench:
    """Broker, stores, receivers and load; ``post`` runs Async Post among them."""

    def __init__(self, kafka: str, embedded: bool, aws: str, world: Path, receivers: Receivers, count: int) -> None:
        self.kafka = kafka
        self.world = world
        self.receivers = receivers
        self.count = count
        self._embedded = embedded
        self._aws = aws
        self._started = 0

    @asynccontextmanager
    async def post(self, key: SigningKey) -> AsyncIterator[tuple[Server, Requests]]:
        """Run Async Post with this key and a producer of requests, ready for work."""
        secrets = LocalAws(StoreSettings(), self._aws).client("secretsmanager")
        self._started += 1
        name = f"{_SECRET}-{key.selector}-{id(key)}-{self._started}"
        secrets.create_secret(
            Name=name, SecretString=json.dumps({"selector": key.selector, "private_key": key.to_pem()})
        )
        process = await asyncio.to_thread(self._start_post, name)
        producer = AIOKafkaProducer(bootstrap_servers=self.kafka, acks="all", linger_ms=2)
        await producer.start()
        try:
            requests = Requests(producer, self.count)
            # Every receiver once: its connection and its place in every cache are there when the measuring begins.
            await requests.publish(self.count)
            await self.receivers.until(self.count)
            self.receivers.ask("figures")
            yield Server(process, self.kafka), requests
        finally:
            await producer.stop()
            process.terminate()
            process.wait(30)

    def _start_post(self, secret: str) -> subprocess.Popen[bytes]:
        environment = {
            **base_environment(),
            **LOCAL_ENVIRONMENT,
            "AWS_ENDPOINT_URL": self._aws,
            "FACESCAN_DOMAIN": "id.example",
            "FACESCAN_ENVIRONMENT": "development",
            "FACESCAN_KAFKA_BOOTSTRAP": self.kafka,
            "FACESCAN_INSTANCE": "bench",
            "FACESCAN_SIGNING_SECRET": secret,
            "FACESCAN_DEVELOPMENT_CONNECT_TO": str(self.world),
            "FACESCAN_OPS_PORT": str(free_ports(1)[0]),
            "FACESCAN_KAFKA_SESSION_TIMEOUT_SECONDS": "6",
            **({"FACESCAN_KAFKA_FETCH_MAX_WAIT_MILLISECONDS": "10"} if self._embedded else {}),
        }
        with (self.world / f"post-{self._started}.log").open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "cli.main", "run", "async_post"], env=environment, stderr=log
            )

    def limit(self, key: SigningKey, count: int) -> float:
        """Return the limit script's microseconds a message."""
        pem = self.world / "signing.pem"
        pem.write_text(key.to_pem())
        command = [sys.executable, "-m", "bench.post_limit", str(self.world), str(count), str(self.count), str(pem)]
        said = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300).stdout
        self.receivers.ask("figures")
        return float(said.split()[-1])


async def measure(
    bench: Bench, server: Server, requests: Requests, count: int, rate: float | None
) -> tuple[float, list[float]]:
    """Return the microseconds of CPU for each of ``count`` messages, and each one's milliseconds from due to there."""
    before = server.cpu_seconds()
    await requests.publish(count, rate)
    await bench.receivers.until(count)
    await asyncio.sleep(0.5)  # until they are settled and committed too
    microseconds = (server.cpu_seconds() - before) / count * 1e6
    came = bench.receivers.ask("figures")["came"]
    return microseconds, [late / 1000 for _, late in came]


async def compare(bench: Bench, key: SigningKey, options: argparse.Namespace) -> dict[str, Any]:
    """Return both CPU figures a message (medians of the runs), and the p95 at half of what a core takes."""
    post, limit, p95s = [], [], []
    for _ in range(options.runs):
        limit.append(bench.limit(key, options.count))
        async with bench.post(key) as (server, requests):
            await measure(bench, server, requests, options.warm, options.rate or None)
            microseconds, _ = await measure(bench, server, requests, options.count, options.rate or None)
            post.append(microseconds)
            _, late = await measure(bench, server, requests, options.count, 0.5e6 / microseconds)
            p95s.append(percentile(late, 95))
    return {
        "post_microseconds": round(median(post)),
        "limit_microseconds": round(median(limit)),
        "post_runs": [round(value) for value in post],
        "limit_runs": [round(value) for value in limit],
        "ratio": round(median(limit) / median(post), 2),
        "a_second_and_core": round(1e6 / median(post)),
        "p95_milliseconds_at_half_load": round(median(p95s), 1),
        "p95_runs": [round(value, 1) for value in p95s],
    }


async def run(options: argparse.Namespace) -> dict[str, Any]:
    """Start what stands around Async Post and measure."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        world = Path(folder)
        kafka = options.kafka or stack.enter_context(started("emulators.kafka")).address
        await make_topics(kafka)
        aws = stack.enter_context(started("emulators.aws", "--port", "0")).address
        receivers = stack.enter_context(started("bench.post_receivers", str(world), str(options.receivers)))
        bench = Bench(kafka, options.kafka is None, aws, world, Receivers(receivers.address), options.receivers)
        wanted = keys()
        if options.key:
            wanted = {options.key: wanted[options.key]}
        return {name: await compare(bench, key, options) for name, key in wanted.items()}


def main() -> int:
    """Run the benchmark; exit code 1 when Async Post is further from the limit than the gate allows."""
    parser = argparse.ArgumentParser(
        prog="bench.post", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument(
        "--rate", type=float, default=1500.0, help="messages a second while CPU is measured; 0: a backlog"
    )
    parser.add_argument("--count", type=int, default=6000, help="messages in each run")
    parser.add_argument("--warm", type=int, default=1000, help="messages before each run that are not counted")
    parser.add_argument("--receivers", type=int, default=200)
    parser.add_argument("--key", choices=["Ed25519", "RSA-2048"], help="this kind of key alone")
    parser.add_argument("--kafka", help="host:port of a Kafka that has the topics; the embedded broker when left out")
    parser.add_argument("--gate", type=float, default=0.65, help="least ratio of the limit's CPU to the post's")
    options = parser.parse_args()
    figures = uvloop.run(run(options))
    print(json.dumps(figures, indent=1))
    return 0 if all(figure["ratio"] >= options.gate for figure in figures.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
