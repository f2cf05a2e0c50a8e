"""The front door's bench measures what it says."""

import argparse
import asyncio

from bench.inbox import beside_junk, compare, junk, started
from bench.inbox_load import OpenLoop, Request
from cli.embedded_topics import make_topics
from shared.keys import SigningKey

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
PAUSE_SECONDS = 0.5


async def test_a_server_that_stands_still_is_charged_for_the_requests_that_were_due_meanwhile() -> None:
    """A closed loop would see one slow answer for each connection; 300 requests are due in the pause."""
    stood = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(100):
            if not stood.is_set():
                await asyncio.sleep(PAUSE_SECONDS)
                stood.set()
            writer.write(ANSWER)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    heard = await OpenLoop(f"{host}:{port}").run([Request(b"x")], rate=600, count=600)
    server.close()
    assert heard.statuses == {("good", 200): 600}
    assert sum(seconds > PAUSE_SECONDS / 5 for seconds in heard.latencies["good"]) > 150


def test_the_bench_compares_the_door_with_the_limit_and_counts_junk_by_its_kind() -> None:
    options = argparse.Namespace(runs=1, rate=200.0, count=40, warm=10)
    key = SigningKey.generate("pw1")
    with started("emulators.kafka") as broker:
        asyncio.run(make_topics(broker.address))
        figures = compare(broker.address, key, options)
        found = junk(broker.address, key, options)
        beside = beside_junk(broker.address, key, options)
    assert figures["door_microseconds"] > 0
    assert figures["limit_microseconds"] > 0
    assert found.pop("signature forged")["statuses"] == [401]
    assert {status for seen in found.values() for status in seen["statuses"]} <= {401, 422}
    assert beside["answers"]["good 200"] == 40
    assert sum(times for name, times in beside["answers"].items() if name.startswith("junk ")) == 40
