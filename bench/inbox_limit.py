"""The least that a door can do: read the JSON, check the hash and the signature, append, answer. For ``bench.inbox``.

    python -m bench.inbox_limit KAFKA RECORD

No bounds, no rates, no checks of anything, one known key, a parser of HTTP that believes everything. What the front
door costs more is what its promises cost. Same event loop, Kafka client, crypto and options as the door's.
"""

import asyncio
import base64
import gc
import hashlib
import signal
import sys
from typing import Any

import orjson
import uvloop
from aiokafka import AIOKafkaProducer

from shared.events import INBOX_ACCEPTED_TOPIC
from shared.keys import PublicKey, usable_keys, verify_signature
from shared.settings import KafkaSettings

_TAKEN = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
_REFUSED = b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n"


class _Bare(asyncio.Protocol):
    def __init__(self, key: PublicKey, producer: AIOKafkaProducer) -> None:
        self._key = key
        self._producer = producer
        self._received = b""
        self._transport: Any = None
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if found and len(body) >= int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0]):
            self._received = b""
            self._task = asyncio.get_running_loop().create_task(self._take(body))

    async def _take(self, body: bytes) -> None:
        message = orjson.loads(body)
        signed = {"Body": message["Body"], "Header": message["Header"]}
        canonical = orjson.dumps(signed, option=orjson.OPT_SORT_KEYS)
        if hashlib.sha256(canonical).hexdigest() != message["Hash"] or not verify_signature(
            self._key, base64.b64decode(message["Signature"]), canonical
        ):
            self._transport.write(_REFUSED)
            return
        appended = await self._producer.send(
            INBOX_ACCEPTED_TOPIC, body, key=message["Header"]["Correlation"].encode(), headers=[]
        )
        await appended
        self._transport.write(_TAKEN)


async def serve(kafka: str, record: str) -> None:
    """Answer until told to end."""
    settings = KafkaSettings(kafka_bootstrap=kafka)
    producer = AIOKafkaProducer(
        bootstrap_servers=kafka, acks="all", enable_idempotence=True, linger_ms=settings.kafka_linger_milliseconds
    )
    await producer.start()
    (key,) = usable_keys([record])
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Bare(key, producer), "127.0.0.1", 0)
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    gc.collect()
    gc.freeze()
    print(f"listening on 127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await stop.wait()
    server.close()
    await producer.stop()


if __name__ == "__main__":
    uvloop.run(serve(*sys.argv[1:3]))
