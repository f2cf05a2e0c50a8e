"""Alert rules, each with the series under which it must fire; burn rates by the SRE workbook (multi-window, chapter 5).

The tests are promtool's: every alert fires for its own trouble, and none in the calm.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from services.inbox.domain import STATUS

GUIDE: Final = "docs/operating.md"
_SERVER_TROUBLE: Final = 500
# Answers by which a sender is told that the trouble is ours.
OUR_REASONS: Final = "|".join(sorted(str(reason) for reason, status in STATUS.items() if status >= _SERVER_TROUBLE))

Series = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Alert:
    """One rule. ``breaks`` are the series (one value a minute) under which it fires at ``at``."""

    name: str
    expression: str
    summary: str
    breaks: Series
    minutes: int = 0
    page: bool = False
    at: str = "30m"
    labels: Sequence[Mapping[str, str]] = field(default=({},))


@dataclass(frozen=True, slots=True)
class Objective:
    """A share of good events over 30 days: ``bad`` and ``all`` are PromQL with ``[WINDOW]`` in place of a range."""

    name: str
    title: str
    share: float
    bad: str
    all: str
    breaks: Series

    def alerts(self) -> list[Alert]:
        """Return a page for what would use up a month's budget in two days, and a ticket for what would just."""
        return [
            self._alert("Fast", 14.4, ("1h", "5m"), page=True),
            self._alert("Slow", 3.0, ("1d", "2h"), page=False),
        ]

    def _alert(self, speed: str, rate: float, windows: tuple[str, str], *, page: bool) -> Alert:
        allowed = f"{rate:g} * {1 - self.share:.4g}"
        expression = " and ".join(f"({self.ratio(window)}) > {allowed}" for window in windows)
        return Alert(
            f"Facescan{self.name}Budget{speed}",
            expression,
            f"{self.title}: the error budget is used up {rate:g} times too fast",
            self.breaks,
            minutes=2,
            page=page,
            at="3h",
        )

    def ratio(self, window: str) -> str:
        """Return the share of bad events in a window, as PromQL."""
        return f"{self.bad} / {self.all}".replace("WINDOW", window)


def _bad_and_all(bad: str, whole: str) -> tuple[str, str]:
    return f"sum(rate({bad}[WINDOW]))", f"sum(rate({whole}[WINDOW]))"


_ACCEPTED: Final = 'facescan_inbox_answered_total{reason="accepted"}'
_NOT_STORED: Final = 'facescan_inbox_answered_total{reason="not_stored"}'
_QUICK: Final = 'facescan_inbox_answer_seconds_bucket{le="0.25"}'

OBJECTIVES: Final = (
    Objective(
        "Door",
        "Signed messages are answered for what they are, not with a 5xx of ours",
        0.999,
        *_bad_and_all(f'facescan_inbox_answered_total{{reason=~"{OUR_REASONS}"}}', "facescan_inbox_answered_total"),
        breaks={_ACCEPTED: "0+90x200", _NOT_STORED: "0+10x200"},
    ),
    Objective(
        "DoorLatency",
        "An accepted message is answered within 250 ms",
        0.99,
        f"(sum(rate(facescan_inbox_answer_seconds_count[WINDOW])) - sum(rate({_QUICK}[WINDOW])))",
        "sum(rate(facescan_inbox_answer_seconds_count[WINDOW]))",
        breaks={_QUICK: "0+50x200", "facescan_inbox_answer_seconds_count": "0+100x200"},
    ),
    Objective(
        "Verdict",
        "A verification ends with yes or no, not with an error",
        0.995,
        *_bad_and_all('facescan_verdicts_total{outcome="error"}', "facescan_verdicts_total"),
        breaks={
            'facescan_verdicts_total{outcome="success"}': "0+80x200",
            'facescan_verdicts_total{outcome="error"}': "0+20x200",
        },
    ),
)

_OURS: Final = 'facescan_dead_letters_total{side="ours"}'
_THEIRS: Final = 'facescan_dead_letters_total{side="theirs"}'
# Epoch seconds in promtool's tests begin at 0.
_LONG_AGO: Final = "-9000000x200"

CAUSES: Final = (
    Alert(
        "FacescanDown",
        'up{job="facescan"} == 0',
        "A process is not there or does not answer",
        {'up{job="facescan",role="door"}': "0x200"},
        minutes=5,
        page=True,
        labels=({"job": "facescan", "role": "door"},),
    ),
    Alert(
        "FacescanDeadLettersOurs",
        # A series that was not there before counts from nothing.
        f"sum by (topic) (increase({_OURS}[15m])) > 0 or sum by (topic) ({_OURS} unless {_OURS} offset 15m) > 0",
        "Records were given up by a bug or an outage of ours",
        {'facescan_dead_letters_total{side="ours",topic="facescan.post.requested"}': "_x20 1x200"},
        page=True,
        labels=({"topic": "facescan.post.requested"},),
    ),
    Alert(
        "FacescanDeadLettersTheirs",
        f"sum by (topic) (increase({_THEIRS}[1h])) > 100 "
        f"or sum by (topic) ({_THEIRS} unless {_THEIRS} offset 1h) > 100",
        "Many records were given up that others must mend",
        {'facescan_dead_letters_total{side="theirs",topic="facescan.post.signed"}': "0+10x200"},
        labels=({"topic": "facescan.post.signed"},),
    ),
    Alert(
        "FacescanRecordsWait",
        "max by (group) (facescan_oldest_record_seconds) > 60",
        "Records wait for more than a minute",
        {'facescan_oldest_record_seconds{group="facescan.inbox.router"}': "300x200"},
        minutes=5,
        page=True,
        labels=({"group": "facescan.inbox.router"},),
    ),
    Alert(
        "FacescanLagGrows",
        "sum by (group) (facescan_lag_records) > 1000 and sum by (group) (deriv(facescan_lag_records[10m])) > 0",
        "More comes than is handled",
        {'facescan_lag_records{group="facescan.async_post.sender"}': "0+500x200"},
        minutes=10,
        labels=({"group": "facescan.async_post.sender"},),
    ),
    Alert(
        "FacescanPartUnavailable",
        "sum by (part) (increase(facescan_unavailable_total[5m])) > 0",
        "A part that we need does not answer",
        {'facescan_unavailable_total{part="facescan.verdict.captures"}': "0+5x200"},
        minutes=5,
        labels=({"part": "facescan.verdict.captures"},),
    ),
    Alert(
        "FacescanProviderSlow",
        "histogram_quantile(0.95, "
        'sum by (le) (rate(facescan_store_seconds_bucket{operation=~"rekognition.*"}[10m]))) > 2',
        "The liveness provider takes longer than two seconds",
        {
            'facescan_store_seconds_bucket{operation="rekognition.CompareFaces",le="2.5"}': "0x200",
            'facescan_store_seconds_bucket{operation="rekognition.CompareFaces",le="10"}': "0+10x200",
            'facescan_store_seconds_bucket{operation="rekognition.CompareFaces",le="+Inf"}': "0+10x200",
        },
        minutes=10,
    ),
    Alert(
        "FacescanNothingDelivered",
        'sum(increase(facescan_published_total{topic="facescan.post.signed"}[30m])) > 0 '
        'unless sum(increase(facescan_deliveries_total{meaning="delivered"}[30m])) > 0',
        "Messages are signed, and none arrives anywhere",
        {
            'facescan_published_total{topic="facescan.post.signed"}': "0+5x200",
            'facescan_deliveries_total{meaning="try_again"}': "0+5x200",
        },
        minutes=5,
        page=True,
    ),
    Alert(
        "FacescanReceiversFail",
        'sum(rate(facescan_deliveries_total{meaning="try_again"}[15m])) '
        "/ sum(rate(facescan_deliveries_total[15m])) > 0.3",
        "A third of all deliveries has to be tried again",
        {
            'facescan_deliveries_total{meaning="try_again"}': "0+50x200",
            'facescan_deliveries_total{meaning="delivered"}': "0+50x200",
        },
        minutes=15,
        at="60m",
    ),
    Alert(
        "FacescanBreakersOpen",
        'sum(increase(facescan_breakers_total{to="open"}[30m])) > 20',
        "Many receivers are left alone at once",
        {'facescan_breakers_total{to="open"}': "0+2x200"},
        at="60m",
    ),
    Alert(
        "FacescanEndpointHeld",
        "max by (endpoint) (facescan_endpoint_held) == 1",
        "An endpoint of the map fails and is left alone",
        {'facescan_endpoint_held{endpoint="crm"}': "1x200"},
        minutes=10,
        labels=({"endpoint": "crm"},),
    ),
    Alert(
        "FacescanEndpointMapRefused",
        'sum(increase(facescan_endpoint_map_read_total{outcome="refused"}[10m])) > 0',
        "A new endpoint map is refused; the one before is in use",
        {'facescan_endpoint_map_read_total{outcome="refused"}': "0x20 0+1x200"},
    ),
    Alert(
        "FacescanNoActiveKey",
        "max(facescan_key_active_timestamp_seconds) == 0",
        "There is no active signing key: nothing is signed",
        {"facescan_key_active_timestamp_seconds": "0x200"},
        minutes=5,
        page=True,
    ),
    Alert(
        "FacescanKeyTooOld",
        "time() - min(facescan_key_active_timestamp_seconds > 0 or facescan_key_active_timestamp_seconds < 0) "
        "> 100 * 86400",
        "The signing key has not been followed by a new one for a hundred days",
        {"facescan_key_active_timestamp_seconds": _LONG_AGO},
        minutes=5,
    ),
    Alert(
        "FacescanKeyRingNotRead",
        "time() - min(facescan_key_ring_read_timestamp_seconds) > 600",
        "A signer has not read its keys for ten minutes",
        {"facescan_key_ring_read_timestamp_seconds": "0x200"},
        minutes=5,
        page=True,
    ),
    Alert(
        "FacescanKeyRotationStuck",
        "max(facescan_key_rotation_overdue_seconds) > 3600",
        "A rotation of the signing key does not get on",
        {"facescan_key_rotation_overdue_seconds": "7200x200"},
    ),
    Alert(
        "FacescanKeyRecordInvisible",
        "min(facescan_key_record_visible) == 0",
        "The world does not see the record of the key that signs: receivers refuse our messages",
        {"facescan_key_record_visible": "0x200"},
        minutes=5,
        page=True,
    ),
)

ALERTS: Final[tuple[Alert, ...]] = (*(alert for one in OBJECTIVES for alert in one.alerts()), *CAUSES)

# What a quiet day looks like: no alert may fire in it.
_CALM: Final = {
    'up{job="facescan",role="door"}': "1x200",
    _ACCEPTED: "0+100x200",
    _QUICK: "0+100x200",
    "facescan_inbox_answer_seconds_count": "0+100x200",
    'facescan_verdicts_total{outcome="success"}': "0+80x200",
    'facescan_verdicts_total{outcome="failure"}': "0+20x200",
    'facescan_verdicts_total{outcome="error"}': "0x200",
    'facescan_dead_letters_total{side="theirs",topic="facescan.post.signed"}': "0+1x200",
    'facescan_oldest_record_seconds{group="facescan.inbox.router"}': "0.2x200",
    'facescan_lag_records{group="facescan.async_post.sender"}': "0 20 5x200",
    'facescan_published_total{topic="facescan.post.signed"}': "0+100x200",
    'facescan_deliveries_total{meaning="delivered"}': "0+100x200",
    'facescan_deliveries_total{meaning="try_again"}': "0+3x200",
    'facescan_endpoint_held{endpoint="crm"}': "0x200",
    "facescan_key_active_timestamp_seconds": "1x200",
    "facescan_key_ring_read_timestamp_seconds": "0+60x200",
    "facescan_key_rotation_overdue_seconds": "0x200",
    "facescan_key_record_visible": "1x200",
}


def rules() -> dict[str, Any]:
    """Return Prometheus's rules."""
    return {"groups": [{"name": "facescan", "rules": [_rule(alert) for alert in ALERTS]}]}


def _rule(alert: Alert) -> dict[str, Any]:
    waits = {"for": f"{alert.minutes}m"} if alert.minutes else {}
    return {
        "alert": alert.name,
        "expr": alert.expression,
        **waits,
        "labels": {"severity": _severity(alert)},
        "annotations": _annotations(alert),
    }


def _severity(alert: Alert) -> str:
    return "page" if alert.page else "ticket"


def _annotations(alert: Alert) -> dict[str, str]:
    return {"summary": alert.summary, "runbook": f"{GUIDE}#{alert.name.lower()}"}


def tests() -> dict[str, Any]:
    """Return promtool's unit tests: each alert in its own trouble, all of them in the calm."""
    troubles = [
        {
            "name": alert.name,
            "interval": "1m",
            "input_series": [{"series": name, "values": values} for name, values in alert.breaks.items()],
            "alert_rule_test": [
                {
                    "eval_time": alert.at,
                    "alertname": alert.name,
                    "exp_alerts": [
                        {
                            "exp_labels": {"severity": _severity(alert), **labels},
                            "exp_annotations": _annotations(alert),
                        }
                        for labels in alert.labels
                    ],
                }
            ],
        }
        for alert in ALERTS
    ]
    calm = {
        "name": "a quiet day",
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in _CALM.items()],
        "alert_rule_test": [{"eval_time": "3h", "alertname": alert.name, "exp_alerts": []} for alert in ALERTS],
    }
    return {
        "rule_files": ["../helm/facescan/files/alerts.yaml"],
        "evaluation_interval": "1m",
        "tests": [*troubles, calm],
    }
