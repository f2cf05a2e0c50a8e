"""The router end to end: a process of its own as it is run, from the log, over claims, to the next log.

It reads a full topic of a real broker (the embedded one) and claims by DynamoDB's own client. The store at the other
end says yes to everything at once, in this process: only the router's process is under measurement.
"""

import asyncio
import os
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any, Final

import orjson
from aiokafka import AIOKafkaProducer

from bench.inbox import Server, started
from cli.embedded_topics import make_topics
from shared.events import INBOX_ACCEPTED_TOPIC
from shared.http_server import bind

_START_SECONDS: Final = 60
_ROUTED: Final = 'facescan_inbox_routed_total{outcome="routed"} '


class YesStore(asyncio.Protocol):
    """DynamoDB as far as claims need it: tables are there, every condition holds."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self._transport: Any = transport
        self._received = b""

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self._received += data
        while True:
            head, found, body = self._received.partition(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
            if not found or len(body) < length:
                return
            self._received = body[length:]
            answer = b'{"Table":{"TableStatus":"ACTIVE"}}' if b"DescribeTable" in head else b"{}"
            self._transport.write(
                b"HTTP/1.1 200 OK\r\ncontent-type: application/x-amz-json-1.0\r\ncontent-length: %d\r\n\r\n%s"
                % (len(answer), answer)
            )


async def measure(records: list[Any]) -> dict[str, Any]:
    """Return the router's CPU a message, from the first tenth to the last, and what the whole took."""
    loop = asyncio.get_running_loop()
    store = await loop.create_server(YesStore, "127.0.0.1", 0)
    with started("emulators.kafka") as broker:
        await make_topics(broker.address)
        await _fill(broker.address, records)
        with tempfile.TemporaryFile() as log, bind("127.0.0.1", 0, "FACESCAN_OPS_PORT") as free:
            ops = free.getsockname()[1]
            free.close()
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "cli.main", "run", "inbox", stderr=log,
                env=_environment(broker.address, store.sockets[0].getsockname()[1], ops),
            )  # fmt: skip
            try:
                return await _watch(Server(process.pid, ""), ops, len(records))
            except TimeoutError:
                log.seek(0)
                raise RuntimeError(f"the router does not get on: {log.read().decode()[-500:]}") from None
            finally:
                process.terminate()
                await process.wait()
                store.close()


async def _fill(kafka: str, records: list[Any]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=kafka, acks="all", max_batch_size=128 * 1024)
    await producer.start()
    for record in records:
        await producer.send(INBOX_ACCEPTED_TOPIC, record.value, key=b"%d" % record.offset, headers=list(record.headers))
    await producer.flush()
    await producer.stop()


async def _watch(server: Server, ops: int, count: int) -> dict[str, Any]:
    first = None
    async with asyncio.timeout(_START_SECONDS + count / 100):
        while True:
            await asyncio.sleep(0.2)
            routed = await asyncio.to_thread(_routed, ops)
            now = (routed, server.cpu_seconds(), time.monotonic())
            if first is None and routed > count // 10:
                first = now
            if first is not None and routed >= count:
                messages, cpu, wall = (last - begin for last, begin in zip(now, first, strict=True))
                if not messages:
                    raise RuntimeError("too few messages: all were routed before the first look")
                return {
                    "messages": messages,
                    "microseconds": round(cpu / messages * 1e6),
                    "a_second_and_core": round(messages / cpu),
                    "a_second_seen": round(messages / wall),
                }


def _routed(ops: int) -> int:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{ops}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
    except OSError:
        return 0
    return sum(int(float(line.removeprefix(_ROUTED))) for line in lines if line.startswith(_ROUTED))


def _environment(kafka: str, store: int, ops: int) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("FACESCAN_", "AWS_"))}
    return inherited | {
        "PYTHONPATH": str(Path(__file__).parent.parent),
        "AWS_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{store}",
        "FACESCAN_DOMAIN": "id.example",
        "FACESCAN_ENVIRONMENT": "development",
        "FACESCAN_INBOX_ROLES": "router",
        "FACESCAN_KAFKA_BOOTSTRAP": kafka,
        "FACESCAN_KAFKA_SESSION_TIMEOUT_SECONDS": "6",
        "FACESCAN_OPS_PORT": str(ops),
    }


def report(records: list[Any]) -> str:
    """Return the figures as one line of JSON."""
    return orjson.dumps(asyncio.run(measure(records))).decode()
