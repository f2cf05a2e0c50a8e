"""Who runs beside whom in a test run."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

from tests.support.turns import Turns


def _in_thread(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_one_alone_waits_for_those_who_run_and_those_who_come_later_wait_for_it(tmp_path: Path) -> None:
    turns = Turns(tmp_path)
    order: list[str] = []
    leave = threading.Event()

    def early() -> None:
        with turns.beside_others():
            leave.wait(10)
            order.append("early")

    def alone() -> None:
        with turns.alone():
            order.append("alone begins")
            time.sleep(0.1)
            order.append("alone ends")

    def late() -> None:
        with turns.beside_others():
            order.append("late")

    threads = []
    for work in (early, alone, late):
        threads.append(_in_thread(work))
        time.sleep(0.1)
    assert order == []
    leave.set()
    for thread in threads:
        thread.join(10)
    assert order == ["early", "alone begins", "alone ends", "late"]


def test_many_run_side_by_side(tmp_path: Path) -> None:
    turns = Turns(tmp_path)
    both = threading.Barrier(2, timeout=10)

    def beside() -> None:
        with turns.beside_others():
            both.wait()

    threads = [_in_thread(beside) for _ in range(2)]
    for thread in threads:
        thread.join(10)
    assert not both.broken
