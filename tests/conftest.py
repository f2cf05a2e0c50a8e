"""Fixtures that any test may ask for, and the account of what a run did not test."""

import pytest

from tests.support.kafka_fixtures import kafka_cluster, real_kafka, report_not_tested

__all__ = ["kafka_cluster", "real_kafka"]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say loudly what could not be tested here."""
    report_not_tested(terminalreporter)
