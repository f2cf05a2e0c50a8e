"""``facescan topics``: create and list the Kafka topics."""

import asyncio

import click
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

from cli.commands import Commands
from cli.connection import kafka_settings
from cli.embedded_topics import make_topics
from cli.output import emit, json_option, table
from shared.errors import UnavailableError
from shared.kafka_security import security_options
from shared.settings import KafkaSettings
from shared.topics import TOPICS

kafka_option = click.option("--kafka", metavar="HOST:PORT", help="The broker, when no workbench runs in this folder.")


@click.group(cls=Commands)
def topics() -> None:
    """Create or list the Kafka topics of facescan."""


@topics.command()
@click.option("--replication", default=1, show_default=True, type=click.IntRange(1, 9), help="Copies of each topic.")
@click.option(
    "--partitions", type=click.IntRange(1, 10_000), help="Partitions of each topic, instead of its own number."
)
@kafka_option
@json_option
def create(replication: int, partitions: int | None, kafka: str | None, as_json: bool) -> None:
    """Create the topics that are missing; those that exist stay as they are.

    \b
    Example:
      facescan topics create --replication 3
    """  # noqa: D301 - \b is click's mark for lines that are not to be wrapped
    settings = kafka_settings(kafka)
    made = asyncio.run(
        make_topics(
            settings.kafka_bootstrap,
            replication=replication,
            partitions=partitions,
            security=security_options(settings),
        )
    )
    emit({"created": made}, "\n".join(made) or "all topics are there", as_json=as_json)


@topics.command("list")
@kafka_option
@json_option
def list_topics(kafka: str | None, as_json: bool) -> None:
    """List the topics: partitions on the broker, hours that records are kept, what for."""
    there = asyncio.run(_partitions(kafka_settings(kafka)))
    rows = [
        {
            "topic": spec.name,
            "partitions": there.get(spec.name, 0),
            "retention_hours": spec.retention_seconds // 3600,
            "description": spec.description,
        }
        for spec in TOPICS
    ]
    lines = table(
        [("topic", "partitions", "hours", "")]
        + [
            (
                str(row["topic"]),
                str(row["partitions"] or "missing"),
                str(row["retention_hours"]),
                str(row["description"]),
            )
            for row in rows
        ],
        right=frozenset({1, 2}),
    )
    emit(rows, "\n".join(lines), as_json=as_json)


async def _partitions(settings: KafkaSettings) -> dict[str, int]:
    """Return how many partitions each topic of the broker has. Raises UnavailableError."""
    bootstrap = settings.kafka_bootstrap
    client = AIOKafkaClient(bootstrap_servers=bootstrap, **security_options(settings))
    try:
        await client.bootstrap()
        cluster = await client.fetch_all_metadata()
        return {name: len(cluster.partitions_for_topic(name) or ()) for name in cluster.topics()}
    except KafkaError as error:
        raise UnavailableError(f"Kafka at {bootstrap} does not answer: {type(error).__name__}") from error
    finally:
        await client.close()
