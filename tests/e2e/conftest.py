"""Whole systems for the end-to-end tests: the four services as processes of their own, on either broker."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest

from bench.load import Load
from cli.demo_run import DemoSystem
from cli.demo_system import with_peers
from cli.peers import Peers
from cli.workbench import Workbench
from shared.settings import StoreSettings

T = TypeVar("T")

# Short, for those who never come; long enough for the others on a busy machine.
VERIFICATION_SECONDS = 12


@dataclass(frozen=True)
class Running:
    """A running system, and the peers beside it."""

    workbench: Workbench
    demo: DemoSystem

    def drive(self, work: Callable[[Load, Peers], Awaitable[T]]) -> T:
        """Run ``work`` with a load and the peers of this system."""

        async def run() -> T:
            async with Peers(self.demo.peers) as peers:
                return await work(Load(self.demo, peers), peers)

        # In a thread of its own: a browser's driver may have the main thread's loop.
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(asyncio.run, run()).result()


def start_system(
    directory: Path,
    open_parts: ExitStack,
    *,
    kafka: str | None,
    settings: dict[str, str],
    aws: str | None = None,
    playground: bool = False,
) -> Running:
    """Start a workbench and its peers; both end with ``open_parts``. ``aws``: an emulated AWS that runs already."""
    workbench = open_parts.enter_context(
        Workbench(directory, kafka=kafka, aws=aws, settings=settings, playground=playground)
    )
    return Running(workbench, with_peers(workbench.system, StoreSettings(), open_parts))


BROKERS = ["embedded", pytest.param("apache", marks=pytest.mark.kafka)]


@pytest.fixture(scope="module", params=BROKERS)
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One system for a module, once on the embedded broker and once on a real Apache Kafka."""
    yield from one_system(request, tmp_path_factory)


def one_system(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Start the system that a fixture's parameter names: a broker, or the provider azure on the embedded one."""
    kafka = request.getfixturevalue("real_kafka") if request.param == "apache" else None
    with ExitStack() as open_parts:
        settings = {"FACESCAN_VERIFICATION_SECONDS": str(VERIFICATION_SECONDS)}
        if request.param == "azure":
            settings["FACESCAN_LIVENESS_PROVIDER"] = "azure"
        yield start_system(tmp_path_factory.mktemp(request.param), open_parts, kafka=kafka, settings=settings)
