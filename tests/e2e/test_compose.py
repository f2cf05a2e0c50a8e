"""The whole system as ``docker-compose.yml`` describes it, on Apache Kafka and DynamoDB Local."""

import asyncio
import json
import os
import re
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from playwright.async_api import async_playwright

from tests.e2e.scanning import chromium, done, launched, note_end, start
from tests.support.kafka_fixtures import leave_untested
from tests.support.kafka_node import free_ports

pytestmark = pytest.mark.timeout(600)  # an image is built first, perhaps with packages to fetch

ROOT: Final = Path(__file__).parents[2]
SERVICES: Final = ("async_post", "gateway", "inbox", "session", "verdict")
ONE_SHOTS: Final = ("identity", "tables", "topics")
STAND_INS: Final = ("aws", "dns", "dynamodb", "kafka", "peers")
# Case, answers of the front door, what the asking domain was told, what it thinks of the signature.
EXPECTED: Final = {
    "success": ("200", "SUCCESS", "signature ok"),
    "wrong person": ("200", "FAILURE", "signature ok"),
    "spoof": ("200", "FAILURE", "signature ok"),
    "nobody comes": ("200", "FAILURE", "signature ok"),
    "forged": ("401", "—", "—"),
    "three copies": ("3 x 200", "SUCCESS", "signature ok"),
}


@dataclass(frozen=True)
class Project:
    """A compose project of this run alone, at ports of its own."""

    name: str
    environment: Mapping[str, str]

    def run(self, *arguments: str, seconds: float = 60) -> subprocess.CompletedProcess[str]:
        """Returns what ``docker compose`` says; its exit code is the caller's to judge."""
        command = ["docker", "compose", "--project-name", self.name, "--progress", "quiet", *arguments]
        return subprocess.run(
            command, cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=seconds, check=False
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a one-off container of the service ``demo``; with both of its outputs in one pipe."""
        command = ["docker", "compose", "--project-name", self.name, "--progress", "quiet", "run", "--rm", "--no-TTY"]
        return subprocess.Popen(
            [*command, "demo", *arguments], cwd=ROOT, env=self.environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def config(self) -> dict[str, Any]:
        """Returns the file as compose understands it, with every profile."""
        done = self.run("--profile", "demo", "--profile", "gateway", "config", "--format", "json")
        assert not done.returncode, done.stderr
        config: dict[str, Any] = json.loads(done.stdout)
        return config

    def containers(self) -> dict[str, dict[str, Any]]:
        """Returns what the engine knows of each container, by service."""
        ids = self.run("ps", "--all", "--quiet").stdout.split()
        done = subprocess.run(["docker", "inspect", *ids], capture_output=True, text=True, timeout=60, check=True)
        return {facts["Config"]["Labels"]["com.docker.compose.service"]: facts for facts in json.loads(done.stdout)}

    def complaint(self, code: int | None, said: str) -> str:
        """Returns all that helps to see why a command failed."""
        logs = self.run("logs", "--no-color", "--tail", "15").stdout
        return f"exit code {code}\n{said[-8000:]}\n{logs[-12000:]}"


@pytest.fixture(scope="module")
def project() -> Iterator[Project]:
    """A project of which nothing runs yet; nothing of it is left afterwards."""
    if (why := _lacks()) is not None:
        leave_untested("docker-compose.yml", why)
    names = ("KAFKA_PORT", "INBOX_PORT", "SESSION_PORT", "GATEWAY_PORT", "STREAMING_PORT")
    ports = dict(zip(names, map(str, free_ports(len(names))), strict=True))
    ports["VERIFICATION_SECONDS"] = "30"  # the demo waits for one who never comes; a browser takes some seconds
    ours = {name: value for name, value in os.environ.items() if not name.startswith("COMPOSE_")}
    project = Project(f"facescan-test-{uuid4().hex[:8]}", ours | ports)
    try:
        yield project
    finally:
        project.run(
            "--profile",
            "demo",
            "--profile",
            "gateway",
            "down",
            "--volumes",
            "--remove-orphans",
            "--timeout",
            "5",
            seconds=120,
        )


@pytest.fixture(scope="module")
def running(project: Project) -> Project:
    """The same project, built and up."""
    done = project.run("--profile", "gateway", "up", "--build", "--wait", "--wait-timeout", "240", seconds=480)
    assert not done.returncode, project.complaint(done.returncode, done.stdout + done.stderr)
    return project


@pytest.fixture(scope="module")
def demo(running: Project) -> subprocess.Popen[str]:
    """The demo, on its way: most of its time it waits for the one who never comes."""
    return running.start()


def _lacks() -> str | None:
    if shutil.which("docker") is None:
        return "Docker is not installed"
    for command in (["docker", "info"], ["docker", "compose", "version"]):
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
        except subprocess.TimeoutExpired:
            return f"{' '.join(command)} does not answer"
        if done.returncode:
            return f"{' '.join(command)} fails: {' '.join(done.stderr.split())[:200]}"
    return None


def test_no_port_is_published_beyond_loopback(project: Project) -> None:
    published = [
        (name, port) for name, service in project.config()["services"].items() for port in service.get("ports", [])
    ]
    assert published
    assert [(name, port) for name, port in published if port.get("host_ip") != "127.0.0.1"] == []


def test_every_container_of_ours_is_read_only_and_has_no_privileges(project: Project) -> None:
    services = project.config()["services"]
    assert set(services) == {*SERVICES, *ONE_SHOTS, *STAND_INS, "demo"}
    for name, service in services.items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service.get("read_only", False) or name == "kafka", name


def test_everything_comes_up_healthy_and_the_one_shots_succeed(running: Project) -> None:
    containers = running.containers()
    states = {name: containers[name]["State"] for name in (*SERVICES, *STAND_INS)}
    assert {name: state["Health"]["Status"] for name, state in states.items()} == dict.fromkeys(states, "healthy")
    ended = {name: containers[name]["State"] for name in ONE_SHOTS}
    assert {name: (state["Status"], state["ExitCode"]) for name, state in ended.items()} == dict.fromkeys(
        ended, ("exited", 0)
    )


def test_no_container_runs_as_root(running: Project) -> None:
    for name, facts in running.containers().items():
        user = facts["Config"]["User"]
        assert user, name
        assert user.split(":")[0] not in {"0", "root"}, name
    for name in (*SERVICES, *STAND_INS):
        done = running.run("exec", "--no-TTY", name, "cat", "/proc/1/status")
        uids = next(line for line in done.stdout.splitlines() if line.startswith("Uid:")).split()[1:]
        assert "0" not in uids, name


def test_a_client_made_by_the_command_asks_over_http(running: Project) -> None:
    made = running.run(
        "run", "--rm", "--no-TTY", "demo", "clients", "add", "bank", "--webhook", "http://nobody.invalid/", "--json"
    )
    assert not made.returncode, running.complaint(made.returncode, made.stdout + made.stderr)
    asked = urllib.request.Request(
        f"http://127.0.0.1:{running.environment['GATEWAY_PORT']}/v1/verifications",
        json.dumps({"locator": "nobody", "purpose": "to try it"}).encode(),
        {
            "Authorization": f"Bearer {json.loads(made.stdout)['token']}",
            "Content-Type": "application/json",
            "Idempotency-Key": str(uuid4()),
        },
    )
    deadline = time.monotonic() + 20
    while (status := _status(asked)) == HTTPStatus.UNAUTHORIZED and time.monotonic() < deadline:
        time.sleep(0.3)  # until the gateway has read its clients again
    assert status == HTTPStatus.ACCEPTED


def _status(asked: urllib.request.Request) -> int:
    try:
        with urllib.request.urlopen(asked, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


async def test_a_real_browser_is_verified_by_the_page_that_the_image_holds(
    running: Project, demo: subprocess.Popen[str], tmp_path: Path
) -> None:
    """The image built the page's program with Debian's Node; its camera streams to the stand-in in the composition."""
    chromium()
    assert demo.poll() is None
    scan = running.start("scan", "--system", "env")
    assert scan.stdout is not None
    url = ""
    while not url and (line := await asyncio.to_thread(scan.stdout.readline)):
        url = line.strip().removeprefix("Open ") if line.startswith("Open http") else ""
    assert url, running.complaint(scan.poll(), "the page's address was not printed")
    origins: set[str] = set()
    ends: list[str] = []
    async with async_playwright() as playwright, launched(playwright, tmp_path) as browsers:
        context = await browsers.light.new_context(ignore_https_errors=True, locale="en-GB", permissions=["camera"])
        page = await context.new_page()
        page.on("request", lambda request: origins.add(urlsplit(request.url).netloc))
        page.on("console", lambda message: note_end(ends, message.text))
        await start(page, url)
        await done(page, ends)
    rest, _ = await asyncio.to_thread(scan.communicate, timeout=60)
    assert scan.returncode == 0, running.complaint(scan.returncode, rest)
    assert "got the signed answer SUCCESS" in rest
    assert origins - {""} == {urlsplit(url).netloc}


def test_the_demo_ends_with_six_right_verifications(running: Project, demo: subprocess.Popen[str]) -> None:
    said, _ = demo.communicate(timeout=150)
    assert not demo.returncode, running.complaint(demo.returncode, said)
    lines = said.splitlines()
    head = next(number for number, line in enumerate(lines) if line.split()[:2] == ["case", "asked"])
    rows = [re.split(r"\s{2,}", line.strip()) for line in lines[head + 1 :]]
    found = {row[0]: tuple(row[1:4]) for row in rows}
    assert {name: found.get(name) for name in EXPECTED} == EXPECTED
