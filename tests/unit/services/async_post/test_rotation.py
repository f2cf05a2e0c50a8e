"""Rotation over real protocols (Secrets Manager, RFC 2136 with TSIG, DNS): stopped anywhere, several at once."""

import asyncio
import itertools
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY

from emulators.world import write_domain
from services.async_post import ring as rings
from services.async_post.dynamic_update import DynamicUpdate
from services.async_post.records import RecordTakenError, record_names, revoked
from services.async_post.ring import Algorithm, Ring, State
from services.async_post.ring_store import RingStore, StoredRing
from services.async_post.rotation import VISIBLE, Rotator
from services.async_post.route53 import Route53
from services.async_post.timing import Step, Timing
from services.async_post.world import Sight, World
from shared.errors import ConfigurationError, FacescanError
from shared.generation import Generation
from shared.keys import SigningKey
from shared.resolver import ValidatingResolver
from tests.support.emulated_aws import Emulated
from tests.support.readers import until
from tests.unit.emulators.processes import running

TSIG = "ZmFjZXNjYW4tZmFjZXNjYW4tZmFjZXNjYW4tMTIzNDU="
TIMING = Timing(rotate_seconds=None, settle_seconds=900, keep_seconds=7500)
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Internet:
    folder: Path
    dns: str

    def writer(self, secret: str = TSIG) -> DynamicUpdate:
        return DynamicUpdate(self.dns, "us", secret, ttl_seconds=60, timeout_seconds=2)


@pytest.fixture(scope="module")
def internet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Internet]:
    folder = tmp_path_factory.mktemp("world")
    with running("emulators.dns", "--world", str(folder), "--update-key", f"us:{TSIG}") as (_, address):
        yield Internet(folder, address)


@dataclass
class Killed:
    """Counts effects, and ends everything before the one whose turn it is; ``None``: never."""

    before: int | None = None
    effects: int = 0

    def effect(self) -> None:
        if self.before is not None and self.effects >= self.before:
            raise KeyboardInterrupt
        self.effects += 1


@dataclass
class Site:
    """One Identity: its ring, its zone, and the time."""

    emulated: Emulated
    internet: Internet
    now: float = 1_000_000.0
    domain: str = ""
    secret: str = field(default_factory=lambda: f"test/{uuid.uuid4()}")

    def __post_init__(self) -> None:
        self.domain = f"id{next(_numbers)}.example"
        write_domain(self.internet.folder, self.domain, {})

    @property
    def store(self) -> RingStore:
        return RingStore(self.emulated.aws, self.secret)

    @property
    def world(self) -> World:
        return World(ValidatingResolver(self.internet.dns, 2))

    def rotator(self, killed: Killed | None = None) -> Rotator:
        stop = killed or Killed()
        store, writer = self.store, self.internet.writer()

        class CountedStore(RingStore):
            async def write(self, old: StoredRing, ring: Ring) -> StoredRing:
                stop.effect()
                written = await store.write(old, ring)
                stop.effect()
                return written

        class CountedWriter:
            async def write(self, name: str, text: str, *, instead_of: str | None = None) -> None:
                stop.effect()
                await writer.write(name, text, instead_of=instead_of)

        return Rotator(
            domain=self.domain,
            store=CountedStore(self.emulated.aws, self.secret),
            writer=CountedWriter(),
            world=self.world,
            timing=TIMING,
            algorithm=Algorithm.ED25519,
            clock=lambda: self.now,
        )

    async def ring(self) -> Ring:
        return (await self.store.read()).ring

    async def states(self) -> list[tuple[str, State]]:
        return [(key.selector, key.state) for key in (await self.ring()).keys]

    async def sights(self, selector: str) -> dict[Generation, Sight]:
        key = (await self.ring()).get(selector)
        assert key is not None
        found = await self.world.look(selector, self.domain, key.record)
        return {generation: seen.sight for generation, seen in found.items()}

    async def rotate(self, killed: Killed | None = None) -> None:
        """Rotate once, until the old key is retired; time passes whenever a step waits."""
        moves = self.rotator(killed)
        begin = (await self.ring()).coming is None
        while True:
            progress = await moves.step(begin=begin)
            begin = False
            active = (await self.ring()).active
            if active is not None:
                assert set((await self.sights(active.selector)).values()) == {Sight.SEEN}, "signs unseen"
            if progress.step is Step.REST and State.RETIRING not in {state for _, state in await self.states()}:
                return
            if not progress.done:
                self.now += max(progress.wait_seconds, 0.01)


async def test_a_rotation_signs_with_a_key_only_after_it_was_seen_for_the_whole_settling_time(
    emulated: Emulated, internet: Internet
) -> None:
    site = Site(emulated, internet)
    moves = site.rotator()
    done = [(await moves.step(begin=True)).step, (await moves.step()).step, (await moves.step()).step]
    assert done == [Step.MAKE, Step.PUBLISH, Step.SEE]
    waiting = await moves.step()
    assert (waiting.step, waiting.done, waiting.wait_seconds) == (Step.SETTLE, False, 900)
    site.now += 899
    assert not (await moves.step()).done
    site.now += 1
    assert (await moves.step()).step is Step.ACTIVATE
    assert await site.states() == [("pw1", State.ACTIVE)]


async def test_an_old_record_stays_while_it_can_be_checked_and_is_emptied_in_the_nlweb_branch_alone(
    emulated: Emulated, internet: Internet
) -> None:
    site = Site(emulated, internet)
    await site.rotate()
    moves = site.rotator()
    await moves.step(begin=True)
    while (await site.states())[-1][1] is not State.ACTIVE:
        site.now += (await moves.step()).wait_seconds
    assert await site.states() == [("pw1", State.RETIRING), ("pw2", State.ACTIVE)]
    site.now += TIMING.keep_seconds - 1
    assert not (await moves.step()).done
    assert set((await site.sights("pw1")).values()) == {Sight.SEEN}
    site.now += 1
    assert (await moves.step()).step is Step.RETIRE
    assert await site.sights("pw1") == {Generation.NLWEB: Sight.REVOKED, Generation.POLLYWEB: Sight.SEEN}


async def test_a_compromised_key_signs_no_more_and_is_revoked_in_every_branch_at_once(
    emulated: Emulated, internet: Internet
) -> None:
    site = Site(emulated, internet)
    await site.rotate()
    old = await site.store.read()
    await site.store.write(old, rings.retire(old.ring, "pw1", site.now, compromised=True))
    assert (await site.rotator().step()).step is Step.REVOKE
    assert set((await site.sights("pw1")).values()) == {Sight.REVOKED}
    assert (await site.ring()).active is None
    key = old.ring.get("pw1")
    assert key is not None
    with pytest.raises(RecordTakenError):  # a rotator that slept meanwhile
        await internet.writer().write(record_names("pw1", site.domain)[Generation.NLWEB], key.record)


async def test_a_rotation_that_was_stopped_before_any_effect_is_finished_by_the_next(
    emulated: Emulated, internet: Internet
) -> None:
    count = Killed()
    whole = Site(emulated, internet)
    await whole.rotate()
    await whole.rotate(count)
    assert count.effects > 10
    for before in range(count.effects):
        site = Site(emulated, internet)
        await site.rotate()
        with pytest.raises(KeyboardInterrupt):
            await site.rotate(Killed(before))
        await site.rotate()
        states = await site.states()
        assert [state for _, state in states].count(State.ACTIVE) == 1, before
        assert {state for _, state in states} == {State.ACTIVE, State.RETIRED}, before
        assert [selector for selector, _ in states] == [f"pw{number}" for number in range(1, len(states) + 1)]


async def test_five_rotators_at_once_do_what_one_does(emulated: Emulated, internet: Internet) -> None:
    site = Site(emulated, internet)
    await site.rotate()
    await asyncio.gather(*(site.rotator().step(begin=True) for _ in range(5)))
    assert await site.states() == [("pw1", State.ACTIVE), ("pw2", State.MADE)]
    for _ in range(60):
        outcomes = await asyncio.gather(*(site.rotator().step() for _ in range(5)), return_exceptions=True)
        assert all(not isinstance(one, BaseException) or isinstance(one, FacescanError) for one in outcomes), outcomes
        site.now += 300
    assert await site.states() == [("pw1", State.RETIRED), ("pw2", State.ACTIVE)]


async def test_a_selector_that_dns_knows_already_is_passed_over(emulated: Emulated, internet: Internet) -> None:
    site = Site(emulated, internet)
    write_domain(internet.folder, site.domain, {"pw1": "v=DKIM1;k=ed25519;p="})
    await site.rotator().step(begin=True)
    assert await site.states() == [("pw2", State.MADE)]


async def test_a_wrong_tsig_key_is_one_line_that_shows_nothing_of_it(internet: Internet) -> None:
    write_domain(internet.folder, "refused.example", {})
    with pytest.raises(ConfigurationError, match="TSIG") as caught:
        await internet.writer("AAAA" + TSIG[4:]).write("pw1._domainkey.refused.example", "v=DKIM1;p=")
    assert TSIG[4:] not in str(caught.value)


async def test_route_53_holds_what_was_written_and_changes_nothing_that_is_not_known(emulated: Emulated) -> None:
    zone = f"zone{uuid.uuid4().hex[:8]}.example"
    client: Any = emulated.aws.client("route53")
    client.create_hosted_zone(Name=zone, CallerReference=zone)
    writer, name, record = Route53(emulated.aws, 300), f"pw1._domainkey.pw.{zone}", "v=DKIM1;k=rsa;p=" + "A" * 400
    await writer.write(name, record)
    await writer.write(name, record)
    with pytest.raises(RecordTakenError):
        await writer.write(name, "v=DKIM1;k=rsa;p=BBBB")
    await writer.write(name, revoked(record), instead_of=record)
    with pytest.raises(RecordTakenError):
        await writer.write(name, record)
    (zone_id,) = [found["Id"] for found in client.list_hosted_zones()["HostedZones"] if found["Name"] == f"{zone}."]
    sets = client.list_resource_record_sets(HostedZoneId=zone_id)["ResourceRecordSets"]
    assert [one["ResourceRecords"] for one in sets if one["Type"] == "TXT"] == [[{"Value": '"v=DKIM1;k=rsa;p="'}]]
    with pytest.raises(ConfigurationError, match="no public zone"):
        await writer.write("pw1._domainkey.elsewhere.example", record)


async def test_a_rotation_that_is_stuck_does_not_hide_that_the_active_keys_record_is_gone(
    emulated: Emulated, internet: Internet
) -> None:
    class NotOurs:
        async def write(self, name: str, _text: str, *, instead_of: str | None = None) -> None:
            raise ConfigurationError(f"{name} is in no zone of ours, instead of {instead_of}")

    site = Site(emulated, internet)
    empty = await site.store.read()
    active = rings.bring_in(empty.ring, SigningKey.generate("pw1"), site.now)
    await site.store.write(empty, rings.make(active, "pw2", Algorithm.ED25519, site.now))
    for generation in Generation:
        VISIBLE.labels(generation.value).set(1)
    rotator = Rotator(
        domain=site.domain,
        store=site.store,
        writer=NotOurs(),
        world=site.world,
        timing=TIMING,
        algorithm=Algorithm.ED25519,
        clock=lambda: site.now,
        look_seconds=0.05,
    )
    rotating = asyncio.create_task(rotator.run())
    try:
        await until(lambda: all(_visible(generation) == 0 for generation in Generation), 20)
    finally:
        rotating.cancel()


def _visible(generation: Generation) -> float | None:
    return REGISTRY.get_sample_value("facescan_key_record_visible", {"generation": generation.value})
