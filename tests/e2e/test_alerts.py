"""Each alert fires when the very thing that it is about is broken in a running system, and is silent in a calm one."""

import asyncio
import os
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from bench.load import SUCCESS, Load
from cli.demo_run import Demo
from cli.peers import Peers
from deploy.alerts import ALERTS
from tests.e2e.conftest import Running, start_system
from tests.support.kafka_fixtures import leave_untested
from tests.support.prometheus import Prometheus, PrometheusMissingError
from tests.support.troubles import TROUBLES, Scene, Trouble, publisher_for

CHOSEN = os.environ.get("FACESCAN_TEST_ALERTS", "")
CALM_SECONDS = 15.0
FIRES_SECONDS = 120.0
SETTINGS = {
    "FACESCAN_VERIFICATION_SECONDS": "8",
    "FACESCAN_KAFKA_SESSION_TIMEOUT_SECONDS": "45",
    "FACESCAN_PERSON_FAILURES": "0",
    "FACESCAN_KEY_REREAD_SECONDS": "1",
    "FACESCAN_KEY_ROTATION_DAYS": "3650",
    "FACESCAN_KEY_PUBLISHER": "route53",
    "FACESCAN_KEY_LOOK_SECONDS": "1",
}


def test_every_alert_has_a_trouble_that_is_done_to_a_running_system() -> None:
    assert {name for trouble in TROUBLES for name in trouble.alerts} == {alert.name for alert in ALERTS}


@pytest.mark.timeout(1200)
def test_alerts_are_silent_in_the_demo_and_each_fires_when_its_thing_breaks(tmp_path: Path) -> None:
    """A real Prometheus scrapes the running services and judges the product's own rules, sixty times faster.

    With FACESCAN_TEST_ALERTS=all for every alert, or with the names of troubles, else for those that take seconds.
    """
    with ExitStack() as parts:
        running = start_system(tmp_path / "system", parts, kafka=None, settings=SETTINGS)
        targets = {name: urlsplit(url).netloc for name, url in running.workbench.system.ops.items()}
        try:
            prometheus = parts.enter_context(Prometheus(tmp_path / "prometheus", targets))
        except PrometheusMissingError as error:
            leave_untested("the alerts on a running system", str(error))
        began = time.monotonic()
        for seen in asyncio.run(Demo(running.demo, _unseen).run()):
            assert seen.deviations() == []
        time.sleep(max(0.0, CALM_SECONDS - (time.monotonic() - began)))
        assert {rule["name"]: rule.get("lastError") for rule in prometheus.rules() if rule["health"] != "ok"} == {}
        assert prometheus.has_fired() == set()
        for trouble in TROUBLES:
            if trouble.begin.__name__ in CHOSEN.split(",") if CHOSEN not in ("", "all") else trouble.quick or CHOSEN:
                running.drive(partial(_fires, prometheus, trouble, running))


def _unseen(*_: object) -> None:
    """Show no step of the demo."""


async def _fires(prometheus: Prometheus, trouble: Trouble, running: Running, load: Load, peers: Peers) -> None:
    publisher = publisher_for(running)
    await publisher.start()
    await load.enrol((SUCCESS,))
    began = time.monotonic()
    try:
        async with trouble.begin(Scene(running, load, peers, publisher)) as again:
            while missing := set(trouble.alerts) - prometheus.has_fired():
                assert time.monotonic() - began < FIRES_SECONDS, f"{missing} do not fire by {trouble.begin.__name__}"
                await again()
    finally:
        await publisher.stop()
    print(f"{time.monotonic() - began:5.1f} s  {trouble.begin.__name__}: {', '.join(trouble.alerts)}")
