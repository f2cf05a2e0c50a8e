"""Where the demo runs: on a workbench of its own, on a running one, or on what the environment names."""

import os
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from cli.connection import store_settings
from cli.demo_run import DemoSystem
from cli.local_aws import LocalAws
from cli.peers import start_peers
from cli.supervisor import Supervisor
from cli.system_file import System, read_system
from cli.workbench import Workbench
from cli.workbench_environment import verification_seconds
from shared.errors import ConfigurationError
from shared.settings import StoreSettings
from shared.stores import Aws

FROM_ENVIRONMENT: Final = "env"
# Short, for the person who never comes; long enough for the others on a busy machine.
VERIFICATION_SECONDS: Final = 6
# A browser and a film take their time.
BROWSER_SECONDS: Final = 60
_NAMES: Final = (
    "FACESCAN_KAFKA_BOOTSTRAP",
    "FACESCAN_DEMO_INBOX",
    "FACESCAN_DEMO_PEERS",
    "FACESCAN_DOMAIN",
    "AWS_ENDPOINT_URL",
)


def from_environment() -> DemoSystem:
    """Return the system that the environment names. Raises ConfigurationError naming what is not set."""
    if missing := [name for name in _NAMES if not os.environ.get(name)]:
        raise ConfigurationError(f"--system env: {', '.join(missing)} not set")
    stores = store_settings()
    return DemoSystem(
        kafka=os.environ["FACESCAN_KAFKA_BOOTSTRAP"],
        inbox=os.environ["FACESCAN_DEMO_INBOX"],
        peers=os.environ["FACESCAN_DEMO_PEERS"],
        domain=os.environ["FACESCAN_DOMAIN"],
        aws=Aws(stores),
        stores=stores,
        verification_seconds=verification_seconds(os.environ),
    )


def from_file(path: Path, open_parts: ExitStack) -> DemoSystem:
    """Start peers beside a running workbench; they end with ``open_parts``."""
    return with_peers(read_system(path), StoreSettings(), open_parts)


def of_its_own(
    directory: Path | None,
    report: Callable[[str], None],
    open_parts: ExitStack,
    verification_seconds: int = VERIFICATION_SECONDS,
    provider: str | None = None,
) -> DemoSystem:
    """Start a workbench, in a passing folder unless ``directory`` is given; all ends with ``open_parts``."""
    if directory is None:
        directory = Path(open_parts.enter_context(tempfile.TemporaryDirectory(prefix="facescan-")))
    settings = {"FACESCAN_VERIFICATION_SECONDS": str(verification_seconds)}
    if provider is not None:
        settings["FACESCAN_LIVENESS_PROVIDER"] = provider
    workbench = open_parts.enter_context(Workbench(directory, settings=settings, report=report))
    began = time.monotonic()
    system = with_peers(workbench.system, StoreSettings(), open_parts)
    report(f"{time.monotonic() - began:+6.2f} s  peers are ready")
    return system


def with_peers(system: System, stores: StoreSettings, open_parts: ExitStack) -> DemoSystem:
    """Start peers beside a system; they end with ``open_parts``."""
    processes = open_parts.enter_context(Supervisor())
    peers = start_peers(processes, system)
    return DemoSystem(
        kafka=system.kafka,
        inbox=system.inbox,
        peers=peers,
        domain=system.domain,
        aws=LocalAws(stores, system.aws),
        stores=stores,
        verification_seconds=system.verification_seconds,
    )
