"""A real Apache Kafka that lets nobody in without a name, and nobody do what no rule allows him."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from confluent_kafka import admin

from emulators.certificates import CA_FILE, issue_certificate, make_authority
from tests.support.kafka_jars import DataFolder, JavaNode, fetch
from tests.support.kafka_node import LOOPBACK, KafkaNotObtainableError, free_ports, new_cluster_id, node_settings
from tests.support.real_kafka import SINGLE_HEAP, Cluster, available

# The client's types name half of what it has.
ADMIN: Any = admin
ITERATIONS = 4096


@dataclass(frozen=True)
class SecuredKafka:
    """``plain`` is the administrator's way in, ``scram`` and ``mutual`` (TLS with a certificate) everybody else's."""

    plain: str
    scram: str
    mutual: str
    folder: Path

    @property
    def ca(self) -> Path:
        return self.folder / CA_FILE

    def as_user(self, name: str) -> dict[str, str]:
        """Return the settings by which a service is this user."""
        return {
            "FACESCAN_KAFKA_BOOTSTRAP": self.scram,
            "FACESCAN_KAFKA_SECURITY": "sasl-tls",
            "FACESCAN_KAFKA_CA": str(self.ca),
            "FACESCAN_KAFKA_USERNAME": name,
            "FACESCAN_KAFKA_PASSWORD": password(name),
        }

    def add(self, users: list[Mapping[str, Any]]) -> None:
        """Make users as Strimzi's operator does from KafkaUser resources: credentials and rights."""
        client = ADMIN.AdminClient({"bootstrap.servers": self.plain})
        info = ADMIN.ScramCredentialInfo(ADMIN.ScramMechanism.SCRAM_SHA_512, ITERATIONS)
        names = [user["metadata"]["name"] for user in users]
        wanted = [ADMIN.UserScramCredentialUpsertion(name, info, password(name).encode()) for name in names]
        for made in client.alter_user_scram_credentials(wanted).values():
            made.result(20)
        rules = [rule for user in users for rule in _rules(user)]
        for done in client.create_acls(rules).values():
            done.result(20)


def password(name: str) -> str:
    """Return the user's password."""
    return f"the password of {name}"


def _rules(user: Mapping[str, Any]) -> Iterator[Any]:
    patterns = {"literal": ADMIN.ResourcePatternType.LITERAL, "prefix": ADMIN.ResourcePatternType.PREFIXED}
    for acl in user["spec"]["authorization"]["acls"]:
        resource = acl["resource"]
        for operation in acl["operations"]:
            yield ADMIN.AclBinding(
                ADMIN.ResourceType[resource["type"].upper()],
                resource["name"],
                patterns[resource["patternType"]],
                f"User:{user['metadata']['name']}",
                "*",
                ADMIN.AclOperation[operation.upper()],
                ADMIN.AclPermissionType.ALLOW,
            )


@contextmanager
def secured_kafka(folder: Path) -> Iterator[SecuredKafka]:
    """Start one node from jars. Raises KafkaNotObtainableError where there is no Java."""
    if "java" not in available().kinds:
        raise KafkaNotObtainableError(available().missing["java"])
    fetch()
    make_authority(folder)
    certificate, key = issue_certificate(folder, [LOOPBACK])
    store = folder / "broker.pem"
    store.write_bytes(key + certificate)
    plain, controller, scram, mutual = free_ports(4)
    listeners = f"PLAINTEXT://{LOOPBACK}:{plain},SCRAM://{LOOPBACK}:{scram},MUTUAL://{LOOPBACK}:{mutual}"
    scram_login = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
    settings = node_settings(0, [plain], [controller]) | {
        "listeners": f"{listeners},CONTROLLER://{LOOPBACK}:{controller}",
        "advertised.listeners": listeners,
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SCRAM:SASL_SSL,MUTUAL:SSL",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",  # whoever reaches the administrator's listener
        "sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "listener.name.scram.scram-sha-512.sasl.jaas.config": scram_login,
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(store),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(folder / CA_FILE),
        "listener.name.mutual.ssl.client.auth": "required",
        "listener.name.mutual.ssl.principal.mapping.rules": "RULE:^.*$/facescan-mutual/",
    }
    DataFolder.sweep()
    data = DataFolder()
    node = JavaNode(data.path / "0", settings, SINGLE_HEAP, new_cluster_id())
    node.format()
    cluster = Cluster("java", [node], [f"{LOOPBACK}:{plain}"], data.remove)
    try:
        cluster.start(0)
        cluster.wait_ready()
        yield SecuredKafka(f"{LOOPBACK}:{plain}", f"{LOOPBACK}:{scram}", f"{LOOPBACK}:{mutual}", folder)
    finally:
        cluster.close()
