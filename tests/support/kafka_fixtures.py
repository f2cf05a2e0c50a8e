"""Fixtures with a real Apache Kafka, and the account of what could not be tested without one.

A ``conftest.py`` imports ``real_kafka`` and ``kafka_cluster`` and calls ``report_not_tested`` from its
``pytest_terminal_summary``. Where no Kafka can be had the tests are skipped, loudly; with ``CI=true`` they fail.
"""

import os
import re
from collections.abc import Callable, Iterator
from typing import NoReturn, TypeVar

import pytest

from tests.support.real_kafka import Cluster, KafkaNotObtainableError, start_cluster, start_single

__all__ = ["kafka_cluster", "leave_untested", "obtain", "real_kafka", "report_not_tested"]

Started = TypeVar("Started")

MARK = "NOT TESTED:"
_SENTENCE = re.compile(rf"{MARK} .*\)")


def leave_untested(what: str, why: str) -> NoReturn:
    """Ends a test that cannot run here: skipped with a sentence that the summary repeats, or failed in CI."""
    sentence = f"{MARK} {what} ({why})"
    if os.environ.get("CI", "").lower() in {"1", "true"}:
        pytest.fail(sentence, pytrace=False)
    pytest.skip(sentence)


def obtain(what: str, start: Callable[[], Started]) -> Started:
    """Returns what ``start`` starts, or leaves ``what`` untested when no Kafka can be had here."""
    try:
        return start()
    except KafkaNotObtainableError as error:
        why = str(error)
    leave_untested(what, why)


def report_not_tested(reporter: pytest.TerminalReporter) -> None:
    """Prints what was not tested, if anything, where nobody overlooks it.

    The reports say it, not this process's memory: the tests may have run in other processes.
    """
    reports = [report for outcome in ("skipped", "failed", "error") for report in reporter.stats.get(outcome, [])]
    sentences = sorted({said for report in reports for said in _SENTENCE.findall(_said(report))})
    if sentences:
        reporter.section("NOT TESTED", sep="!", red=True, bold=True)
        for sentence in sentences:
            reporter.line(sentence, red=True, bold=True)


def _said(report: pytest.TestReport) -> str:
    """Returns what a test that was skipped or failed said."""
    where = report.longrepr
    return where[2] if isinstance(where, tuple) else str(where)


@pytest.fixture(scope="session")
def real_kafka() -> Iterator[str]:
    """One real node for the whole run; yields its bootstrap address. Tests use topics of their own."""
    kafka = obtain("real Apache Kafka", start_single)
    try:
        yield kafka.bootstrap
    finally:
        kafka.close()


@pytest.fixture(scope="module")
def kafka_cluster() -> Iterator[Cluster]:
    """Three real nodes for one module, to kill and to start again."""
    with obtain("a cluster of real Apache Kafka", start_cluster) as cluster:
        yield cluster
