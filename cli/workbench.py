"""The workbench: the whole system on this machine, for the demo, tests, benchmarks and integrators.

Real services over an embedded Kafka broker, an emulated AWS and an emulated internet (architecture, "The workbench").
"""

import asyncio
import fcntl
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

from botocore.exceptions import BotoCoreError, ClientError

from cli.embedded_topics import make_topics
from cli.local_aws import LocalAws
from cli.ports import free_ports
from cli.probe import answers_ok
from cli.run import ALL, SERVICES
from cli.signing_key import give_signing_key
from cli.supervisor import Child, Supervisor
from cli.system_file import FILE_NAME, System
from cli.workbench_environment import (
    AZURE_KEY,
    DOMAIN,
    ENDPOINTS,
    HOST,
    UPDATE_KEY,
    UPDATE_KEY_NAME,
    Ports,
    azure_environment,
    base_environment,
    chat_endpoints,
    frame_environment,
    service_environment,
    system_environment,
    verification_seconds,
    wants_azure,
)
from emulators.certificates import make_authority
from emulators.face_model import write_face_model
from shared.errors import ConfigurationError, UnavailableError
from shared.settings import StoreSettings, load
from shared.tables import create_tables

EMULATORS: Final = ("kafka", "aws", "dns")
_START_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 20.0
_EMULATOR_STOP_SECONDS: Final = 3.0
_PROBE_SECONDS: Final = 0.03
_READY: Final = "ready on "


class Workbench:
    """A system of its own in a folder. ``start`` it, use ``system``, ``stop`` it; or use it as a context manager.

    ``kafka`` (host:port) and ``aws`` (URL) take the places of the embedded ones. ``settings`` are variables for the
    services, by their whole names. ``services`` are those that it runs, of what is optional those that are named;
    somebody else runs others, with their ``environment``. ``playground``: let its page frame the scan page, for
    ``start_playground``. ``report`` gets one line for each step of the start and the stop.
    """

    def __init__(
        self,
        directory: Path,
        *,
        kafka: str | None = None,
        aws: str | None = None,
        settings: Mapping[str, str] | None = None,
        services: Sequence[str] = SERVICES,
        playground: bool = False,
        report: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.directory = directory.absolute()
        self.world = self.directory / "world"
        self._logs = self.directory / "log"
        self._kafka = kafka
        self._aws = aws
        self._settings = dict(settings or {})
        self._services = tuple(services)
        self._environments: dict[str, dict[str, str]] = {}
        self._face_model = self.directory / "face-model"
        self._endpoint_map = self.directory / ENDPOINTS
        self._streaming_port = 0
        self._playground_port = 0
        self._wants_playground = playground
        self._report = report
        self._processes = Supervisor(self._write)
        self._system: System | None = None
        self._open = ExitStack()
        self._began = 0.0

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def system(self) -> System:
        """Where everything is. Raises UnavailableError before the start."""
        if self._system is None:
            raise UnavailableError("the workbench has not started")
        return self._system

    # -- start and stop ------------------------------------------------------------------------------------------

    def start(self) -> System:
        """Start everything and return once every service is ready.

        Raises ConfigurationError when another run has the folder, UnavailableError when a part does not come up.
        After an error call ``stop``.
        """
        self._began = time.monotonic()
        self._take_folder()
        self._open.enter_context(self._processes)
        self._streaming_port, self._playground_port = free_ports(2)
        kafka, aws, dns = self._start_emulators()
        azure = self._start_azure() if wants_azure(self._settings) else ""
        known = (*SERVICES, *(name for name in self._services if name not in SERVICES))
        inbox_port, session_port, chat_port, gateway_port, *ops_ports = free_ports(4 + len(known))
        ports = Ports(inbox_port, session_port, chat_port, gateway_port, dict(zip(known, ops_ports, strict=True)))
        self._endpoint_map.write_text(chat_endpoints(chat_port))
        shared = system_environment(
            kafka=kafka,
            embedded=self._kafka is None,
            aws=aws,
            own_aws=self._aws is None,
            dns=dns,
            world=self.world,
            ports=ports,
            face_model=self._face_model,
            endpoint_map=self._endpoint_map,
            streaming=f"wss://{HOST}:{self._streaming_port}" if self._aws is None else None,
            settings={
                **(azure_environment(azure) if azure else {}),
                **(frame_environment(self._playground_port) if self._wants_playground else {}),
                **self._settings,
            },
        )
        inbox = f"http://{HOST}:{ports.inbox}/inbox"
        self._prepare(kafka, aws, inbox, shared)
        self._environments = {service: service_environment(shared, ports, service) for service in known}
        for service in self._services:
            self._processes.start(self._child(service, self._environments[service]))
        self._system = System(
            kafka=kafka,
            aws=aws,
            inbox=inbox,
            session=shared["FACESCAN_SESSION_PUBLIC_URL"],
            streaming=shared.get("FACESCAN_DEVELOPMENT_STREAMING_URL", ""),
            dns=dns,
            domain=shared["FACESCAN_DOMAIN"],
            world=str(self.world),
            pids=self._pids(self._services),
            ops={service: f"http://{HOST}:{port}" for service, port in ports.ops.items()},
            emulators=self._pids((*EMULATORS, "azure")),
            log_dir=str(self._logs),
            pid=os.getpid(),
            verification_seconds=verification_seconds(shared),
            azure=azure,
            gateway=f"http://{HOST}:{ports.gateway}" if "gateway" in self._services else "",
        )
        for service in self._services:
            self.wait_ready(service)
            self._step(f"{service} is ready")
        self._processes.restart_the_dead()
        self._write()
        return self._system

    def start_playground(self) -> str:
        """Start the playground beside the system that runs; return its URL. Raises UnavailableError."""
        arguments = ["--system", str(self.directory / FILE_NAME), "--port", str(self._playground_port)]
        child = Child(
            "playground", "cli.playground", arguments, base_environment(), self._log("playground"), restarts=True
        )
        self._processes.start(child)
        return self._processes.wait_for_line("playground", _READY, _START_SECONDS)

    def stop(self) -> None:
        """End the services, then the emulators; nothing is left behind. May be called at any time, also twice."""
        running = self._processes.pids
        if running:
            (self.directory / FILE_NAME).unlink(missing_ok=True)
            self._processes.end([name for name in running if name in ALL], _STOP_SECONDS)
            self._step("services stopped")
            self._processes.end([name for name in running if name not in ALL], _EMULATOR_STOP_SECONDS)
        self._open.close()
        self._system = None

    def environment(self, service: str) -> dict[str, str]:
        """Return the whole environment of a service's process, as it is started here, or would be."""
        return dict(self._environments[service])

    # -- for those who disturb it --------------------------------------------------------------------------------

    def kill(self, name: str) -> None:
        """Kill a service or an emulator as ``kill -9`` does; a service comes back after half a second.

        Raises UnavailableError when it does not run.
        """
        self._processes.send_signal(name, signal.SIGKILL)

    def send_signal(self, name: str, number: int) -> None:
        """Send a signal, for example SIGSTOP and SIGCONT. Raises UnavailableError when it does not run."""
        self._processes.send_signal(name, number)

    def restart_service(self, service: str) -> float:
        """Stop a service in order, start it again, and wait until it is ready. Raises UnavailableError.

        Returns the seconds from the start of the process until it said that it is ready.
        """
        child = self._processes.child(service)
        self._processes.end([service], _STOP_SECONDS)
        began = time.monotonic()
        self._processes.start(child)
        self._write()
        self.wait_ready(service)
        return time.monotonic() - began

    def wait_ready(self, service: str, seconds: float = _START_SECONDS) -> None:
        """Wait until a service says that it is ready. Raises UnavailableError when it dies or the time is over."""
        url = f"{self.system.ops[service]}/readyz"
        deadline = time.monotonic() + seconds
        while not answers_ok(url):
            if self._processes.failure:
                raise UnavailableError(self._processes.failure)
            if time.monotonic() > deadline:
                raise UnavailableError(f"{service} is not ready after {seconds:.0f} s; its log: {self._log(service)}")
            time.sleep(_PROBE_SECONDS)

    def wait_for_failure(self, seconds: float | None = None) -> str | None:
        """Wait until a part has died for which there is no help, or for so long; return why, or None."""
        return self._processes.wait_for_failure(seconds)

    # -- steps ---------------------------------------------------------------------------------------------------

    def _take_folder(self) -> None:
        try:
            self.world.mkdir(parents=True, exist_ok=True)
            self._logs.mkdir(exist_ok=True)
            lock = self._open.enter_context((self.directory / "lock").open("a+"))
        except OSError as error:
            raise ConfigurationError(f"{error.filename}: {error.strerror}") from error
        _lock(lock, self.directory)
        (self.directory / FILE_NAME).unlink(missing_ok=True)
        for old in self._logs.glob("*.log"):
            old.unlink()

    def _start_emulators(self) -> tuple[str, str, str]:
        """Start those that are not given; return kafka (host:port), aws (URL), dns (address:port)."""
        make_authority(self.world)
        write_face_model(self._face_model)
        environment = base_environment() | {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}
        world = ["--world", str(self.world)]
        arguments = {
            "kafka": [],
            "aws": ["--streaming-port", str(self._streaming_port), *world],
            "dns": [*world, "--update-key", f"{UPDATE_KEY_NAME}:{UPDATE_KEY}"],
        }
        given = {"kafka": self._kafka, "aws": self._aws, "dns": None}
        wanted = [name for name in EMULATORS if given[name] is None]
        for name in wanted:
            self._processes.start(Child(name, f"emulators.{name}", arguments[name], environment, self._log(name)))
        addresses = {name: address for name, address in given.items() if address is not None}
        for name in wanted:
            addresses[name] = self._processes.wait_for_line(name, _READY, _START_SECONDS)
            self._step(f"{name} is ready on {addresses[name]}")
        return addresses["kafka"], addresses["aws"], addresses["dns"]

    def _start_azure(self) -> str:
        """Start the stand-in of Azure's Face resource; return its URL."""
        arguments = ["--key", AZURE_KEY]
        self._processes.start(Child("azure", "emulators.azure_face", arguments, base_environment(), self._log("azure")))
        url = self._processes.wait_for_line("azure", _READY, _START_SECONDS)
        self._step(f"azure is ready on {url}")
        return url

    def _prepare(self, kafka: str, aws_url: str, inbox: str, shared: Mapping[str, str]) -> None:
        stores = load(StoreSettings, shared)
        aws = LocalAws(stores, aws_url, shared)
        topics = asyncio.run(make_topics(kafka))
        try:
            give_signing_key(aws, self.world, shared, inbox)
            tables = create_tables(aws, stores)
        except (BotoCoreError, ClientError) as error:
            raise UnavailableError(f"AWS at {aws_url}: {error}") from error
        finally:
            aws.close()
        self._step(f"{len(topics)} topics and {len(tables)} tables created; {DOMAIN} has a key")

    def _child(self, service: str, environment: Mapping[str, str]) -> Child:
        return Child(service, "cli.main", ["run", service], environment, self._log(service), restarts=True)

    def _log(self, name: str) -> Path:
        return self._logs / f"{name}.log"

    def _pids(self, names: tuple[str, ...]) -> dict[str, int]:
        pids = self._processes.pids
        return {name: pids[name] for name in names if name in pids}

    def _write(self) -> None:
        """Write system.json; called by the supervisor too, when a service has a new process id."""
        if self._system is not None:
            self._system = self._system.with_pids(self._pids(ALL))
            self._system.write(self.directory / FILE_NAME)

    def _step(self, text: str) -> None:
        self._report(f"{time.monotonic() - self._began:6.2f} s  {text}")


def _lock(lock: IO[str], directory: Path) -> None:
    """Hold the folder as long as this process lives. Raises ConfigurationError naming who holds it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        raise ConfigurationError(
            f"{directory}: a workbench runs there already, as process {lock.read().strip() or 'unknown'}"
        ) from None
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
