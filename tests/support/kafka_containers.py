"""Apache Kafka's own image, by testcontainers.

testcontainers' ``KafkaContainer`` knows only Confluent's image: it wants that image's version numbers and runs scripts
that lie in it. All else in it holds for ``apache/kafka`` too.
"""

import contextlib
import shutil
import subprocess
from collections.abc import Mapping
from typing import Self

from testcontainers.community.kafka import KafkaContainer
from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer

from tests.support.kafka_node import FRUGAL, VERSION, KafkaNotObtainableError, cluster_settings, last_lines

IMAGE = f"apache/kafka:{VERSION}"
PULL_SECONDS = 240
STOP_SECONDS = 30
START_SECONDS = 120


def pull() -> None:
    """Makes sure that the image is there, from the mirror that testcontainers is told to use, if any."""
    docker = shutil.which("docker") or "docker"
    image = testcontainers_config.hub_image_name_prefix + IMAGE
    there = subprocess.run([docker, "image", "inspect", image], capture_output=True, timeout=30, check=False)
    if there.returncode == 0:
        return
    try:
        done = subprocess.run(
            [docker, "pull", "--quiet", image], capture_output=True, text=True, timeout=PULL_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise KafkaNotObtainableError(f"Docker did not pull {image} within {PULL_SECONDS} s") from None
    if done.returncode:
        raise KafkaNotObtainableError(f"Docker has no image {image} and cannot pull it: {done.stderr.strip()}")


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Returns properties as the variables that the image turns back into properties."""
    return {f"KAFKA_{key.upper().replace('.', '_')}": value for key, value in settings.items()}


def _machine(heap: str) -> dict[str, str]:
    return {"KAFKA_HEAP_OPTS": heap, "KAFKA_JVM_PERFORMANCE_OPTS": " ".join(FRUGAL)}


class ApacheKafkaContainer(KafkaContainer):
    """One node, broker and controller, reachable from the test process through a port that Docker maps."""

    NODE_ID = 1  # set by the class above

    def __init__(self, heap: str) -> None:
        super().__init__(IMAGE)
        self.with_envs(**environment(cluster_settings(brokers=1)), **_machine(heap))
        self.with_kraft()

    def _verify_min_kraft_version(self) -> None:
        """Accepts every version: Apache Kafka's 4.x are all KRaft."""

    def start(self, timeout: int = START_SECONDS) -> Self:
        """Starts the node and waits for it; the library's own 30 s are few on a machine that is full."""
        return super().start(timeout)

    @property
    def address(self) -> str:
        """host:port for clients, with loopback as a number: ``localhost`` may mean IPv6 as well."""
        host = self.get_container_host_ip().replace("localhost", "127.0.0.1")
        return f"{host}:{self.get_exposed_port(self.port)}"

    def tc_start(self) -> None:
        """Tells the waiting container at which port it can be reached, upon which it starts Kafka."""
        inside = "BROKER://$(hostname -i | cut -d' ' -f1):9092"
        script = (
            "#!/bin/bash\n"
            f"export KAFKA_ADVERTISED_LISTENERS={self.listener_name}://{self.address},{inside}\n"
            "exec /etc/kafka/docker/run\n"
        )
        self.create_file(script.encode(), self.TC_START_SCRIPT)


def host_network_container(settings: Mapping[str, str], heap: str, cluster_id: str) -> DockerContainer:
    """Returns a container, not yet started, whose node listens on this machine's own loopback."""
    variables = environment(settings) | _machine(heap) | {"CLUSTER_ID": cluster_id}
    return DockerContainer(IMAGE).with_envs(**variables).with_kwargs(network_mode="host")


class ContainerNode:
    """A container as a node: killed and started again it keeps its data, removed it leaves nothing."""

    def __init__(self, container: DockerContainer) -> None:
        self._container = container
        self._created = False

    @property
    def alive(self) -> bool:
        if not self._created:
            return False
        self._container.reload()
        return self._container.status == "running"

    def start(self) -> None:
        if self._created:
            self._container.get_wrapped_container().start()
        else:
            self._container.start()
            self._created = True

    def kill(self) -> None:
        if self.alive:
            container = self._container.get_wrapped_container()
            container.kill(signal="SIGKILL")
            container.wait(timeout=STOP_SECONDS)

    def remove(self) -> None:
        self._container.stop()

    def log_tail(self) -> str:
        with contextlib.suppress(Exception):  # a log is for the reader of an error, never a second error
            return last_lines(b"\n".join(self._container.get_logs()).decode(errors="replace"))
        return ""
