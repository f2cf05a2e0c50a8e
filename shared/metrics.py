"""Prometheus metrics that more than one service has; labels are bounded sets, never ids or domains."""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

CONSUMED: Final = Counter(
    "facescan_consumed_total", "Records taken from a topic, by how they ended.", ["topic", "outcome"]
)
IN_FLIGHT: Final = Gauge("facescan_in_flight", "Records being handled now.", ["group"])
LAG: Final = Gauge("facescan_lag_records", "Records of this process's partitions that are not finished.", ["group"])
OLDEST_SECONDS: Final = Gauge(
    "facescan_oldest_record_seconds", "For how long the oldest record in hand has been in Kafka.", ["group"]
)
HANDLING_SECONDS: Final = Histogram(
    "facescan_handling_seconds",
    "Time to handle one record, retries in place included.",
    ["topic"],
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60),
)
DEAD_LETTERS: Final = Counter(
    "facescan_dead_letters_total", "Records put aside, ours (bug, outage) or theirs (junk).", ["side", "topic"]
)
DELAYED: Final = Counter("facescan_delayed_total", "Records that wait in a delay topic.", ["topic"])
PUBLISHED: Final = Counter("facescan_published_total", "Events acknowledged by the broker.", ["topic"])
STORE_SECONDS: Final = Histogram(
    "facescan_store_seconds",
    "Time of one call to a store or provider, retries included.",
    ["operation"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)
UNAVAILABLE: Final = Counter("facescan_unavailable_total", "Waits for a part that did not answer.", ["part"])
