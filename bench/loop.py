"""Own time of a verification: from the accepted message to the delivered answer, the person and the camera taken out.

    python -m bench.loop                          embedded broker and emulated DynamoDB, 10 verifications a second
    python -m bench.loop --kafka HOST:PORT        a real Kafka
    python -m bench.loop --dynamodb URL           a real DynamoDB or DynamoDB Local

Beside it stands what the same machine needs in the same run for the parts alone: the hops through Kafka and the calls
to the store that a verification makes, one after the other, with nothing around them.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from bench.load import SUCCESS, Load, percentile
from cli.demo_run import DemoSystem
from cli.local_aws import LOCAL_ENVIRONMENT, LocalAws
from cli.peers import Peers, start_peers
from cli.supervisor import Supervisor
from cli.system_file import System
from cli.workbench import Workbench
from shared.settings import StoreSettings
from shared.stores import Item, Put, Tables
from shared.tables import CLAIMS, create_tables

# What one verification does one after the other between the two ends: hops through topics, calls to the store.
HOPS: Final = 7
STORE_CALLS: Final = 8


def main() -> int:
    """Run the benchmark; exit code 1 when the gate on the embedded system is missed."""
    parser = argparse.ArgumentParser(
        prog="bench.loop", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rate", type=float, default=10.0, help="verifications a second")
    parser.add_argument("--count", type=int, default=150, help="verifications in each run")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--kafka", help="host:port of a real Kafka; the embedded broker when left out")
    parser.add_argument("--dynamodb", help="URL of a DynamoDB; the emulated one when left out")
    parser.add_argument("--gate", type=float, default=150.0, help="p95 in milliseconds that must not be exceeded")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    figures = measure(options.rate, options.count, options.runs, kafka=options.kafka, dynamodb=options.dynamodb)
    print(json.dumps(figures) if options.json else _text(figures))
    return 0 if figures["p95_milliseconds"] <= options.gate else 1


def measure(
    rate: float, count: int, runs: int, *, kafka: str | None = None, dynamodb: str | None = None
) -> dict[str, Any]:
    """Return the figures: the median over the runs of p50, p95 and p99 in milliseconds, and the limit beside them."""
    stores = StoreSettings()
    settings = {"FACESCAN_LOG_LEVEL": "WARNING"}
    with ExitStack() as open_parts:
        if dynamodb is not None:
            settings["AWS_ENDPOINT_URL_DYNAMODB"] = dynamodb
            _make_tables(stores, dynamodb)
        directory = Path(open_parts.enter_context(tempfile.TemporaryDirectory(prefix="facescan-bench-")))
        workbench = open_parts.enter_context(Workbench(directory, kafka=kafka, settings=settings))
        system = workbench.system
        peers = start_peers(open_parts.enter_context(Supervisor()), system)
        aws = _Split(stores, system.aws, dynamodb or system.aws)
        where = DemoSystem(system.kafka, system.inbox, peers, system.domain, aws, stores, system.verification_seconds)
        return asyncio.run(_measure(where, system, rate, count, runs))


async def _measure(where: DemoSystem, system: System, rate: float, count: int, runs: int) -> dict[str, Any]:
    results = []
    async with Peers(where.peers) as peers:
        load = Load(where, peers)
        await load.enrol((SUCCESS,))
        await load.run(int(rate), rate)  # warm-up
        for _ in range(runs):
            cpu = _cpu_seconds(system)
            verified = await load.run(count, rate)
            cpu = _cpu_seconds(system) - cpu
            wrong = [one for one in verified if one.results != [one.role.expected]]
            own = [one.own_milliseconds for one in verified if one.own_milliseconds is not None]
            results.append((own, len(wrong), cpu / count * 1000))
    limit = await _limit(where)
    return {
        "rate_per_second": rate,
        "count": count,
        "runs": runs,
        "wrong": sum(wrong for _, wrong, _ in results),
        "p50_milliseconds": round(median(percentile(own, 0.50) for own, _, _ in results), 1),
        "p95_milliseconds": round(median(percentile(own, 0.95) for own, _, _ in results), 1),
        "p99_milliseconds": round(median(percentile(own, 0.99) for own, _, _ in results), 1),
        "services_cpu_milliseconds_each": round(median(cpu for _, _, cpu in results), 1),
        "limit_milliseconds": round(limit, 1),
        "memory_mebibytes": {name: round(_resident(pid), 1) for name, pid in system.pids.items()},
    }


async def _limit(where: DemoSystem) -> float:
    """Return the milliseconds of the parts alone: so many produce-and-fetch hops and conditional writes in a row."""
    topic = TopicPartition("facescan.verdict.reached", 0)
    embedded = where.kafka
    producer = AIOKafkaProducer(bootstrap_servers=embedded, acks="all", enable_idempotence=True)
    consumer = AIOKafkaConsumer(bootstrap_servers=embedded)
    await producer.start()
    await consumer.start()
    tables = Tables(where.aws, where.stores)
    taken = []
    try:
        consumer.assign([topic])
        await consumer.seek_to_end(topic)
        for number in range(20):
            began = time.perf_counter()
            for _ in range(HOPS):
                await producer.send_and_wait(topic.topic, b"x" * 500, partition=0)
                while not await consumer.getmany(timeout_ms=1000):
                    pass
            for call in range(STORE_CALLS):
                key = f"limit-{began}-{number}-{call}"
                item: Item = {"message": key, "owner": "limit", "expires_at": int(time.time()) + 60}
                await tables.put(Put(CLAIMS.name, item, unless_exists="message"))
            taken.append((time.perf_counter() - began) * 1000)
    finally:
        await consumer.stop()
        await producer.stop()
    return median(taken)


class _Split(LocalAws):
    """The emulated AWS with another DynamoDB."""

    def __init__(self, settings: StoreSettings, url: str, dynamodb: str) -> None:
        super().__init__(settings, url)
        self._dynamodb = LocalAws(settings, dynamodb)

    def client(self, service: str) -> Any:
        """Return the client of ``service`` at its endpoint."""
        return self._dynamodb.client(service) if service == "dynamodb" else super().client(service)


def _make_tables(stores: StoreSettings, dynamodb: str) -> None:
    class Only(LocalAws):
        def client(self, service: str) -> Any:
            return super().client(service) if service == "dynamodb" else _NoBucket()

    create_tables(Only(stores, dynamodb), stores)


class _NoBucket:
    """Stands for S3 where only tables are made."""

    class meta:  # noqa: N801 - boto3's name
        region_name = LOCAL_ENVIRONMENT["AWS_REGION"]

    def __getattr__(self, _name: str) -> Any:
        return lambda **_: {}


def _cpu_seconds(system: System) -> float:
    ticks = 0
    for pid in system.pids.values():
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])  # utime, stime (proc(5))
    return ticks / os.sysconf("SC_CLK_TCK")


def _resident(pid: int) -> float:
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def _text(figures: dict[str, Any]) -> str:
    return """\
own time of a verification at {rate_per_second:g}/s, median of {runs} runs of {count}:
  p50 {p50_milliseconds} ms, p95 {p95_milliseconds} ms, p99 {p99_milliseconds} ms; wrong or missing answers: {wrong}
the parts alone, one after the other ({hops} hops, {calls} writes): {limit_milliseconds} ms
CPU of the four services for one verification: {services_cpu_milliseconds_each} ms
resident memory in MiB under load: {memory}""".format(
        hops=HOPS,
        calls=STORE_CALLS,
        memory=", ".join(f"{name} {size}" for name, size in figures["memory_mebibytes"].items()),
        **{name: value for name, value in figures.items() if name != "memory_mebibytes"},
    )


if __name__ == "__main__":
    sys.exit(main())
