"""Fixtures that any test may ask for, the account of what a run did not test, and who runs beside whom."""

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

from tests.support.kafka_fixtures import kafka_cluster, real_kafka, report_not_tested
from tests.support.turns import Turns

__all__ = ["kafka_cluster", "real_kafka"]

_GROUPS = {"chaos": "parts", "integration": "parts", "service": "parts", "e2e": "wholes"}

pytest_plugins = ["pytester"]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say loudly what could not be tested here."""
    report_not_tested(terminalreporter)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Whole systems and brokers stand in two processes, one test after the other; a unit test's file is in any.

    So each of the two starts one broker for all its tests, and few parts that wait for their turn cost the others time.
    """
    return _InParts(config, log)


class _InParts(LoadScopeScheduling):  # type: ignore[misc]  # the plugin's class has no types of its own
    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        return _GROUPS.get(path.split("/")[1], path)


@pytest.fixture(scope="session")
def turns(tmp_path_factory: pytest.TempPathFactory) -> Turns:
    """Who may run now, agreed on by the processes of one run."""
    return Turns(_of_the_run(tmp_path_factory))


@pytest.fixture(scope="module", autouse=True)
def module_turn(request: pytest.FixtureRequest, turns: Turns) -> Iterator[None]:
    """A module that is marked ``unbroken`` has its turn as a whole: what it keeps open is served without a break."""
    with turns.beside_others() if request.node.get_closest_marker("unbroken") else nullcontext():
        yield


@pytest.fixture(autouse=True)
def turn(request: pytest.FixtureRequest, turns: Turns, module_turn: None) -> Iterator[None]:
    """Tests run side by side, but one that is marked ``alone`` measures with no other test beside it."""
    if request.node.get_closest_marker("unbroken"):
        yield
        return
    with turns.alone() if request.node.get_closest_marker("alone") else turns.beside_others():
        yield


def _of_the_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the folder that the processes of one run share (pytest-xdist gives each one below it)."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if base.name.startswith("popen-") else base
