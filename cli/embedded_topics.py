"""Topics on a real broker and on the embedded one, which has no controller to create them."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

from shared.errors import UnavailableError
from shared.topics import TOPICS, create_topics

_NONE: Final = -1


async def make_topics(
    bootstrap: str,
    *,
    replication: int = 1,
    partitions: int | None = None,
    security: Mapping[str, Any] = MappingProxyType({}),
) -> list[str]:
    """Create the topics that are missing and return their names. Raises UnavailableError.

    The embedded broker makes a topic when its metadata are first asked for, always with 4 partitions.
    """
    client = AIOKafkaClient(bootstrap_servers=bootstrap, **security)
    try:
        await client.bootstrap()
        controller = client.cluster.controller
        if controller is None or controller.nodeId == _NONE:
            before = set((await client.fetch_all_metadata()).topics())
            await client.set_topics([spec.name for spec in TOPICS])
            return [spec.name for spec in TOPICS if spec.name not in before]
    except KafkaError as error:
        raise UnavailableError(f"Kafka at {bootstrap} does not answer: {type(error).__name__}") from error
    finally:
        await client.close()
    return await create_topics(bootstrap, replication=replication, partitions=partitions, security=security)
