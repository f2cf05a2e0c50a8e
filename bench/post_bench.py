"""What the benches of the post share: Async Post as a process, among broker, stores, receivers and load."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

from aiokafka import AIOKafkaProducer

from bench.inbox import started
from bench.post_messages import Requests
from cli.embedded_topics import make_topics
from cli.local_aws import LOCAL_ENVIRONMENT, LocalAws
from cli.ports import free_ports
from cli.workbench_environment import base_environment
from shared.keys import SigningKey
from shared.settings import StoreSettings

_SECRET: Final = "bench/signing-key"  # noqa: S105 - the name of a secret
_PATIENCE_SECONDS: Final = 90.0
_LIMIT_SECONDS: Final = 300.0
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


def cpu_seconds(pid: int) -> float:
    """Return the user and system time that a process has used."""
    facts = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(facts[11]) + int(facts[12])) / _TICKS


def resident_mebibytes(pid: int) -> float:
    """Return what a process has in memory."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE / 2**20


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

    def __init__(self, kafka: str, aws: str, world: Path, receivers: Receivers, count: int) -> None:
        self.kafka = kafka
        self.world = world
        self.receivers = receivers
        self.count = count
        self._aws = aws
        self._environment = {
            **base_environment(),
            **LOCAL_ENVIRONMENT,
            "AWS_ENDPOINT_URL": aws,
            "FACESCAN_DOMAIN": "id.example",
            "FACESCAN_ENVIRONMENT": "development",
            "FACESCAN_KAFKA_BOOTSTRAP": kafka,
            "FACESCAN_INSTANCE": "bench",
            "FACESCAN_DEVELOPMENT_CONNECT_TO": str(world),
            "FACESCAN_KAFKA_SESSION_TIMEOUT_SECONDS": "6",
        }

    @asynccontextmanager
    async def post(self, key: SigningKey) -> AsyncIterator["Post"]:
        """Run Async Post with this key, and a producer of requests, until every receiver has had a message."""
        name = f"{_SECRET}-{time.monotonic_ns()}"
        secret = json.dumps({"selector": key.selector, "private_key": key.to_pem()})
        LocalAws(StoreSettings(), self._aws).client("secretsmanager").create_secret(Name=name, SecretString=secret)
        producer = AIOKafkaProducer(bootstrap_servers=self.kafka, acks="all")
        await producer.start()
        post = Post(self, {**self._environment, "FACESCAN_SIGNING_SECRET": name}, Requests(producer, self.count))
        try:
            # Its connections and its caches are there when the measuring begins.
            await post.requests.publish(self.count)
            await self.receivers.until(self.count)
            self.receivers.ask("figures")
            yield post
        finally:
            await producer.stop()
            await asyncio.to_thread(post.end)

    async def limit(self, key: SigningKey, count: int, rate: float | None = None) -> float:
        """Return the limit script's microseconds a message; without a rate it posts as fast as it can."""
        pem = self.world / "signing.pem"
        pem.write_text(key.to_pem())
        command = [sys.executable, "-m", "bench.post_limit", str(self.world), str(count), str(self.count), str(pem)]
        if rate is not None:
            command.append(str(rate))
        script = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
        async with asyncio.timeout(_LIMIT_SECONDS):
            said, _ = await script.communicate()
        if script.returncode:
            raise RuntimeError("the limit script failed")
        self.receivers.ask("figures")
        return float(said.split()[-1])


class Post:
    """Async Post under measurement."""

    def __init__(self, bench: Bench, environment: dict[str, str], requests: Requests) -> None:
        self._bench = bench
        self._environment = environment
        self.requests = requests
        self.start()

    def start(self) -> None:
        """Start it, or start it again."""
        environment = {**self._environment, "FACESCAN_OPS_PORT": str(free_ports(1)[0])}
        with (self._bench.world / "post.log").open("ab") as log:
            command = [sys.executable, "-m", "cli.main", "run", "async_post"]
            self._process = subprocess.Popen(command, env=environment, stderr=log)

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def kill(self) -> None:
        """End it with -9."""
        os.kill(self.pid, signal.SIGKILL)
        self._process.wait()

    def end(self) -> None:
        """End it in order."""
        self._process.terminate()
        self._process.wait(30)

    async def measure(self, count: int, rate: float | None) -> tuple[float, list[float]]:
        """Return the microseconds of CPU for each of ``count`` messages, and each one's milliseconds until it came."""
        before = cpu_seconds(self.pid)
        await self.requests.publish(count, rate)
        await self._bench.receivers.until(count)
        await asyncio.sleep(0.5)  # until they are settled and committed too
        microseconds = (cpu_seconds(self.pid) - before) / count * 1e6
        return microseconds, [late / 1000 for _, late in self._bench.receivers.ask("figures")["came"]]


@asynccontextmanager
async def surroundings(kafka: str | None, receivers: int) -> AsyncIterator[Bench]:
    """Start what stands around Async Post: the embedded broker unless ``kafka`` is given, stores, receivers."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        world = Path(folder)
        broker = kafka or stack.enter_context(started("emulators.kafka")).address
        await make_topics(broker)
        aws = stack.enter_context(started("emulators.aws", "--port", "0")).address
        commands = stack.enter_context(started("bench.post_receivers", str(world), str(receivers))).address
        yield Bench(broker, aws, world, Receivers(commands), receivers)
