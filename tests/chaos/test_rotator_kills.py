"""A rotator that is killed (-9) at each of its effects, and the next one, which ends what it began.

The effects are the changes of the secret and the updates of the zone: each goes through a gate that kills the process
just before it, or when it was made and the answer is still on its way. ``ROTATOR_POINTS`` says at which of the points,
as a slice: ``:`` for all, ``0:9`` for the first nine.
"""

import asyncio
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import dns.message
import dns.query
import pytest

from cli.local_aws import LOCAL_ENVIRONMENT
from services.async_post import ring as rings
from services.async_post.records import record_names, revoked
from services.async_post.ring import Ring, State
from services.async_post.ring_store import RingStore, StoredRing
from services.async_post.world import Sight
from shared.generation import Generation
from shared.keys import SigningKey
from shared.settings import StoreSettings
from tests.support.emulated_aws import EmulatedAws
from tests.support.key_spellings import spellings
from tests.support.rotator_gate import Gate, gated
from tests.support.service_process import ROOT
from tests.support.signing_primary import TSIG, TSIG_NAME, Site, signing_primary
from tests.unit.emulators.processes import running

DOMAIN = "identity.example"
POINTS = slice(*(int(part) if part else None for part in os.environ.get("ROTATOR_POINTS", "6::13").split(":")))


@dataclass
class Identity:
    """One ring with one active key, whose rotator is to be killed."""

    site: Site
    gate: Gate
    aws: EmulatedAws
    folder: Path
    secret: str = field(default_factory=lambda: f"test/{uuid.uuid4()}")
    old: SigningKey = field(default_factory=lambda: SigningKey.generate(f"old{uuid.uuid4().hex[:8]}"))
    said: list[str] = field(default_factory=list)
    privates: set[str] = field(default_factory=set)

    async def prepare(self) -> None:
        """Publish the old key and store the ring."""
        for name in record_names(self.old.selector, DOMAIN).values():
            await self.site.writer().write(name, self.old.record)
        empty = StoredRing(Ring(), "")
        await self.store.write(empty, rings.bring_in(Ring(), self.old, time.time()))

    @property
    def store(self) -> RingStore:
        return RingStore(self.aws, self.secret)

    def run(self, point: int | None) -> int:
        """Let a rotator run until it ends or is killed at ``point``; return its exit code."""
        gate = self.gate
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("FACESCAN_", "AWS_"))},
            **LOCAL_ENVIRONMENT,
            "PYTHONPATH": str(ROOT),
            "AWS_ENDPOINT_URL": gate.aws,
            "FACESCAN_LOG_LEVEL": "DEBUG",
            "FACESCAN_DOMAIN": DOMAIN,
            "FACESCAN_SIGNING_SECRET": self.secret,
            "FACESCAN_DNS_RESOLVER": self.site.unbound.address,
            "FACESCAN_KEY_PUBLISHER": "rfc2136",
            "FACESCAN_RFC2136_SERVER": gate.primary,
            "FACESCAN_RFC2136_KEY_NAME": TSIG_NAME,
            "FACESCAN_RFC2136_KEY_SECRET": TSIG,
            "FACESCAN_KEY_SETTLE_SECONDS": "0",
            "FACESCAN_KEY_LOOK_SECONDS": "0.1",
            "FACESCAN_KEY_RECORD_TTL_SECONDS": "1",
            "FACESCAN_KEY_REREAD_SECONDS": "0.01",
            "FACESCAN_KEY_TRUST_SECONDS": "0.02",
            "FACESCAN_KEY_CHECK_SECONDS": "0.01",
        }
        gate.point, gate.points = point, 0
        gate.process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.rotator_process", self.old.selector],
            env=environment, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        command = Path(f"/proc/{gate.process.pid}/cmdline").read_text()
        said, _ = gate.process.communicate(timeout=60)
        self.said += [command, said]
        return gate.process.returncode

    async def ended_right(self) -> None:
        """Check the ring and what the world sees of it."""
        ring = (await self.store.read()).ring
        states = {key.selector: key.state for key in ring.keys}
        assert len(states) == 2, states
        assert states[self.old.selector] is State.RETIRED
        assert ring.active is not None
        self.privates |= {str(key.private_key) for key in ring.keys if key.private_key}
        seen = await self.site.world.look(ring.active.selector, DOMAIN, ring.active.record)
        assert {one.sight for one in seen.values()} == {Sight.SEEN}
        names = record_names(self.old.selector, DOMAIN)
        assert self._there(names[Generation.NLWEB]) == revoked(self.old.record)
        assert self._there(names[Generation.POLLYWEB]) == self.old.record

    def _there(self, name: str) -> str:
        """Return the record as the primary has it."""
        query = dns.message.make_query(name, "TXT")
        (rrset,) = dns.query.udp(query, "127.0.0.1", port=self.site.primary.port, timeout=5).answer
        return "".join(text.decode() for text in rrset[0].strings)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with signing_primary(tmp_path_factory.mktemp("zone"), DOMAIN, negative_seconds=0) as started:
        yield started


@pytest.fixture(scope="module")
def aws() -> Iterator[EmulatedAws]:
    with running("emulators.aws", "--port", "0") as (_, address):
        client = EmulatedAws(StoreSettings(), f"http://{address}")
        yield client
        client.close()


async def test_a_rotator_killed_at_any_effect_is_followed_by_one_that_ends_right_and_no_private_half_is_seen(
    site: Site, aws: EmulatedAws, tmp_path: Path
) -> None:
    with gated(aws.url, site.primary.address) as gate:
        whole = Identity(site, gate, aws, tmp_path)
        await whole.prepare()
        assert await asyncio.to_thread(whole.run, None) == 0, whole.said
        points = gate.points
        assert points == 26, (
            "make, publish, see, activate, retire: five changes of the ring by two calls, three updates"
        )
        await whole.ended_right()
        identities = [whole]
        for point in range(points)[POINTS]:
            identity = Identity(site, gate, aws, tmp_path)
            await identity.prepare()
            assert await asyncio.to_thread(identity.run, point) == -signal.SIGKILL, (point, identity.said)
            assert await asyncio.to_thread(identity.run, None) == 0, (point, identity.said)
            await identity.ended_right()
            identities.append(identity)
            print(f"killed at {point}: ended right", flush=True)
        print(f"\nkilled at {len(identities) - 1} of {points} points")
        everything = b"".join(gate.seen) + "".join(text for one in identities for text in one.said).encode()
        assert b"rotation step done" in everything
        for one in identities:
            for pem in {*one.privates, one.old.to_pem()}:
                assert not [spelling for spelling in spellings(pem) if spelling in everything]
        assert TSIG.encode() not in everything
