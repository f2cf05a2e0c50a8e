"""The last release and this code side by side: rolled forward and back in the middle of the work."""

import asyncio
import os
from contextlib import ExitStack
from pathlib import Path

import pytest

from bench.load import MIXED, Load, Verified
from cli.demo_system import with_peers
from cli.peers import SHOP, Peers
from cli.workbench import Workbench
from shared.settings import StoreSettings
from tests.e2e.conftest import Running
from tests.support.fleet import Fleet
from tests.support.kafka_fixtures import MARK
from tests.support.last_release import ROOT, NoHistoryError, last_release

COUNT = int(os.environ.get("FACESCAN_TEST_UPGRADE_COUNT", "24"))
PER_SECOND = 2.0
# Long enough that nobody's time is over while the parts change; a few persons fail often, and are asked all the same.
SETTINGS = {
    "FACESCAN_VERIFICATION_SECONDS": "120",
    "FACESCAN_PERSON_FAILURES": "0",
    "FACESCAN_DEVICE_FAILURES": "0",
}


def _code_before(folder: Path) -> tuple[Path, str | None]:
    """Return the last release's code; or this code, and why, where the clone has no history."""
    try:
        return last_release().extract(folder), None
    except NoHistoryError as error:
        return ROOT, str(error)


@pytest.mark.kafka
@pytest.mark.timeout(600)
def test_verifications_survive_a_roll_forward_and_back_between_the_last_release_and_this_code(
    real_kafka: str, tmp_path: Path
) -> None:
    """Two replicas of each service on a real Kafka, each replaced twice: each asked is answered once, and rightly.

    As `helm upgrade` does it: topics and tables first, then one replica of every service at a time, all services at
    once; in between, one replica of each version works on the same topics and tables.
    """
    before, missing = _code_before(tmp_path / "last-release")
    with ExitStack() as parts:
        bench = parts.enter_context(Workbench(tmp_path / "system", kafka=real_kafka, settings=SETTINGS, services=()))
        fleet = parts.enter_context(Fleet(bench))
        fleet.start("a", before)
        fleet.start("b", before)
        running = Running(bench, with_peers(bench.system, StoreSettings(), parts))
        answers = running.drive(lambda load, peers: _roll_under_load(fleet, before, load, peers))
    print(f"asked {COUNT}, asked again after a 5xx {answers[0]}, answers delivered again {answers[1]}")
    if missing:
        pytest.skip(f"{MARK} an upgrade from the last release; this code was rolled against itself ({missing})")


async def _roll_under_load(fleet: Fleet, before: Path, load: Load, peers: Peers) -> tuple[int, int]:
    """Return how many requests had to be sent again, and how many answers came again."""
    await load.enrol(MIXED)
    rolling = asyncio.create_task(_roll(fleet, before))
    verified = await load.run(COUNT, PER_SECOND, MIXED, answer_seconds=110, ask_again_seconds=60)
    while not rolling.done():  # the roll takes longer than the load on a slow machine: it gets some more
        verified += await load.run(10, PER_SECOND, MIXED, answer_seconds=110, ask_again_seconds=60)
    await rolling
    _account(verified)
    again = sum(bool(message["duplicate"]) for message in await peers.messages(SHOP))
    return sum(one.asked - 1 for one in verified), again


async def _roll(fleet: Fleet, before: Path) -> None:
    for tree in (ROOT, before):
        for letter in ("a", "b"):
            await asyncio.sleep(1)
            await asyncio.to_thread(fleet.replace, letter, tree)


def _account(verified: list[Verified]) -> None:
    """Asked = answered, each once, each right."""
    wrong = [
        (one.role.name, one.verification_id, one.results, one.popup and one.popup["problem"])
        for one in verified
        if one.results != [one.role.expected]
    ]
    assert not wrong, wrong
    assert len(verified) >= COUNT
