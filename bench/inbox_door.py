"""The front door in a process of its own, as the inbox has it, without the router behind the log: for ``bench.inbox``.

    python -m bench.inbox_door KAFKA RECORD [limits]

RECORD is the key record that every name is answered with; it is looked up once and then in the cache, as a sender's
key is. Rates are not limited but with ``limits``, which are the settings' defaults; then X-Forwarded-For is believed.
Says ``listening on HOST:PORT``; ends on SIGTERM.
"""

import asyncio
import gc
import signal
import sys

import uvloop

from bench.door_in_process import UNLIMITED, OneKey, a_door
from services.inbox.settings import InboxSettings
from shared.broker import Publisher
from shared.settings import KafkaSettings
from shared.telemetry import set_up_logs


async def serve(kafka: str, record: str, limits: str = "") -> None:
    """Answer until told to end."""
    publisher = Publisher(KafkaSettings(kafka_bootstrap=kafka), "//id.example/inbox")
    await publisher.start()
    changed = {"trusted_proxies": "127.0.0.0/8"} | {
        name: InboxSettings.model_fields[name].default for name in UNLIMITED
    }
    server = a_door(OneKey(lambda: record), publisher, largest_body_bytes=65536, **(changed if limits else {}))
    await server.start()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    gc.collect()
    gc.freeze()
    print(f"listening on {server.address}", flush=True)
    await stop.wait()
    await server.stop()
    await publisher.stop()


if __name__ == "__main__":
    set_up_logs("inbox", "INFO")
    uvloop.run(serve(*sys.argv[1:4]))
