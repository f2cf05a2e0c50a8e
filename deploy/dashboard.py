"""The Grafana dashboard, as data: rows of panels, each with its queries."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from deploy.alerts import OBJECTIVES

_WIDTH: Final = 24
_HEIGHT: Final = 8
_SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}


@dataclass(frozen=True, slots=True)
class Panel:
    """One graph: its title, what its numbers are, and (PromQL, legend) for each line."""

    title: str
    unit: str
    queries: Sequence[tuple[str, str]]
    kind: str = "timeseries"


def _rate(metric: str, by: str) -> tuple[str, str]:
    return f"sum by ({by}) (rate({metric}[$__rate_interval]))", f"{{{{{by}}}}}"


def _quantiles(metric: str, more: str = "", by: str = "") -> list[tuple[str, str]]:
    labels = f"le, {by}" if by else "le"
    legend = f" {{{{{by}}}}}" if by else ""
    return [
        (
            f"histogram_quantile({share}, sum by ({labels}) (rate({metric}_bucket{more}[$__rate_interval])))",
            f"p{share * 100:.0f}{legend}",
        )
        for share in (0.5, 0.95)
    ]


ROWS: Final[tuple[tuple[str, tuple[Panel, ...]], ...]] = (
    (
        "Objectives",
        tuple(
            Panel(one.title, "percentunit", [(f"1 - ({one.ratio('1h')})", "1 h"), (f"1 - ({one.ratio('1d')})", "1 d")])
            for one in OBJECTIVES
        ),
    ),
    (
        "The door",
        (
            Panel("Answers", "reqps", [_rate("facescan_inbox_answered_total", "reason")]),
            Panel("Time to answer", "s", _quantiles("facescan_inbox_answer_seconds")),
            Panel(
                "In hand",
                "short",
                [
                    ("sum(facescan_inbox_in_flight)", "messages"),
                    ("max(facescan_inbox_loop_lag_seconds)", "loop lag, s"),
                ],
            ),
            Panel("Routed, copies among them", "reqps", [_rate("facescan_inbox_routed_total", "outcome")]),
            Panel("Key look-ups", "reqps", [_rate("facescan_key_look_ups_total", "answer")]),
            Panel("Key cache", "reqps", [_rate("facescan_key_cache_total", "outcome")]),
        ),
    ),
    (
        "Kafka",
        (
            Panel("Lag", "short", [("sum by (group) (facescan_lag_records)", "{{group}}")]),
            Panel("Oldest record", "s", [("max by (group) (facescan_oldest_record_seconds)", "{{group}}")]),
            Panel("Handled", "reqps", [_rate("facescan_consumed_total", "topic")]),
            Panel("Time to handle", "s", _quantiles("facescan_handling_seconds", by="topic")),
            Panel("Published", "reqps", [_rate("facescan_published_total", "topic")]),
            Panel("Waits for a part", "reqps", [_rate("facescan_unavailable_total", "part")]),
            Panel(
                "Dead letters",
                "short",
                [("sum by (side, topic) (increase(facescan_dead_letters_total[1h]))", "{{side}} {{topic}}")],
            ),
            Panel("Sent to wait", "reqps", [_rate("facescan_delayed_total", "topic")]),
        ),
    ),
    (
        "Verifications",
        (
            Panel("Verdicts", "reqps", [_rate("facescan_verdicts_total", "outcome")]),
            Panel("Scan page", "reqps", [_rate("facescan_scan_page_total", "screen")]),
            Panel(
                "Provider",
                "s",
                _quantiles("facescan_store_seconds", '{operation=~"rekognition.*"}', by="operation"),
            ),
            Panel("Stores", "s", _quantiles("facescan_store_seconds", '{operation!~"rekognition.*"}', by="operation")),
        ),
    ),
    (
        "Deliveries",
        (
            Panel("Deliveries", "reqps", [_rate("facescan_deliveries_total", "meaning")]),
            Panel("Time to deliver", "s", _quantiles("facescan_delivery_seconds")),
            Panel("Held untried", "reqps", [_rate("facescan_deliveries_held_total", "why")]),
            Panel(
                "Receivers left alone",
                "short",
                [
                    (
                        'sum(facescan_breakers_total{to="open"} or vector(0)) - '  # noqa: ISC004 - one query
                        'sum(facescan_breakers_total{to="closed"} or vector(0))',
                        "open",
                    )
                ],
            ),
            Panel("Endpoints", "reqps", [_rate("facescan_endpoint_deliveries_total", "endpoint")]),
            Panel("Feedback", "reqps", [_rate("facescan_feedback_total", "outcome")]),
        ),
    ),
    (
        "Keys",
        (
            Panel("Age of the signing key", "s", [("time() - min(facescan_key_active_timestamp_seconds > 0)", "age")]),
            Panel("Rotation overdue", "s", [("max(facescan_key_rotation_overdue_seconds)", "overdue")]),
            Panel("Record visible", "short", [("min(facescan_key_record_visible)", "visible")]),
        ),
    ),
    (
        "Processes",
        (
            Panel("Memory", "bytes", [('sum by (role) (process_resident_memory_bytes{job="facescan"})', "{{role}}")]),
            Panel(
                "CPU",
                "short",
                [('sum by (role) (rate(process_cpu_seconds_total{job="facescan"}[$__rate_interval]))', "{{role}}")],
            ),
            Panel("File handles", "short", [('max by (role) (process_open_fds{job="facescan"})', "{{role}}")]),
        ),
    ),
)


def panels() -> Iterator[Panel]:
    """Give every panel."""
    for _, row in ROWS:
        yield from row


def dashboard() -> dict[str, Any]:
    """Return Grafana's JSON."""
    things: list[dict[str, Any]] = []
    top = 0
    for title, row in ROWS:
        things.append(
            {
                "id": len(things) + 1,
                "type": "row",
                "title": title,
                "collapsed": False,
                "panels": [],
                "gridPos": {"x": 0, "y": top, "w": _WIDTH, "h": 1},
            }
        )
        top += 1
        width = _WIDTH // min(3, len(row))
        for index, panel in enumerate(row):
            x, line = index % 3 * width, index // 3
            things.append(_panel(panel, len(things) + 1, {"x": x, "y": top + line * _HEIGHT, "w": width, "h": _HEIGHT}))
        top += (len(row) + 2) // 3 * _HEIGHT
    return {
        "uid": "facescan",
        "title": "facescan",
        "schemaVersion": 39,
        "version": 1,
        "editable": False,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {
            "list": [{"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Source"}]
        },
        "panels": things,
    }


def _panel(panel: Panel, identifier: int, place: dict[str, int]) -> dict[str, Any]:
    return {
        "id": identifier,
        "type": panel.kind,
        "title": panel.title,
        "datasource": _SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + index), "datasource": _SOURCE, "expr": query, "legendFormat": legend}
            for index, (query, legend) in enumerate(panel.queries)
        ],
    }
