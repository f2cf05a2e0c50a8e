"""``facescan erase``: forget a person."""

import asyncio
import time
import uuid
from collections.abc import Mapping
from typing import Final

import click

from cli.connection import kafka_settings, open_aws, store_settings
from cli.output import emit, json_option, table
from cli.persons import Persons, person_id, persons
from cli.publish import SOURCE, publish_event
from shared.cloudevents import CloudEvent
from shared.erasure import OTHER_STORES, erasure_id
from shared.errors import UnavailableError
from shared.events import PersonErasureRequested
from shared.settings import KafkaSettings

_PROMISED_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 0.25


@click.command()
@click.argument("person", callback=person_id)
@click.option("--directly", is_flag=True, help="Without the services: whoever waits for an answer gets none.")
@click.option("--kafka", metavar="HOST:PORT", help="The broker, when no workbench runs in this folder.")
@json_option
def erase(person: str, directly: bool, kafka: str | None, as_json: bool) -> None:
    """Remove everything that is held of PERSON, and list every store.

    Asks the verdict service by an event and waits until it is done, a minute at most. A check that is under way ends
    as "no answer". What is left is a line in the audit trail that names nobody.

    \b
    Example:
      facescan erase p-17
    """  # noqa: D301 - \b is click's mark for lines that are not to be wrapped
    broker = None if directly else kafka_settings(kafka)
    settings = store_settings()
    aws = open_aws(settings)
    try:
        before, after = asyncio.run(_erase(persons(aws, settings), person, broker))
    finally:
        aws.close()
    stores = [{"store": name, "found": count, "left": after.get(name, 0)} for name, count in before.items()]
    rows = [(str(one["store"]), str(one["found"]), str(one["left"])) for one in stores]
    others = [f"{name}: {how}" for name, how in OTHER_STORES.items()]
    text = [*table([("store", "found", "left"), *rows], right=frozenset((1, 2))), "", *others]
    emit({"stores": stores, "elsewhere": dict(OTHER_STORES)}, "\n".join(text), as_json=as_json)


async def _erase(
    parts: Persons, person: str, kafka: KafkaSettings | None
) -> tuple[Mapping[str, int], Mapping[str, int]]:
    """Return what each store held before and after."""
    before = (await parts.holdings.find(person)).counts
    event_id = str(uuid.uuid4())
    entry = erasure_id(SOURCE, event_id)
    if kafka is not None:
        asked = PersonErasureRequested(person=person)
        await publish_event(kafka, asked, CloudEvent(event_id, SOURCE, asked.type, asked.to_json()))
        deadline = time.monotonic() + _PROMISED_SECONDS
        while not await parts.trail.has(entry):
            if time.monotonic() > deadline:
                raise UnavailableError(
                    f"not done within {_PROMISED_SECONDS:.0f} s: is the verdict service running? The request waits in "
                    "Kafka and will be done; --directly does it now, without the services"
                )
            await asyncio.sleep(_LOOK_SECONDS)
    else:
        await parts.trail.append((await parts.erasure.erase(person)).entry(entry, "request"))
    return before, (await parts.holdings.find(person)).counts
