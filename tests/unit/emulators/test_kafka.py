from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

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
        consumer = AIOKafkaConsumer(
            "born.when.asked", bootstrap_servers=address, auto_offset_reset="earliest", fetch_max_wait_ms=10
        )
        await consumer.start()
        async with asyncio.timeout(10):
            record = await consumer.getone()
        assert (record.key, record.value) == (b"key", b"value")
        # A client is still connected: the end must not wait for it.
        began = time.perf_counter()
        process.terminate()
        assert await asyncio.to_thread(process.wait, 5) == 0
        assert time.perf_counter() - began < 1
        await consumer.stop()
