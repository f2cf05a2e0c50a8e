"""Rotation after rotation while messages are signed, and receivers that remember DNS for as long as it says."""

import asyncio
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import dns.asyncquery
import dns.message
import dns.rdatatype
import orjson

from emulators.envelopes import verify
from services.async_post.key_ring import KeyRing
from services.async_post.records import RecordWriter
from services.async_post.ring import Algorithm, State
from services.async_post.ring_store import RingStore
from services.async_post.rotation import Rotator
from services.async_post.timing import Timing
from services.async_post.world import World
from shared.clock import now_utc
from shared.envelope import key_name, seal
from shared.errors import UnavailableError
from shared.generation import Generation
from shared.resolver import ValidatingResolver
from shared.stores import Aws
from shared.tasks import end_tasks
from tests.support.readers import until_async


class Receiver:
    """Verifies with what a resolver says, and keeps every answer, also that there is none, for its time to live."""

    def __init__(self, resolver: str) -> None:
        self._host, _, self._port = resolver.rpartition(":")
        self._kept: dict[str, tuple[float, str]] = {}
        self.verified = 0
        self.refused: list[str] = []

    async def look(self, name: str) -> str:
        kept = self._kept.get(name)
        if kept is not None and time.monotonic() < kept[0]:
            return kept[1]
        query = dns.message.make_query(name, dns.rdatatype.TXT, want_dnssec=True)
        answer = await dns.asyncquery.udp(query, self._host, port=int(self._port), timeout=5)
        texts = [b"".join(data.strings).decode() for rrset in answer.answer[:1] for data in rrset]
        ttl = answer.answer[0].ttl if texts else answer.authority[0].ttl
        self._kept[name] = (time.monotonic() + ttl, texts[0] if texts else "")
        return self._kept[name][1]

    async def take(self, message: dict[str, Any], selector: str) -> None:
        record = await self.look(key_name(Generation.NLWEB, selector, message["Header"]["From"]))
        try:
            verify(message, record)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a refusal
            self.refused.append(f"{selector}: {error}")
        else:
            self.verified += 1


@dataclass(frozen=True)
class Zone:
    """A domain, who writes its records, and the resolver (address:port) that everybody asks."""

    domain: str
    writer: RecordWriter
    resolver: str


async def rotate_under_load(aws: Aws, zone: Zone, timing: Timing, rotations: int) -> Sequence[Receiver]:
    """Let two rotators rotate so often while two replicas sign; return the receivers, who all had all messages."""
    secret, stop = f"test/{uuid.uuid4()}", asyncio.Event()
    rotators = [
        Rotator(
            domain=zone.domain, store=RingStore(aws, secret), world=World(ValidatingResolver(zone.resolver, 5)),
            algorithm=Algorithm.ED25519, writer=zone.writer, clock=time.time, timing=timing, look_seconds=0.2,
        )
        for _ in range(2)
    ]  # fmt: skip
    replicas = [KeyRing(aws, secret, reread_seconds=0.3, trust_seconds=2) for _ in range(2)]
    receivers = [Receiver(zone.resolver) for _ in range(4)]

    async def sign(ring: KeyRing) -> None:
        while not stop.is_set():
            try:
                key = await ring.current()
            except UnavailableError:
                await asyncio.sleep(0.1)
                continue
            message = seal(
                generation=Generation.NLWEB, sender=zone.domain, receiver="shop.example", subject="A@B", body={},
                correlation=str(uuid.uuid4()), timestamp=now_utc(), key=key,
            )  # fmt: skip
            await asyncio.gather(*(one.take(orjson.loads(message), key.selector) for one in receivers))
            await asyncio.sleep(0.01)

    async def probe() -> None:  # as clients that count selectors do: they learn that the next one is not there
        while not stop.is_set():
            known = len((await RingStore(aws, secret).read()).ring.keys)
            await receivers[0].look(key_name(Generation.NLWEB, f"pw{known + 1}", zone.domain))
            await asyncio.sleep(0.2)

    loops = [one.run() for one in rotators] + [one.read_regularly() for one in replicas]
    tasks = [asyncio.create_task(work) for work in (*loops, *map(sign, replicas), probe())]

    async def rotated() -> bool:
        keys = (await RingStore(aws, secret).read()).ring.keys
        return sum(key.state is State.RETIRED for key in keys) >= rotations

    try:
        await until_async(rotated, rotations * ((timing.rotate_seconds or 0) + 60) + 60)
    finally:
        stop.set()
        await end_tasks(tasks)
    print(f"\nverified {sum(one.verified for one in receivers)}, refused {sum(len(one.refused) for one in receivers)}")
    return receivers
