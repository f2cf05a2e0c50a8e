"""A service as a process of its own, on the embedded broker and the emulated AWS and internet."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from cli.embedded_topics import make_topics
from cli.ports import free_ports
from emulators.world import write_domain
from shared.keys import SigningKey
from shared.settings import StoreSettings
from shared.stores import Tables
from shared.tables import create_tables
from tests.support.emulated_aws import EmulatedAws
from tests.unit.emulators.processes import running

ROOT = Path(__file__).parents[2]
DOMAIN = "identity.example"
SECRET = "service-test/signing-key"
SCAN_SECRET = "a secret of thirty-two characters"
SERVICES = ("inbox", "session", "verdict", "async_post")


@dataclass
class Surroundings:
    """What every service needs: addresses, a world, stores that exist, and a key."""

    kafka: str
    aws_url: str
    dns: str
    world: Path
    settings: StoreSettings = field(default_factory=StoreSettings)
    key: SigningKey = field(default_factory=lambda: SigningKey.generate("pw1"))

    @property
    def aws(self) -> EmulatedAws:
        return EmulatedAws(self.settings, self.aws_url)

    @property
    def tables(self) -> Tables:
        return Tables(self.aws, self.settings)

    async def prepare(self) -> None:
        """Create topics, tables, bucket and key."""
        await make_topics(self.kafka)
        aws = self.aws
        create_tables(aws, self.settings)
        secret = json.dumps({"selector": self.key.selector, "private_key": self.key.to_pem()})
        aws.client("secretsmanager").create_secret(Name=SECRET, SecretString=secret)
        write_domain(self.world, DOMAIN, {self.key.selector: self.key.record})
        aws.close()

    def environment(self) -> dict[str, str]:
        """Return a whole environment for any service, with ports of its own."""
        inbox, session, ops = free_ports(3)
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith(("FACESCAN_", "AWS_", "OTEL_"))
        }
        return inherited | {
            "PYTHONPATH": str(ROOT),
            "AWS_REGION": "eu-west-1",
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL": self.aws_url,
            "FACESCAN_DOMAIN": DOMAIN,
            "FACESCAN_ENVIRONMENT": "development",
            "FACESCAN_KAFKA_BOOTSTRAP": self.kafka,
            "FACESCAN_KAFKA_SESSION_TIMEOUT_SECONDS": "6",
            "FACESCAN_INBOX_PORT": str(inbox),
            "FACESCAN_SESSION_PORT": str(session),
            "FACESCAN_SESSION_PUBLIC_URL": f"http://127.0.0.1:{session}",
            "FACESCAN_OPS_PORT": str(ops),
            "FACESCAN_SCAN_TOKEN_SECRET": SCAN_SECRET,
            "FACESCAN_SIGNING_SECRET": SECRET,
            "FACESCAN_DNS_RESOLVER": self.dns,
            "FACESCAN_DEVELOPMENT_CONNECT_TO": str(self.world),
        }


@contextmanager
def surroundings(folder: Path) -> Iterator[Surroundings]:
    """Start the emulators; nothing is prepared yet."""
    world, address = folder / "world", folder / "kafka.address"
    world.mkdir()
    with ExitStack() as stack:
        stack.enter_context(running("emulators.kafka", "--address-file", str(address)))
        _, aws = stack.enter_context(running("emulators.aws", "--port", "0"))
        _, dns = stack.enter_context(running("emulators.dns", "--world", str(world), "--port", "0"))
        yield Surroundings(address.read_text().strip(), f"http://{aws}", dns, world)


class ServiceProcess:
    """``facescan run NAME``; end it, or use it as a context manager."""

    def __init__(self, name: str, environment: Mapping[str, str], folder: Path) -> None:
        self.name = name
        self.environment = dict(environment)
        self.log = folder / f"{name}-{time.monotonic_ns()}.log"
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "cli.main", "run", name],
                env=self.environment,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=output,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)

    def ask(self, path: str) -> tuple[int, str]:
        """Return what an operator's endpoint says; status 0 when nobody answers."""
        url = f"http://127.0.0.1:{self.environment['FACESCAN_OPS_PORT']}{path}"
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def wait_ready(self, seconds: float = 40.0) -> Self:
        """Wait until it says that it is ready."""
        deadline = time.monotonic() + seconds
        while self.ask("/readyz")[0] != 200:
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < deadline, f"{self.name}: {self.ask('/readyz')} {self.said()}"
            time.sleep(0.05)
        return self

    def stop(self, seconds: float = 5.0) -> int:
        """End it by SIGTERM and return its exit code; fails when it takes longer."""
        self.process.terminate()
        return self.process.wait(seconds)

    def said(self) -> str:
        """Return what it has written to standard error."""
        return self.log.read_text()
