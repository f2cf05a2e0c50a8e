import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.service_process import SERVICES, ServiceProcess, Surroundings, surroundings
from tests.support.trace_collector import Collector, collecting


@dataclass(frozen=True)
class System:
    """The four services, each a process of its own, and what is around them."""

    around: Surroundings
    services: dict[str, ServiceProcess]
    collector: Collector
    folder: Path


@pytest.fixture(scope="session")
def around(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Surroundings]:
    with surroundings(tmp_path_factory.mktemp("around")) as found:
        asyncio.run(found.prepare())
        yield found


@pytest.fixture(scope="session")
def system(around: Surroundings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    folder = tmp_path_factory.mktemp("services")
    with ExitStack() as stack:
        collector = stack.enter_context(collecting())
        traced = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "200"}
        services = {
            name: stack.enter_context(ServiceProcess(name, around.environment() | traced, folder)) for name in SERVICES
        }
        for service in services.values():
            service.wait_ready()
        yield System(around, services, collector, folder)
