"""The roles: what runs as a Deployment of its own, and what each reads and writes, as the services declare it."""

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from services.async_post.delayer import TARGETS
from services.inbox.endpoint_readers import GROUP_PREFIX
from shared.events import INBOX_ACCEPTED_TOPIC, EndpointRequested
from shared.outbound_addresses import GLOBAL_IPV6, REFUSED_IPV4, REFUSED_IPV6
from shared.service import Service
from shared.settings import PREFIX, load
from shared.topics import DEAD_OURS, DEAD_THEIRS, TOPICS

# What the services insist on; none of it stands in what is written.
_PLACEHOLDERS: Final = {
    "DOMAIN": "id.example",
    "ENVIRONMENT": "development",  # needs no role and no file
    "KAFKA_BOOTSTRAP": "localhost:9092",
    "SESSION_PUBLIC_URL": "https://scan.id.example",
    "SCAN_TOKEN_SECRET": "x" * 32,
}
# Records of these are written by everybody who reads, and brought back by the delayer.
DELAY_PREFIX: Final = "facescan.delay."
DEAD_PREFIX: Final = "facescan.dead."


@dataclass(frozen=True, slots=True)
class Role:
    """One Deployment: a service, and the settings that make it this part of it.

    ``port`` is the container's public one and ``address_setting`` the variable that opens it. ``also_writes`` and
    ``also_reads`` (group prefix to topics) are what its service cannot declare. ``internet`` says that it connects to
    whom others name, ``optional`` that it runs only where it is asked for.
    """

    name: str
    service: str
    settings: Mapping[str, str]
    port: int | None = None
    address_setting: str = ""
    also_writes: Sequence[str] = ()
    also_reads: Mapping[str, Sequence[str]] | None = None
    internet: bool = False
    optional: bool = False

    def build(self) -> Service:
        """Put the service together as this role; nothing is connected."""
        application: Any = importlib.import_module(f"services.{self.service}.app")
        values = {PREFIX + name: value for name, value in {**_PLACEHOLDERS, **self.settings}.items()}
        built: Service = application.build(load(application.SETTINGS, values))
        return built

    @property
    def variables(self) -> dict[str, str]:
        """The settings by their whole names."""
        return {PREFIX + name: value for name, value in self.settings.items()}


ROLES: Final = (
    Role(
        "door",
        "inbox",
        {"INBOX_ROLES": "door"},
        port=8080,
        address_setting="INBOX_HOST",
        also_writes=(INBOX_ACCEPTED_TOPIC,),
    ),
    Role(
        "router",
        "inbox",
        {"INBOX_ROLES": "router"},
        also_reads={GROUP_PREFIX: (EndpointRequested.topic,)},
    ),
    Role("session", "session", {}, port=8081, address_setting="SESSION_HOST"),
    Role("verdict", "verdict", {}),
    Role("signer", "async_post", {"POST_ROLES": "signer,delayer"}, also_writes=tuple(map(bytes.decode, TARGETS))),
    Role("sender", "async_post", {"POST_ROLES": "sender"}, internet=True),
    Role("gateway", "gateway", {}, port=8083, address_setting="GATEWAY_HOST", internet=True, optional=True),
)


@dataclass(frozen=True, slots=True)
class Access:
    """What a role does on Kafka: topics that it reads and writes, its groups, and prefixes of either."""

    reads: Sequence[str]
    groups: Sequence[str]
    group_prefixes: Sequence[str]
    writes: Sequence[str]
    write_prefixes: Sequence[str]


def access(role: Role) -> Access:
    """Return the least that a role needs on Kafka, read from the service as it is put together."""
    service = role.build()
    more = role.also_reads or {}
    reads = {topic for topics in (*service.groups.values(), *more.values()) for topic in topics}
    known = {spec.name for spec in TOPICS} - {DEAD_OURS, DEAD_THEIRS}
    writes = {topic for topic in (*service.written, *role.also_writes) if topic in known}
    return Access(
        reads=sorted(reads),
        groups=sorted(service.groups),
        group_prefixes=sorted(more),
        writes=sorted(topic for topic in writes if not topic.startswith(DELAY_PREFIX)),
        write_prefixes=[DEAD_PREFIX, DELAY_PREFIX] if reads else [],
    )


def not_public() -> dict[str, Any]:
    """Return the networks that the sender refuses, for the network policy before it."""
    return {
        "ipv4": [str(network) for network in REFUSED_IPV4],
        "global_ipv6": str(GLOBAL_IPV6),
        "ipv6": [str(network) for network in REFUSED_IPV6],
    }


def chart_roles() -> dict[str, Any]:
    """Return what the chart's templates need to know of each role."""
    partitions = {spec.name: spec.partitions for spec in TOPICS}
    found: dict[str, Any] = {}
    for role in ROLES:
        service = role.build()
        lag = [
            {"group": group, "topic": topic, "partitions": partitions[topic]}
            for group, topics in service.groups.items()
            for topic in topics
            # Records there wait on purpose.
            if not topic.startswith(DELAY_PREFIX)
        ]
        found[role.name] = {
            "service": role.service,
            "settings": role.variables | ({PREFIX + role.address_setting: "0.0.0.0"} if role.port else {}),  # noqa: S104
            "port": role.port or 0,
            "lag": lag,
            "aws": bool(service.aws_services),
            "internet": role.internet,
            "optional": role.optional,
        }
    return found
