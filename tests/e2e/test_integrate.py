"""The programs of docs/integrate.md, run as they stand there, against a system on a real Apache Kafka."""

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http import HTTPStatus
from pathlib import Path

import pytest

from cli.ports import free_ports
from cli.run import ALL
from cli.system_file import System
from cli.workbench import Workbench
from tests.support.kafka_fixtures import leave_untested
from tests.support.kafka_node import VERSION
from tests.support.real_kafka import available

EXAMPLES = Path(__file__).parents[2] / "docs/examples"
PAGE = EXAMPLES.parent / "integrate.md"
# Nobody comes before the camera: the outcome is a failure as soon as this is over.
SECONDS = "1"
TOOLS = ("kafka-console-producer.sh", "kafka-console-consumer.sh")
IMAGE = f"apache/kafka:{VERSION}"


@pytest.fixture(scope="module")
def system(real_kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with ExitStack() as parts:
        settings = {"FACESCAN_VERIFICATION_SECONDS": SECONDS}
        bench = Workbench(tmp_path_factory.mktemp("integrate"), kafka=real_kafka, settings=settings, services=ALL)
        yield parts.enter_context(bench).system


@pytest.fixture(scope="module")
def bootstrap(system: System) -> str:
    return system.kafka


def run(*command: str, folder: Path, path: Path | None = None, **variables: str) -> str:
    """Return what a program prints; fails with what it says when it fails."""
    search = os.pathsep.join([*([str(path)] if path else []), os.environ["PATH"]])
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | {"PATH": search} | variables,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("name", ["ask.py", "ask.sh", "ask_http.py", "node/ask.mjs"])
def test_the_page_has_the_programs_that_are_run_here(name: str) -> None:
    assert (EXAMPLES / name).read_text() in PAGE.read_text()


def test_no_lock_file_names_a_registry() -> None:
    assert "resolved" not in (EXAMPLES / "node/package-lock.json").read_text()


@pytest.mark.kafka
def test_a_python_program_asks_and_learns_the_outcome(bootstrap: str) -> None:
    assert run(sys.executable, "ask.py", bootstrap, "nobody", folder=EXAMPLES) == "failure"


@pytest.mark.kafka
def test_a_node_program_asks_and_learns_the_outcome(bootstrap: str, tmp_path: Path) -> None:
    if shutil.which("npm") is None:
        leave_untested("the example for Node", "npm is not installed")
    shutil.copytree(EXAMPLES / "node", tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("node_modules"))
    run("npm", "ci", "--silent", folder=tmp_path)
    assert run("node", "ask.mjs", bootstrap, "nobody", folder=tmp_path).splitlines()[-1] == "failure"


@pytest.mark.kafka
def test_kafkas_own_tools_ask_and_learn_the_outcome(bootstrap: str, tmp_path: Path) -> None:
    if "docker" not in available().kinds:
        leave_untested("the example for Kafka's console producer", available().missing["docker"])
    for name in TOOLS:
        script = f'#!/bin/sh\nexec docker run --rm -i --network host {IMAGE} /opt/kafka/bin/{name} "$@"\n'
        (tmp_path / name).write_text(script)
        (tmp_path / name).chmod(0o755)
    said = run("bash", str(EXAMPLES / "ask.sh"), bootstrap, "nobody", folder=tmp_path, path=tmp_path)
    key, _, value = said.partition("\t")
    assert uuid.UUID(key)
    assert '"outcome":"failure"' in value.replace(" ", "")


@pytest.mark.kafka
def test_a_program_asks_over_http_and_is_told_by_a_webhook_that_a_foreign_library_verifies(system: System) -> None:
    (port,) = free_ports(1)
    folder = Path(system.world).parent
    (folder / ".facescan").symlink_to(folder)  # where the command looks for a running system
    url = f"http://127.0.0.1:{port}/"
    made = json.loads(
        run(sys.executable, "-m", "cli.main", "clients", "add", "bank", "--webhook", url, "--json", folder=folder)
    )
    until(lambda: status(system.gateway, made["token"]) != HTTPStatus.UNAUTHORIZED)
    told = run(
        sys.executable, "ask_http.py", system.gateway, "nobody", str(port), folder=EXAMPLES,
        CLIENT_TOKEN=made["token"], WEBHOOK_SECRET=made["webhook_secret"],
    )  # fmt: skip
    assert told == "failure"


def status(gateway: str | None, token: str) -> int:
    """How a question after a verification that nobody has asked for is answered."""
    asked = urllib.request.Request(
        f"{gateway}/v1/verifications/{uuid.uuid4()}", headers={"Authorization": f"Bearer {token}"}
    )
    try:
        with urllib.request.urlopen(asked, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait until ``condition`` holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.2)
