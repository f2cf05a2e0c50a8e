"""Asks for a verification by an event and waits for the outcome: python ask.py BOOTSTRAP LOCATOR."""

import asyncio
import json
import sys
import uuid

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer


async def ask(bootstrap: str, locator: str) -> str:
    verification_id = str(uuid.uuid4())
    event = {  # CloudEvents 1.0, structured mode
        "specversion": "1.0",
        "id": f"{verification_id}-requested",
        "source": "/bank/onboarding",
        "type": "facescan.verification.requested.v1",
        "datacontenttype": "application/json",
        "data": {"verification_id": verification_id, "locator": locator, "purpose": "open an account"},
    }
    async with (
        # Without a group every process sees every outcome, and reads from now on: so it listens before it asks.
        AIOKafkaConsumer("facescan.verdict.reached", bootstrap_servers=bootstrap) as verdicts,
        AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all") as producer,
    ):
        await verdicts.seek_to_end()
        await producer.send_and_wait(
            "facescan.verification.requested",
            json.dumps(event).encode(),
            key=verification_id.encode(),
            headers=[("content-type", b"application/cloudevents+json")],
        )
        async for record in verdicts:
            if record.key == verification_id.encode():
                return json.loads(record.value)["outcome"]
    raise RuntimeError("unreachable: a consumer has no end")


if __name__ == "__main__":
    print(asyncio.run(ask(sys.argv[1], sys.argv[2])))
