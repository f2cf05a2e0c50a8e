"""Child processes: watched, started again, never left behind."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cli.commands import first_of_ours
from cli.ports import free_ports
from cli.supervisor import Child, Supervisor
from cli.system_file import System, is_alive, read_system, running_system
from shared.errors import ConfigurationError, UnavailableError

SLEEPER = "import time; print('sleeper: ready on nothing', flush=True); time.sleep(60)"


def child(folder: Path, name: str, source: str, *, restarts: bool = False) -> Child:
    """A child that runs ``source``; timeit is a module at hand that runs a text."""
    environment = {"SOURCE": source, "PATH": os.environ["PATH"]}
    return Child(name, "timeit", ["-n1", "-r1", "import os; exec(os.environ['SOURCE'])"], environment,
                 folder / f"{name}.log", restarts)  # fmt: skip


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_child_is_ready_when_it_says_so_and_ends_with_the_block(tmp_path: Path) -> None:
    with Supervisor() as processes:
        pid = processes.start(child(tmp_path, "sleeper", SLEEPER))
        assert processes.wait_for_line("sleeper", "ready on ", 10) == "nothing"
        assert processes.pids == {"sleeper": pid}
    assert not is_alive(pid)


def test_a_death_before_all_is_ready_is_a_failure_with_the_last_line_of_the_log(tmp_path: Path) -> None:
    with Supervisor() as processes:
        processes.start(child(tmp_path, "dying", "raise SystemExit('no such port')", restarts=True))
        why = processes.wait_for_failure(10)
        assert why is not None
        assert why.startswith("dying ended with exit code 1: SystemExit: no such port")
        with pytest.raises(UnavailableError, match="no such port"):
            processes.wait_for_line("dying", "ready on ", 10)


def test_afterwards_a_child_that_may_die_is_started_again(tmp_path: Path) -> None:
    changes: list[int] = []
    with Supervisor(lambda: changes.append(1)) as processes:
        pid = processes.start(child(tmp_path, "sleeper", SLEEPER, restarts=True))
        processes.restart_the_dead()
        processes.send_signal("sleeper", 9)
        eventually(lambda: bool(changes))
        assert processes.pids["sleeper"] != pid
        assert processes.failure is None


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux kills a process with its parent")
def test_children_die_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    source = (
        "import sys, time; from pathlib import Path; from cli.supervisor import Supervisor, Child\n"
        "with Supervisor() as s:\n"
        "    child = Child('c', 'timeit', ['import time; time.sleep(60)'], {}, Path(sys.argv[1], 'c'))\n"
        "    print(s.start(child), flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", source, str(tmp_path)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert is_alive(pid)
        parent.kill()
    eventually(lambda: not is_alive(pid) or "Z" in Path(f"/proc/{pid}/stat").read_text().split()[2])


def test_free_ports_are_different_and_below_the_ephemeral_range() -> None:
    ports = free_ports(20)
    assert len(set(ports)) == 20
    assert all(20_000 <= port < 31_000 for port in ports)


def test_an_error_is_found_in_the_groups_that_wrap_it() -> None:
    ours = ConfigurationError("x")
    assert first_of_ours(ExceptionGroup("a", [ValueError(), ExceptionGroup("b", [ours])])) is ours
    assert first_of_ours(ExceptionGroup("a", [ValueError()])) is None


def _system(pid: int) -> System:
    return System(
        kafka="127.0.0.1:9092",
        aws="http://127.0.0.1:1",
        inbox="http://127.0.0.1:2/inbox",
        session="http://127.0.0.1:3",
        streaming="wss://127.0.0.1:6",
        dns="127.0.0.1:4",
        domain="id.example",
        world="/world",
        pids={"inbox": 1},
        ops={"inbox": "http://127.0.0.1:5"},
        emulators={},
        log_dir="/log",
        pid=pid,
        verification_seconds=6.0,
    )


def test_a_system_file_is_read_as_it_was_written_and_a_dead_run_does_not_count(tmp_path: Path) -> None:
    path = tmp_path / "system.json"
    assert running_system(tmp_path) is None
    _system(os.getpid()).write(path)
    assert running_system(tmp_path) == read_system(path) == _system(os.getpid())
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    _system(ended.pid).write(path)
    assert running_system(tmp_path) is None


@pytest.mark.parametrize("content", ["{", "[]", "{}"])
def test_a_damaged_system_file_is_one_line(tmp_path: Path, content: str) -> None:
    path = tmp_path / "system.json"
    path.write_text(content)
    with pytest.raises(ConfigurationError, match=str(path)):
        read_system(path)
