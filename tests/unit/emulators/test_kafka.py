from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import confluent_kafka
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.protocol.fetch import FetchRequest_v4
from aiokafka.protocol.metadata import MetadataRequest_v1
from faststream.kafka import KafkaBroker

from shared.fetching import leave
from tests.support.readers import until
from tests.unit.emulators.processes import running

if TYPE_CHECKING:
    from pathlib import Path


async def test_what_is_produced_is_consumed_and_the_address_is_written(tmp_path: Path) -> None:
    file = tmp_path / "kafka.address"
    with running("emulators.kafka", "--address-file", str(file)) as (process, address):
        assert file.read_text().strip() == address
        producer = AIOKafkaProducer(bootstrap_servers=address, acks="all", enable_idempotence=True)
        await producer.start()
        assert await producer.partitions_for("born.when.asked") == {0, 1, 2, 3}
        await producer.send_and_wait("born.when.asked", b"value", key=b"key")
        await producer.stop()
        consumer = AIOKafkaConsumer("born.when.asked", bootstrap_servers=address, auto_offset_reset="earliest")
        await consumer.start()
        async with asyncio.timeout(10):
            record = await consumer.getone()
        assert (record.key, record.value) == (b"key", b"value")
        # A client is still connected: the end must not wait for it.
        began = time.perf_counter()
        process.terminate()
        assert await asyncio.to_thread(process.wait, 5) == 0
        assert time.perf_counter() - began < 1
        await leave(consumer)


@pytest.mark.parametrize("cancelled", [False, True], ids=["", "in a task that is cancelled"])
@pytest.mark.parametrize("framework", [False, True], ids=["a consumer", "a subscriber"])
async def test_a_reader_leaves_and_closes_its_connections_while_it_waits_for_a_broker_that_is_gone(
    framework: bool, cancelled: bool
) -> None:
    seen = asyncio.Event()

    async def read(_: object) -> None:
        seen.set()

    with running("emulators.kafka") as (process, address):
        producer = AIOKafkaProducer(bootstrap_servers=address)
        await producer.start()
        await producer.send_and_wait("left", b"1")
        await producer.stop()
        reader: Any
        if framework:
            broker = KafkaBroker(address, retry_backoff_ms=60_000)
            reader = broker.subscriber("left", auto_offset_reset="earliest")
            reader(read)
            await broker.start()
            consumer = reader.consumer
        else:
            reader = consumer = AIOKafkaConsumer(
                "left", bootstrap_servers=address, auto_offset_reset="earliest", retry_backoff_ms=60_000
            )
            await reader.start()
            await read(await consumer.getone())
        ending = consumer._client.close
        ended: list[bool] = []

        async def close() -> None:
            await ending()
            ended.append(True)

        consumer._client.close = close
        await asyncio.wait_for(seen.wait(), 10)
        await until(lambda: bool(consumer._fetcher._in_flight))
        process.kill()
        await asyncio.to_thread(process.wait, 5)
        await asyncio.sleep(0.3)  # in which the fetch fails and its wait begins

        async def until_left() -> None:
            try:
                if cancelled:
                    await asyncio.sleep(60)
            finally:
                await leave(reader)

        leaving = asyncio.create_task(until_left())
        if cancelled:
            await asyncio.sleep(0)
            leaving.cancel()
        await asyncio.wait([leaving], timeout=5)
        assert leaving.done()
        assert leaving.cancelled() is cancelled
        assert ended
        if framework:
            await broker.stop()


async def test_a_fetch_waits_as_long_as_it_may_and_no_longer_than_it_must(tmp_path: Path) -> None:
    """A record is seen when it is written, by each group, and whoever is silent meanwhile hears nothing."""
    with running("emulators.kafka", "--address-file", str(tmp_path / "address")) as (_, address):
        producer = AIOKafkaProducer(bootstrap_servers=address, acks="all", linger_ms=0)
        await producer.start()
        await producer.partitions_for("wakes")
        readers = [
            AIOKafkaConsumer("wakes", bootstrap_servers=address, auto_offset_reset="earliest", fetch_max_wait_ms=20_000)
            for _ in range(2)
        ]
        await asyncio.gather(*(reader.start() for reader in readers))
        try:
            for number in range(20):
                waiting = asyncio.gather(*(reader.getone() for reader in readers))
                await asyncio.sleep(0.05)
                await producer.send_and_wait("wakes", str(number).encode())
                async with asyncio.timeout(10):
                    records = await waiting
                assert [record.value for record in records] == [str(number).encode()] * 2
            fetched = await readers[0].getmany(timeout_ms=100)
            assert not fetched
        finally:
            await producer.stop()
            await asyncio.gather(*(reader.stop() for reader in readers))


async def test_a_fetch_of_nothing_is_answered_when_its_wait_is_over_and_what_is_asked_behind_it_after_that(
    tmp_path: Path,
) -> None:
    with running("emulators.kafka", "--address-file", str(tmp_path / "address")) as (_, address):
        host, _, port = address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        metadata = MetadataRequest_v1(["quiet"])
        fetch = FetchRequest_v4(-1, 300, 1, 1 << 20, 0, [("quiet", [(0, 0, 1 << 20)])])
        for correlation, request in ((1, metadata), (2, fetch), (3, metadata)):
            message = request.build_request_header(correlation, "raw").encode() + request.encode()
            writer.write(len(message).to_bytes(4) + message)
        answered = []
        began = time.perf_counter()
        async with asyncio.timeout(10):
            for _ in range(3):
                message = await reader.readexactly(int.from_bytes(await reader.readexactly(4)))
                answered.append((int.from_bytes(message[:4]), time.perf_counter() - began))
        assert [correlation for correlation, _ in answered] == [1, 2, 3]
        assert answered[1][1] >= 0.28
        writer.close()


async def test_librdkafka_s_own_client_reads_and_writes_through_the_relay(tmp_path: Path) -> None:
    with running("emulators.kafka", "--address-file", str(tmp_path / "address")) as (_, address):

        def write_and_read() -> list[bytes | None]:
            producer = confluent_kafka.Producer({"bootstrap.servers": address, "acks": "all"})
            consumer = confluent_kafka.Consumer(
                {"bootstrap.servers": address, "group.id": "foreign", "auto.offset.reset": "earliest"}
            )
            for number in range(100):
                producer.produce("foreign", str(number).encode(), partition=0)
            producer.flush(10)
            consumer.subscribe(["foreign"])
            found: list[bytes | None] = []
            deadline = time.monotonic() + 30
            while len(found) < 100 and time.monotonic() < deadline:
                found += [message.value() for message in consumer.consume(100, 1) if message.error() is None]
            consumer.close()
            return found

        assert await asyncio.to_thread(write_and_read) == [str(number).encode() for number in range(100)]


async def test_what_is_no_kafka_ends_its_own_connection_alone(tmp_path: Path) -> None:
    with running("emulators.kafka", "--address-file", str(tmp_path / "address")) as (_, address):
        host, _, port = address.rpartition(":")
        for nonsense in (b"GET / HTTP/1.1\r\n\r\n" * 5, b"\x00\x00\x00\x02ab", b"\xff" * 8):
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(nonsense)
            async with asyncio.timeout(10):
                assert await reader.read() == b""
            writer.close()
        producer = AIOKafkaProducer(bootstrap_servers=address)
        await producer.start()
        await producer.send_and_wait("still.there", b"x")
        await producer.stop()
