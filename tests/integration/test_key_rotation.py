"""Keys in a real zone: updates by TSIG (RFC 2136) to knot, which signs them, seen through a validating unbound."""

import asyncio
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.local_aws import LOCAL_ENVIRONMENT
from services.async_post.records import RecordTakenError, record_names, revoked
from services.async_post.ring import Algorithm, State
from services.async_post.ring_store import RingStore
from services.async_post.rotation import Rotator
from services.async_post.timing import Step, Timing
from services.async_post.world import Sight
from shared.errors import ConfigurationError, UnavailableError
from shared.generation import Generation
from shared.keys import SigningKey
from shared.resolver import Answer
from shared.settings import StoreSettings
from tests.support.emulated_aws import EmulatedAws
from tests.support.rotating import Zone, rotate_under_load
from tests.support.service_process import ROOT
from tests.support.signing_primary import TSIG, TSIG_NAME, Site, signing_primary
from tests.unit.emulators.processes import running

DOMAIN = "identity.example"
ROTATIONS = int(os.environ.get("ROTATIONS", "1"))
SECONDS = float(os.environ.get("ROTATION_SECONDS", "1"))
RECORD = SigningKey.generate("x").record


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with signing_primary(tmp_path_factory.mktemp("zone"), DOMAIN) as started:
        yield started


@pytest.fixture(scope="module")
def aws() -> Iterator[EmulatedAws]:
    with running("emulators.aws", "--port", "0") as (_, address):
        client = EmulatedAws(StoreSettings(), f"http://{address}")
        yield client
        client.close()


def a_name() -> str:
    return record_names(f"k{uuid.uuid4().hex[:8]}", DOMAIN)[Generation.POLLYWEB]


async def test_a_record_that_was_written_is_signed_and_secure_and_writing_it_again_changes_nothing(site: Site) -> None:
    name = a_name()
    for _ in range(2):
        await site.writer().write(name, RECORD)
    found = await site.resolver.look_up(name)
    assert (found.answer, found.records) == (Answer.SECURE, (RECORD,))


async def test_a_record_is_changed_only_from_what_it_is_known_to_hold(site: Site) -> None:
    name, other = a_name(), SigningKey.generate("x").record
    await site.writer().write(name, RECORD)
    for instead_of in (None, other):
        with pytest.raises(RecordTakenError, match=name):
            await site.writer().write(name, other, instead_of=instead_of)
    await site.writer().write(name, revoked(RECORD), instead_of=RECORD)
    with pytest.raises(RecordTakenError):
        await site.writer().write(name, RECORD)


async def test_of_two_that_write_another_record_at_once_one_is_told(site: Site) -> None:
    name = a_name()
    texts = [SigningKey.generate("x").record for _ in range(8)]
    told = await asyncio.gather(*(site.writer().write(name, text) for text in texts), return_exceptions=True)
    assert sum(one is None for one in told) == 1
    assert all(one is None or isinstance(one, RecordTakenError | UnavailableError) for one in told), told


@pytest.mark.parametrize(
    ("name", "secret"), [(TSIG_NAME, "AAAA" + TSIG[4:]), ("nobody", TSIG)], ids=["another secret", "another name"]
)
async def test_a_tsig_key_that_is_not_the_primary_s_is_one_line_that_shows_nothing_of_it(
    site: Site, name: str, secret: str
) -> None:
    with pytest.raises(ConfigurationError, match="TSIG") as caught:
        await site.writer(name=name, secret=secret).write(a_name(), RECORD)
    assert "\n" not in str(caught.value)
    assert secret[4:] not in str(caught.value)


async def test_a_name_outside_the_zone_is_refused_in_one_line(site: Site) -> None:
    with pytest.raises(ConfigurationError, match="does not answer for pw1"):
        await site.writer().write("pw1._domainkey.elsewhere.example", RECORD)


async def test_the_zone_s_negative_time_is_known_whole_though_the_resolver_s_has_run_down(tmp_path: Path) -> None:
    with signing_primary(tmp_path, DOMAIN, negative_seconds=30) as slow:
        assert (await slow.resolver.look_up(f"never.{DOMAIN}")).keep_seconds == 30
        await asyncio.sleep(1.1)
        # unbound proves by what it has that another name is not there either (RFC 8198).
        assert (await slow.resolver.look_up(f"nobody.{DOMAIN}")).keep_seconds < 30
        assert await slow.world.negative_seconds(DOMAIN) == 30


async def test_a_key_is_made_published_seen_through_unbound_used_and_followed_by_the_next(
    site: Site, aws: EmulatedAws
) -> None:
    store = RingStore(aws, f"test/{uuid.uuid4()}")
    rotator = Rotator(
        domain=DOMAIN, store=store, writer=site.writer(), world=site.world, clock=time.time, look_seconds=0.1,
        timing=Timing(rotate_seconds=None, settle_seconds=0.5, keep_seconds=1.0), algorithm=Algorithm.ED25519,
    )  # fmt: skip
    steps: list[Step] = []
    for selector in ("pw1", "pw2"):
        begin, active = True, None
        while active is None or active.selector != selector:
            progress = await rotator.step(begin=begin)
            begin = False
            if progress.done:
                steps.append(progress.step)
            else:
                await asyncio.sleep(min(progress.wait_seconds, 0.2))
            active = (await store.read()).ring.active
            if active is not None:
                seen = await site.world.look(active.selector, DOMAIN, active.record)
                assert {one.sight for one in seen.values()} == {Sight.SEEN}, "signs unseen"
    assert steps == [Step.MAKE, Step.PUBLISH, Step.SEE, Step.ACTIVATE] * 2
    await asyncio.sleep(1.1)
    retired = await rotator.step()
    assert (retired.step, retired.selector) == (Step.RETIRE, "pw1")
    ring = (await store.read()).ring
    assert [key.state for key in ring.keys] == [State.RETIRED, State.ACTIVE]
    await asyncio.sleep(1.1)  # the record's time to live in the resolver
    old = await site.world.look("pw1", DOMAIN, ring.keys[0].record)
    assert [old[generation].sight for generation in (Generation.NLWEB, Generation.POLLYWEB)] == [
        Sight.REVOKED, Sight.SEEN,
    ]  # fmt: skip


async def test_no_signature_is_refused_by_receivers_behind_unbound_while_keys_rotate_under_load(
    site: Site, aws: EmulatedAws
) -> None:
    """``ROTATIONS`` and ``ROTATION_SECONDS`` make it longer."""
    zone = Zone(DOMAIN, site.writer(), site.unbound.address)
    timing = Timing(rotate_seconds=SECONDS, settle_seconds=3, keep_seconds=5)
    receivers = await rotate_under_load(aws, zone, timing, ROTATIONS)
    assert [one.refused for one in receivers] == [[]] * len(receivers)
    assert all(one.verified > 20 for one in receivers)


def facescan(environment: dict[str, str], folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cli.main", *arguments]
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory, aws: EmulatedAws) -> Iterator[dict[str, str]]:
    with signing_primary(tmp_path_factory.mktemp("own"), "own.example", negative_seconds=1) as own:
        yield {
            **{name: value for name, value in os.environ.items() if not name.startswith(("FACESCAN_", "AWS_"))},
            **LOCAL_ENVIRONMENT,
            "PYTHONPATH": str(ROOT),
            "AWS_ENDPOINT_URL": aws.url,
            "FACESCAN_DOMAIN": own.domain,
            "FACESCAN_SIGNING_SECRET": "test/own",
            "FACESCAN_DNS_RESOLVER": own.unbound.address,
            "FACESCAN_KEY_PUBLISHER": "rfc2136",
            "FACESCAN_RFC2136_SERVER": own.primary.address,
            "FACESCAN_RFC2136_KEY_NAME": TSIG_NAME,
            "FACESCAN_RFC2136_KEY_SECRET": TSIG,
            "FACESCAN_KEY_SETTLE_SECONDS": "0",
            "FACESCAN_KEY_LOOK_SECONDS": "0.1",
            "FACESCAN_KEY_RECORD_TTL_SECONDS": "1",
        }


def test_the_command_makes_a_key_and_checks_what_the_world_sees_of_it(
    environment: dict[str, str], aws: EmulatedAws, tmp_path: Path
) -> None:
    made = facescan(environment, tmp_path, "keys", "rotate", "--json")
    assert json.loads(made.stdout) == {"selector": "pw1", "state": "active"}, made.stderr
    checked = facescan(environment, tmp_path, "dns", "check", "--json")
    found: dict[str, Any] = json.loads(checked.stdout)
    assert (checked.returncode, found["wrong"]) == (0, 0)
    assert {row["sight"] for row in found["records"]} == {"seen"}
    assert found["resolver"] == {"validation": "not_proven", "why": "FACESCAN_DNS_BOGUS_NAME is not set"}
    printed = facescan(environment, tmp_path, "dns", "print")
    secret: Any = aws.client("secretsmanager").get_secret_value(SecretId="test/own")["SecretString"]
    (key,) = json.loads(secret)["keys"]
    assert printed.stdout.splitlines() == [
        f'{name}. 1 IN TXT "{key["record"]}"' for name in record_names("pw1", "own.example").values()
    ]
    private = SigningKey.from_pem("pw1", key["private_key"])
    assert private.record == key["record"]
    said = made.stdout + made.stderr + checked.stdout + checked.stderr + printed.stdout
    assert key["private_key"].splitlines()[1] not in said
    assert TSIG not in said
