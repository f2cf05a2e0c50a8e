"""A running process that holds the private half: it leaves no core, and says the key nowhere."""

import asyncio
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.broker import Publisher
from shared.events import PostRequested, PostSigned
from shared.settings import KafkaSettings
from tests.support.kafka_fixtures import leave_untested
from tests.support.key_spellings import spellings
from tests.support.readers import all_records, partitions_of_topics, until, until_async
from tests.support.service_process import ServiceProcess, Surroundings, surroundings

_UNLIMITED = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)


@pytest.fixture(scope="module")
def around(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Surroundings]:
    """A broker of its own: the embedded one refuses the slower of two members of a group, whichever that is."""
    with surroundings(tmp_path_factory.mktemp("around")) as found:
        asyncio.run(found.prepare())
        yield found


@pytest.fixture(scope="module")
def service(around: Surroundings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    folder = tmp_path_factory.mktemp("async_post")
    with ServiceProcess("async_post", around.environment() | {"FACESCAN_LOG_LEVEL": "DEBUG"}, folder) as started:
        yield started.wait_ready()


async def test_no_log_line_event_metric_argument_or_variable_has_the_private_half(
    around: Surroundings, service: ServiceProcess
) -> None:
    publisher = Publisher(KafkaSettings(kafka_bootstrap=around.kafka), "//test")
    await publisher.start()
    await publisher.publish(PostRequested(to="nobody.example", subject="A@B", body={}, correlation=None))
    await publisher.stop()

    async def signed() -> bool:
        return bool(await all_records(around.kafka, PostSigned.topic))

    await until_async(signed, 20)
    topics = await partitions_of_topics(around.kafka)
    records = [record for topic in topics for record in await all_records(around.kafka, topic)]
    process = Path(f"/proc/{service.process.pid}")
    everything = b"\n".join(
        [
            service.said().encode(),
            service.ask("/metrics")[1].encode(),
            (process / "cmdline").read_bytes(),
            *((process / "environ").read_bytes() for _ in range(os.geteuid() == 0)),
            *(record.value or b"" for record in records),
            *(value or b"" for record in records for _, value in record.headers),
        ]
    )
    assert b"signing key loaded" in everything
    assert b'"Signature"' in everything.replace(b'\\"', b'"')
    assert not [one for one in spellings(around.key.to_pem()) if one in everything]


def _aborted(process: subprocess.Popen[bytes]) -> bool:
    """Whether a process leaves a core when it aborts, its limit lifted where that is permitted (CAP_SYS_RESOURCE)."""
    try:
        resource.prlimit(process.pid, resource.RLIMIT_CORE, _UNLIMITED)
    except PermissionError:
        _, hard = resource.prlimit(process.pid, resource.RLIMIT_CORE)
        resource.prlimit(process.pid, resource.RLIMIT_CORE, (hard, hard))
    process.send_signal(signal.SIGABRT)
    _, status = os.waitpid(process.pid, 0)
    process.returncode = -signal.SIGABRT
    assert os.WTERMSIG(status) == signal.SIGABRT
    return os.WCOREDUMP(status)


def test_a_process_with_keys_leaves_no_core_where_a_careless_one_does(
    around: Surroundings, service: ServiceProcess, tmp_path: Path
) -> None:
    assert resource.prlimit(service.process.pid, resource.RLIMIT_CORE) == (0, 0)
    command = [sys.executable, "-m", "cli.main", "keys", "rotate"]
    settings = {"FACESCAN_SIGNING_SECRET": "core-test/ring", "FACESCAN_KEY_PUBLISHER": "by-hand"}
    log = tmp_path / "rotate.log"
    with log.open("wb") as output:
        waiting = subprocess.Popen(command, env=around.environment() | settings, cwd=tmp_path, stderr=output)
    try:
        asyncio.run(until(lambda: "waiting" in log.read_text(), 20))
        assert resource.prlimit(waiting.pid, resource.RLIMIT_CORE) == (0, 0)
        if os.geteuid() != 0:
            # What is undumpable belongs to root, whoever runs it (proc(5)).
            assert {Path(f"/proc/{pid}").stat().st_uid for pid in (waiting.pid, service.process.pid)} == {0}
        careless = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, cwd=tmp_path)
        leaves = _aborted(careless)
        assert not _aborted(waiting)
        assert not _aborted(service.process)
        if not leaves:
            leave_untested("that keys are in no core", "here not even a careless process leaves one")
    finally:
        waiting.kill()
        waiting.wait(10)


def test_the_guard_makes_a_process_undumpable() -> None:
    script = (
        "import ctypes; from shared.core_dumps import forbid_core_dumps as forbid; libc = ctypes.CDLL(None);"
        "before = libc.prctl(3, 0, 0, 0, 0); forbid(); print(before, libc.prctl(3, 0, 0, 0, 0))"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert said.split() == ["1", "0"]
