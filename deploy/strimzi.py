"""Kafka by Strimzi: the topics, and for each role a user with the least that it needs.

The topics are those of ``shared.topics``, the users' rights those that the services declare, so that neither drifts.
"""

from collections.abc import Iterator
from typing import Any, Final

from deploy.roles import ROLES, Access, access
from shared.events import VerdictReached, VerificationRequested
from shared.topics import TOPICS

CLUSTER: Final = "facescan"
_API: Final = "kafka.strimzi.io/v1"
_LABELS: Final = {"strimzi.io/cluster": CLUSTER}
_REPLICAS: Final = 3
# What somebody else's system may send and fetch: enough for a hundred requests a second, too little to hurt.
_OUTSIDE_QUOTAS: Final = {
    "producerByteRate": 262144,
    "consumerByteRate": 1048576,
    "requestPercentage": 20,
    "controllerMutationRate": 1,
}


def topics() -> Iterator[dict[str, Any]]:
    """Give a KafkaTopic for each topic; its retention is how long a stopped reader may stay away."""
    for spec in TOPICS:
        yield {
            "apiVersion": _API,
            "kind": "KafkaTopic",
            "metadata": {
                "name": spec.name.replace("_", "-"),
                "labels": _LABELS,
                "annotations": {"facescan/description": spec.description},
            },
            "spec": {
                "topicName": spec.name,
                "partitions": spec.partitions,
                "replicas": _REPLICAS,
                "config": {"retention.ms": spec.retention_seconds * 1000, "min.insync.replicas": 2},
            },
        }


def users() -> Iterator[dict[str, Any]]:
    """Give a KafkaUser for each role, and one for a system of somebody else's, with quotas."""
    for role in ROLES:
        needs = access(role)
        acls = [
            *(_topic(name, *_operations(name, needs), "Describe") for name in sorted({*needs.reads, *needs.writes})),
            *(_group(name) for name in needs.groups),
            *(_group(name, prefix=True) for name in needs.group_prefixes),
            *(_topic(name, "Write", "Describe", prefix=True) for name in needs.write_prefixes),
        ]
        yield _user(f"facescan-{role.name}", acls)
    outside = [
        _topic(VerificationRequested.topic, "Write", "Describe"),
        _topic(VerdictReached.topic, "Read", "Describe"),
        _group("outside.", prefix=True),
    ]
    yield _user("facescan-outside", outside, quotas=_OUTSIDE_QUOTAS)


def _operations(topic: str, needs: Access) -> list[str]:
    return [name for name, topics in (("Read", needs.reads), ("Write", needs.writes)) if topic in topics]


def _user(name: str, acls: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {
        "apiVersion": _API,
        "kind": "KafkaUser",
        "metadata": {"name": name, "labels": _LABELS},
        "spec": {
            "authentication": {"type": "scram-sha-512"},
            "authorization": {"type": "simple", "acls": acls},
            **more,
        },
    }


def _topic(name: str, *operations: str, prefix: bool = False) -> dict[str, Any]:
    return _acl("topic", name, operations, prefix=prefix)


def _group(name: str, *, prefix: bool = False) -> dict[str, Any]:
    return _acl("group", name, ("Read",), prefix=prefix)


def _acl(kind: str, name: str, operations: tuple[str, ...], *, prefix: bool) -> dict[str, Any]:
    pattern = "prefix" if prefix else "literal"
    return {"resource": {"type": kind, "name": name, "patternType": pattern}, "operations": list(operations)}
