"""The programs of docs/integrate.md, run as they stand there, against a system on a real Apache Kafka."""

import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

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
def bootstrap(real_kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with ExitStack() as parts:
        settings = {"FACESCAN_VERIFICATION_SECONDS": SECONDS}
        bench = Workbench(tmp_path_factory.mktemp("integrate"), kafka=real_kafka, settings=settings)
        yield parts.enter_context(bench).system.kafka


def run(*command: str, folder: Path, path: Path | None = None) -> str:
    """Return what a program prints; fails with what it says when it fails."""
    search = os.pathsep.join([*([str(path)] if path else []), os.environ["PATH"]])
    done = subprocess.run(
        command, cwd=folder, env=os.environ | {"PATH": search}, capture_output=True, text=True, timeout=90, check=False
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
