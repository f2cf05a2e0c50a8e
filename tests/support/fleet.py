"""Several replicas of each service of one system, behind addresses that stay, as in a cluster; of any version."""

import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

from cli.ports import free_ports
from cli.probe import answers_ok
from cli.run import SERVICES
from cli.supervisor import Child, Supervisor
from cli.workbench import Workbench
from tests.support.balancer import Balancer

_READY_SECONDS: Final = 120.0
_STOP_SECONDS: Final = 40.0
_PUBLIC: Final = {"inbox": "FACESCAN_INBOX_PORT", "session": "FACESCAN_SESSION_PORT"}


class Fleet:
    """Replicas on a workbench that was started without services. A replica's name is its service and a letter."""

    def __init__(self, workbench: Workbench) -> None:
        self._workbench = workbench
        self._parts = ExitStack()
        self._processes = Supervisor()
        self._balancers: dict[str, Balancer] = {}
        self._ports: dict[str, tuple[int, int]] = {}

    def __enter__(self) -> Self:
        self._parts.enter_context(self._processes)
        system = self._workbench.system
        for service, url in (("inbox", system.inbox), ("session", system.session)):
            address = urlsplit(url)
            assert address.hostname
            assert address.port
            self._balancers[service] = self._parts.enter_context(Balancer((address.hostname, address.port)))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._processes.end(list(self._processes.pids), _STOP_SECONDS)
        self._parts.close()

    def start(self, letter: str, tree: Path, services: Iterable[str] = SERVICES) -> None:
        """Start one replica of each service from the code in ``tree``, and return when all are ready."""
        with ThreadPoolExecutor() as threads:
            list(threads.map(lambda service: self._start(service, letter, tree), services))

    def replace(self, letter: str, tree: Path, services: Iterable[str] = SERVICES) -> None:
        """End that replica of each service in order and start one from ``tree`` in its place, all services at once."""
        with ThreadPoolExecutor() as threads:
            list(threads.map(lambda service: self._replace(service, letter, tree), services))

    def _start(self, service: str, letter: str, tree: Path) -> None:
        ops, public, chat = free_ports(3)
        name = f"{service}-{letter}"
        environment = self._workbench.environment(service) | {
            "PYTHONPATH": str(tree),
            "FACESCAN_OPS_PORT": str(ops),
            "FACESCAN_CHAT_PORT": str(chat),
        }
        del environment["FACESCAN_INSTANCE"]  # a pod's name is another one each time
        if service in _PUBLIC:
            environment[_PUBLIC[service]] = str(public)
        log = Path(self._workbench.system.log_dir) / f"{name}.log"
        self._processes.start(Child(name, "cli.main", ["run", service], environment, log))
        deadline = time.monotonic() + _READY_SECONDS
        while not answers_ok(f"http://127.0.0.1:{ops}/readyz"):
            assert self._processes.failure is None, self._processes.failure
            assert time.monotonic() < deadline, f"{name} is not ready after {_READY_SECONDS:.0f} s; its log: {log}"
            time.sleep(0.05)
        self._ports[name] = ops, public
        if service in self._balancers:
            self._balancers[service].admit(("127.0.0.1", public))

    def _replace(self, service: str, letter: str, tree: Path) -> None:
        name = f"{service}-{letter}"
        if service in self._balancers:
            self._balancers[service].withdraw(("127.0.0.1", self._ports[name][1]))
        self._processes.end([name], _STOP_SECONDS)
        self._start(service, letter, tree)
