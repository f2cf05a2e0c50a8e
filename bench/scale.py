"""Whether CPU a message stays what it is when there are more processes: 1, 2 and 4 of door, router and sender.

    python -m bench.scale --kafka HOST:PORT             a backlog: what comes waits until all of it is there
    python -m bench.scale --kafka HOST:PORT --rate 25   so many messages a second to each process

On the partitions of a real Kafka, whose topics it makes. Twice the processes have twice the messages; what is
measured is the user and system time of all processes of a role for each message. A backlog's batches are full, however
many processes there are; at a rate they grow as the machine gets slower, and a message's share of them shrinks. What
a process does without any message, for as long as its backlog took, is no message's cost and is taken off. Doors
append what routers read, one signer signs what senders deliver over TLS. The routers' store says yes to every claim at
once and receivers take everything: what is measured is ours alone.
"""

import argparse
import asyncio
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Final

import uvloop
from aiokafka import AIOKafkaProducer

from bench.door_in_process import post
from bench.inbox import signed_messages, started
from bench.inbox_load import OpenLoop, Request
from bench.post_bench import Receivers, cpu_seconds
from bench.post_messages import Requests
from bench.router_whole import YesStore
from cli.local_aws import LOCAL_ENVIRONMENT, LocalAws
from cli.ports import free_ports
from cli.probe import answers_ok
from cli.workbench_environment import base_environment
from shared.keys import SigningKey
from shared.settings import StoreSettings
from shared.topics import create_topics

SIZES: Final = (1, 2, 4)
RECEIVERS: Final = 24
SECRET: Final = "bench/scale"  # noqa: S105 - the name of a secret
_PATIENCE_SECONDS: Final = 90.0
_IDLE_SECONDS: Final = 5.0
_ROUTED: Final = 'facescan_inbox_routed_total{outcome="routed"} '
_SIGNED: Final = 'facescan_published_total{topic="facescan.post.signed"} '


class Replicas:
    """Processes of one role, each with its operator's port."""

    def __init__(self, role: str, service: str, environment: Mapping[str, str], count: int, folder: Path) -> None:
        self._role = role
        self._folder = folder
        self._ports = free_ports(count)
        self._processes = []
        for port in self._ports:
            with (folder / f"{role}-{port}.log").open("wb") as log:
                command = [sys.executable, "-m", "cli.main", "run", service]
                own = {**environment, "FACESCAN_OPS_PORT": str(port)}
                self._processes.append(subprocess.Popen(command, env=own, stderr=log))

    @property
    def pids(self) -> list[int]:
        """Their process ids."""
        return [process.pid for process in self._processes]

    async def ready(self) -> None:
        """Wait until all have their partitions. Raises RuntimeError."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        for port in self._ports:
            while not await asyncio.to_thread(answers_ok, f"http://127.0.0.1:{port}/readyz"):
                if time.monotonic() > deadline:
                    said = (self._folder / f"{self._role}-{port}.log").read_text()[-500:]
                    raise RuntimeError(f"{self._role} is not ready: {said}")
                await asyncio.sleep(0.1)

    def count(self, start_of_line: str) -> int:
        """Return the sum of a counter over all of them."""
        lines = (line for port in self._ports for line in _metrics(port))
        return sum(int(float(line.removeprefix(start_of_line))) for line in lines if line.startswith(start_of_line))

    async def until(self, start_of_line: str, count: int) -> None:
        """Wait until a counter is there. Raises RuntimeError."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while (seen := self.count(start_of_line)) < count:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self._role}: {start_of_line}{seen} of {count}")
            await asyncio.sleep(0.1)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Stop them meanwhile; for less time than after which the group gives their partitions away."""
        for pid in self.pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in self.pids:
                os.kill(pid, signal.SIGCONT)

    def end(self) -> None:
        """End them in order, all at once."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.wait(60)


def _metrics(port: int) -> Sequence[str]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        lines: Sequence[str] = answer.read().decode().splitlines()
        return lines


@contextmanager
def replicas(*arguments: Any) -> Iterator[Replicas]:
    """Run replicas until they are left."""
    running = Replicas(*arguments)
    try:
        yield running
    finally:
        running.end()


class Scale:
    """What stands around the processes under measurement."""

    def __init__(self, kafka: str, folder: Path, receivers: Receivers, options: argparse.Namespace) -> None:
        self._kafka = kafka
        self._folder = folder
        self._receivers = receivers
        self._rate = options.rate
        self._messages = options.messages
        self._warm = options.messages // 4
        self._key = SigningKey.generate("pw1")
        # Messages of its own for each door: two copies in one batch would be told apart before the store is asked.
        self._requests = [
            [Request(post(one)) for one in signed_messages(self._key, self._messages)]
            for _ in range(max(options.sizes))
        ]

    def environment(self, aws: str, **settings: str) -> dict[str, str]:
        """Return a process's environment; settings without their prefix."""
        return {
            **base_environment(),
            **LOCAL_ENVIRONMENT,
            "AWS_ENDPOINT_URL": aws,
            "FACESCAN_DOMAIN": "id.example",
            "FACESCAN_ENVIRONMENT": "development",
            "FACESCAN_KAFKA_BOOTSTRAP": self._kafka,
            **{f"FACESCAN_{name.upper()}": value for name, value in settings.items()},
        }

    async def doors_and_routers(self, count: int) -> dict[str, float]:
        """Return microseconds a message of ``count`` doors, and of as many routers behind them."""
        store = await asyncio.get_running_loop().create_server(YesStore, "127.0.0.1", 0)
        environment = self.environment(f"http://127.0.0.1:{store.sockets[0].getsockname()[1]}", inbox_roles="router")
        with ExitStack() as parts:
            doors = [
                parts.enter_context(started("bench.inbox_door", self._kafka, self._key.record)) for _ in range(count)
            ]
            routers = parts.enter_context(replicas("router", "inbox", environment, count, self._folder))
            await routers.ready()
            await self._through(doors, routers, self._warm)  # connections and caches are there when it begins
            pids = {"door": [door.pid for door in doors], "router": routers.pids}
            spent = await self._spent(pids, self._through(doors, routers, self._messages))
        store.close()
        return {role: seconds / (self._messages * count) * 1e6 for role, seconds in spent.items()}

    async def _spent(self, pids: Mapping[str, Sequence[int]], work: Coroutine[Any, Any, None]) -> dict[str, float]:
        """Return the CPU seconds of each role for ``work``; of a backlog without what they do when nothing is done."""

        def now() -> dict[str, float]:
            return {role: sum(map(cpu_seconds, of_role)) for role, of_role in pids.items()}

        began, before = time.monotonic(), now()
        await work
        await asyncio.sleep(0.5)  # until all is settled and committed too
        seconds, after = time.monotonic() - began, now()
        if self._rate:
            return {role: after[role] - before[role] for role in pids}
        await asyncio.sleep(_IDLE_SECONDS)
        idle = {role: (spent - after[role]) / _IDLE_SECONDS for role, spent in now().items()}
        return {role: after[role] - before[role] - idle[role] * seconds for role in pids}

    async def _through(self, doors: Sequence[Any], routers: Replicas, each: int) -> None:
        """Send ``each`` messages to each door and wait until all are routed."""
        wanted = routers.count(_ROUTED) + each * len(doors)
        with nullcontext() if self._rate else routers.held():
            loops = zip(doors, self._requests, strict=False)
            await asyncio.gather(*(OpenLoop(one.address).run(own, self._rate or math.inf, each) for one, own in loops))
        await routers.until(_ROUTED, wanted)

    async def senders(self, count: int, aws: str) -> dict[str, float]:
        """Return microseconds a message of ``count`` senders behind one signer."""
        common = {"signing_secret": SECRET, "development_connect_to": str(self._folder)}
        producer = AIOKafkaProducer(bootstrap_servers=self._kafka, acks="all", linger_ms=2)
        await producer.start()
        requests = Requests(producer, RECEIVERS)
        with ExitStack() as parts:
            parts.callback(lambda: self._receivers.ask("figures"))
            signer = self.environment(aws, post_roles="signer,delayer", **common)
            sender = self.environment(aws, post_roles="sender", **common)
            signers = parts.enter_context(replicas("signer", "async_post", signer, 1, self._folder))
            senders = parts.enter_context(replicas("sender", "async_post", sender, count, self._folder))
            await asyncio.gather(signers.ready(), senders.ready())
            await self._post(requests, signers, senders, self._warm)
            work = self._post(requests, signers, senders, self._messages)
            spent = await self._spent({"sender": senders.pids}, work)
        await producer.stop()
        return {"sender": spent["sender"] / (self._messages * count) * 1e6}

    async def _post(self, requests: Requests, signers: Replicas, senders: Replicas, each: int) -> None:
        """Let each sender have ``each`` messages and wait until all have come."""
        self._receivers.ask("figures")
        count = len(senders.pids)
        signed = signers.count(_SIGNED) + each * count
        with nullcontext() if self._rate else senders.held():
            await requests.publish(each * count, self._rate * count if self._rate else None)
            await signers.until(_SIGNED, signed)
        await self._receivers.until(each * count)


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Return microseconds a message by role and number of processes, and how far each is from those of one."""
    await create_topics(options.kafka)
    found: dict[str, dict[int, float]] = {}
    with tempfile.TemporaryDirectory() as name, ExitStack() as parts:
        folder = Path(name)
        aws = parts.enter_context(started("emulators.aws", "--port", "0")).address
        key = SigningKey.generate("pw1")
        secret = json.dumps({"selector": key.selector, "private_key": key.to_pem()})
        LocalAws(StoreSettings(), aws).client("secretsmanager").create_secret(Name=SECRET, SecretString=secret)
        commands = parts.enter_context(started("bench.post_receivers", name, str(RECEIVERS))).address
        scale = Scale(options.kafka, folder, Receivers(commands), options)
        for count in options.sizes:
            figures = await scale.doors_and_routers(count) | await scale.senders(count, aws)
            for role, microseconds in figures.items():
                found.setdefault(role, {})[count] = microseconds
    return {
        "rate_of_each_process": options.rate or "a backlog",
        "load_average": os.getloadavg()[0],
        "microseconds": {
            role: {count: round(value) for count, value in by_count.items()} for role, by_count in found.items()
        },
        "off_from_one_percent": {
            role: {count: round((value / by_count[options.sizes[0]] - 1) * 100) for count, value in by_count.items()}
            for role, by_count in found.items()
        },
    }


def main() -> int:
    """Measure, print JSON; exit code 1 when a figure is too far off one process's; at a rate, when it is above it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kafka", required=True, help="host:port of a real Kafka")
    parser.add_argument("--rate", type=float, help="messages a second of each process; a backlog when left out")
    parser.add_argument("--messages", type=int, default=4000, help="for each process, in each measurement")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--gate", type=float, default=15.0, help="percent by which CPU a message may differ")
    options = parser.parse_args()
    figures = uvloop.run(measure(options))
    print(json.dumps(figures, indent=1))
    off = [value for by_count in figures["off_from_one_percent"].values() for value in by_count.values()]
    return 0 if max(off if options.rate else map(abs, off)) <= options.gate else 1


if __name__ == "__main__":
    sys.exit(main())
