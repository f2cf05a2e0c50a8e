"""The router's own CPU a message: decode, map, claim, publish, without the store's and the broker's clients.

    python -m bench.router --messages 20000
    python -m bench.router --whole --messages 12000     a process of its own, with both clients (bench.router_whole)

Store and broker are replaced by ones that take everything at once, so the figure is the router's part alone; what
claims cost beside it is DynamoDB's client (``--claims`` measures them against the endpoint AWS_ENDPOINT_URL names).
"""

import argparse
import asyncio
import time
import uuid
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from aiokafka.structs import ConsumerRecord

from services.inbox.claims import Claim, Claims
from services.inbox.endpoint_reload import DEFAULT_FILE, CurrentMap
from services.inbox.router import Router, decode_accepted
from shared.broker import Publisher
from shared.cloudevents import CloudEvent, parse_record
from shared.envelope import seal
from shared.events import INBOX_ACCEPTED_TOPIC, INBOX_ACCEPTED_TYPE
from shared.generation import Generation
from shared.keys import SigningKey
from shared.received import Received
from shared.settings import KafkaSettings, StoreSettings
from shared.stores import Aws, Tables

BATCH = 500


class _AllHeld(Claims):
    """Claims that all hold."""

    async def claim(self, claims: Sequence[Claim]) -> set[str]:
        return {claim.owner for claim in claims}


class _Nowhere(Publisher):
    """Takes every record at once."""

    async def send_all(self, records: Iterable[Any]) -> None:
        for _ in records:
            pass


def _records(count: int) -> list[Any]:
    key = SigningKey.generate("pw1")
    made = []
    for number in range(count):
        message = seal(
            generation=Generation.NLWEB,
            sender="shop.example",
            receiver="id.example",
            subject="VerifyLocator@Identity",
            body={"Locator": f"loc-{number}", "Purpose": "x" * 200},
            correlation=str(uuid.uuid4()),
            timestamp=datetime.now(UTC),
            key=key,
        )
        event = CloudEvent(str(number), "//id.example/inbox", INBOX_ACCEPTED_TYPE, message, subject="x")
        headers = tuple(event.to_headers())
        made.append(ConsumerRecord(INBOX_ACCEPTED_TOPIC, 0, number, 0, 0, b"k", message, None, 1, 1, headers))
    return made


async def _measure(count: int, *, claims: bool) -> float:
    records = _records(count)
    aws = Aws(StoreSettings())
    held = Claims(Tables(aws, StoreSettings())) if claims else _AllHeld(Tables(aws, StoreSettings()))
    publisher = _Nowhere(KafkaSettings(kafka_bootstrap="127.0.0.1:1"), "//id.example/inbox")
    router = Router(claims=held, publisher=publisher, endpoints=CurrentMap(DEFAULT_FILE), claim_hours=72.0)
    began = time.process_time()
    for start in range(0, count, BATCH):
        batch = []
        for record in records[start : start + BATCH]:
            event = parse_record(record.headers, record.value)
            batch.append(Received(decode_accepted(event), event, record))
        await router.route(batch)
    aws.close()
    return (time.process_time() - began) / count * 1e6


def main() -> None:
    """Print microseconds of CPU a message, the median of three runs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--claims", action="store_true")
    parser.add_argument("--whole", action="store_true")
    options = parser.parse_args()
    if options.whole:
        from bench.router_whole import report  # noqa: PLC0415 - the plain bench needs none of it

        print(report(_records(options.messages)))
        return
    runs = sorted(asyncio.run(_measure(options.messages, claims=options.claims)) for _ in range(3))
    print(f"router: {runs[1]:.0f} µs CPU a message (best {runs[0]:.0f}), {1e6 / runs[1]:.0f}/s a core")


if __name__ == "__main__":
    main()
