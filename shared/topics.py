"""The topics, declared as data, and their creation in one shot.

Partitions bound how many replicas can share the work; retention is how long a stopped reader may stay away. Nothing is
created by itself: brokers and clients run with auto-creation off, so that a misspelt name fails loudly.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from shared import events

HOUR_SECONDS: Final = 3600
DAY_SECONDS: Final = 24 * HOUR_SECONDS

# Every delay has a topic of its own, so that the head of each partition is always the next one due (rule 5). Longer
# and odd waits are made of these, largest first. The 10 h rung is the longest step of the post's retry schedule.
DELAY_RUNGS_SECONDS: Final = (1, 5, 30, 300, 1800, 7200, 36000)

DEAD_OURS: Final = "facescan.dead.ours"
DEAD_THEIRS: Final = "facescan.dead.theirs"


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """One topic: its name, how many partitions it is created with, how long records are kept."""

    name: str
    partitions: int
    retention_seconds: int
    description: str


def delay_topic(rung_seconds: int) -> str:
    """Return the name of the topic whose records wait ``rung_seconds``."""
    return f"facescan.delay.{rung_seconds}s"


TOPICS: Final[tuple[TopicSpec, ...]] = (
    TopicSpec(events.INBOX_ACCEPTED_TOPIC, 12, 3 * DAY_SECONDS, "Messages verified at the door, as they came."),
    *(
        TopicSpec(event.topic, 12, 3 * DAY_SECONDS, (event.__doc__ or "").strip().splitlines()[0])
        for event in events.EVENTS
    ),
    *(
        TopicSpec(delay_topic(rung), 4, 3 * DAY_SECONDS, f"Records that come back after {rung} s.")
        for rung in DELAY_RUNGS_SECONDS
    ),
    TopicSpec(DEAD_OURS, 4, 14 * DAY_SECONDS, "Records that a bug or an outage of ours kept from being handled."),
    TopicSpec(DEAD_THEIRS, 4, 14 * DAY_SECONDS, "Records that their writer or receiver must mend."),
)


async def create_topics(
    bootstrap: str,
    *,
    replication: int = 1,
    partitions: int | None = None,
    specs: Sequence[TopicSpec] = TOPICS,
    security: Mapping[str, Any] = MappingProxyType({}),
) -> list[str]:
    """Create the topics that are missing and return their names; those that exist stay as they are.

    ``replication`` is the number of copies; with three, two must be in sync for a write. ``partitions`` overrides
    every topic's own number; ``security`` is of ``shared.kafka_security``. Raises UnavailableError when no
    broker answers.
    """
    from aiokafka.admin import AIOKafkaAdminClient, NewTopic  # noqa: PLC0415 - only this one-shot needs the admin part
    from aiokafka.errors import KafkaError, for_code  # noqa: PLC0415 - likewise

    from shared.errors import UnavailableError  # noqa: PLC0415 - likewise

    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, **security)
    try:
        await admin.start()
        present = set(await admin.list_topics())
        missing = [spec for spec in specs if spec.name not in present]
        if not missing:
            return []
        answer = await admin.create_topics(
            [
                NewTopic(
                    spec.name,
                    num_partitions=partitions or spec.partitions,
                    replication_factor=replication,
                    topic_configs={
                        "retention.ms": str(spec.retention_seconds * 1000),
                        "min.insync.replicas": str(2 if replication > 2 else 1),  # noqa: PLR2004 - a majority of three
                    },
                )
                for spec in missing
            ]
        )
        for name, code, *_ in answer.topic_errors:
            if code and for_code(code).__name__ != "TopicAlreadyExistsError":
                raise UnavailableError(f"topic {name} could not be created: {for_code(code).__name__}")
        return [spec.name for spec in missing]
    except AttributeError as error:  # how the client says that the brokers know no controller
        raise UnavailableError(f"Kafka at {bootstrap} has no controller that creates topics") from error
    except KafkaError as error:
        raise UnavailableError(f"Kafka at {bootstrap} does not answer: {error}") from error
    finally:
        await admin.close()
