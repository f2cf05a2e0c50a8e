"""Rotation after rotation while messages are signed, and receivers that remember DNS for as long as it says.

``ROTATIONS`` and ``ROTATION_SECONDS`` make it longer.
"""

import asyncio
import os
import time
import uuid
from pathlib import Path
from typing import Any

import dns.asyncquery
import dns.message
import dns.rdatatype
import orjson

from emulators.envelopes import verify
from emulators.world import write_fields
from services.async_post.dynamic_update import DynamicUpdate
from services.async_post.key_ring import KeyRing
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
from shared.tasks import end_tasks
from tests.support.emulated_aws import Emulated
from tests.support.readers import until_async
from tests.unit.emulators.processes import running

ROTATIONS = int(os.environ.get("ROTATIONS", "1"))
SECONDS = float(os.environ.get("ROTATION_SECONDS", "2"))  # and 5 s more, the emulated zones' negative time to live
TSIG = "ZmFjZXNjYW4tZmFjZXNjYW4tZmFjZXNjYW4tMTIzNDU="
DOMAIN = "id.example"


class Receiver:
    """Verifies with what DNS says, and keeps every answer, also that there is none, for its whole time to live."""

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
        record = await self.look(key_name(Generation.NLWEB, selector, DOMAIN))
        try:
            verify(message, record)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a refusal
            self.refused.append(f"{selector}: {error}")
        else:
            self.verified += 1


async def test_no_signature_is_refused_by_receivers_with_caches_while_keys_rotate_under_load(
    emulated: Emulated, tmp_path: Path
) -> None:
    secret, stop = f"test/{uuid.uuid4()}", asyncio.Event()
    with running("emulators.dns", "--world", str(tmp_path), "--update-key", f"us:{TSIG}") as (_, address):
        write_fields(tmp_path, DOMAIN, {"secure": True, "keys": {}, "ttl": 2})
        rotators = [
            Rotator(
                domain=DOMAIN, store=RingStore(emulated.aws, secret), world=World(ValidatingResolver(address, 2)),
                algorithm=Algorithm.ED25519,
                writer=DynamicUpdate(address, "us", TSIG, ttl_seconds=2, timeout_seconds=2), clock=time.time,
                timing=Timing(rotate_seconds=SECONDS, settle_seconds=1, keep_seconds=5), look_seconds=0.2,
            )
            for _ in range(2)
        ]  # fmt: skip
        replicas = [KeyRing(emulated.aws, secret, reread_seconds=0.3, trust_seconds=2) for _ in range(2)]
        receivers = [Receiver(address) for _ in range(4)]

        async def sign(ring: KeyRing) -> None:
            while not stop.is_set():
                try:
                    key = await ring.current()
                except UnavailableError:
                    await asyncio.sleep(0.1)
                    continue
                message = seal(
                    generation=Generation.NLWEB, sender=DOMAIN, receiver="shop.example", subject="A@B", body={},
                    correlation=str(uuid.uuid4()), timestamp=now_utc(), key=key,
                )  # fmt: skip
                await asyncio.gather(*(one.take(orjson.loads(message), key.selector) for one in receivers))
                await asyncio.sleep(0.01)

        async def probe() -> None:  # as clients that count selectors do: they learn that the next one is not there
            while not stop.is_set():
                known = len((await RingStore(emulated.aws, secret).read()).ring.keys)
                await receivers[0].look(key_name(Generation.NLWEB, f"pw{known + 1}", DOMAIN))
                await asyncio.sleep(0.2)

        loops = [one.run() for one in rotators] + [one.read_regularly() for one in replicas]
        tasks = [asyncio.create_task(work) for work in (*loops, *map(sign, replicas), probe())]

        async def rotated() -> bool:
            keys = (await RingStore(emulated.aws, secret).read()).ring.keys
            return sum(key.state is State.RETIRED for key in keys) >= ROTATIONS

        try:
            await until_async(rotated, ROTATIONS * (SECONDS + 20) + 30)
        finally:
            stop.set()
            await end_tasks(tasks)
    print(f"\nverified {sum(one.verified for one in receivers)}, refused {sum(len(one.refused) for one in receivers)}")
    assert [one.refused for one in receivers] == [[]] * len(receivers)
    assert all(one.verified > 20 for one in receivers)
