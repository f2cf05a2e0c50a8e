"""Alerts and dashboards ask for metrics that running services have, with labels that are bounded."""

import re
from collections import defaultdict

import pytest
from prometheus_client.parser import text_string_to_metric_families

from deploy.alerts import ALERTS
from deploy.dashboard import panels
from tests.service.conftest import System

# Of Prometheus itself and of the process, which its client knows.
OTHERS = {"up", "process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds"}
QUERIES = [alert.expression for alert in ALERTS] + [query for panel in panels() for query, _ in panel.queries]
NAME = re.compile(r"\b(?:facescan|process)_[a-z_]+")
SELECTOR = re.compile(r"\b(facescan_[a-z_]+)\{([^}]*)\}")
# An id, an address or a domain in a label would be one series for each.
MOST_LABEL_VALUES = 60


@pytest.fixture(scope="module")
def exposed(system: System) -> dict[str, dict[str, set[str]]]:
    """Every sample's name that a running service may have, with the labels and their values seen."""
    found: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for service in system.services.values():
        for family in text_string_to_metric_families(service.ask("/metrics")[1]):
            suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"]}.get(family.type, [""])
            for suffix in suffixes:
                _ = found[family.name + suffix]
            for sample in family.samples:
                for label, value in sample.labels.items():
                    found[sample.name][label].add(value)
    return found


@pytest.mark.parametrize("query", QUERIES)
def test_every_query_asks_for_metrics_that_there_are(exposed: dict[str, dict[str, set[str]]], query: str) -> None:
    names = set(NAME.findall(query))
    assert names or "up{" in query
    assert names - OTHERS <= set(exposed)
    for name, selector in SELECTOR.findall(query):
        labels = exposed[name]
        if labels:
            assert set(re.findall(r"(\w+)[!=]", selector)) <= {*labels, "job"}


def test_no_label_has_a_value_for_each_message(exposed: dict[str, dict[str, set[str]]]) -> None:
    for name, labels in exposed.items():
        for label, values in labels.items():
            if name.startswith("facescan_"):
                assert len(values) <= MOST_LABEL_VALUES, (name, label)
