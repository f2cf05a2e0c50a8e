"""``facescan publish``: put an event on its topic."""

import asyncio
import json
import sys
import uuid
from pathlib import Path
from typing import Any, Final

import click
from pydantic import ValidationError

from cli.connection import kafka_settings
from cli.output import emit, json_option
from shared.broker import Publisher
from shared.cloudevents import CloudEvent
from shared.errors import ConfigurationError
from shared.events import EVENTS, EventData, VerificationRequested
from shared.settings import KafkaSettings

_PREFIX: Final = "facescan."
SOURCE: Final = "/facescan/cli"


@click.command()
@click.argument("event", metavar="TYPE")
@click.option("--data", required=True, metavar="JSON|@FILE", help="The event's data; @- reads standard input.")
@click.option("--id", "event_id", help="The event's id; a new UUID when left out. A repeated id is the same event.")
@click.option("--kafka", metavar="HOST:PORT", help="The broker, when no workbench runs in this folder.")
@json_option
def publish(event: str, data: str, event_id: str | None, kafka: str | None, as_json: bool) -> None:
    """Publish an event of TYPE (or of that topic) as a CloudEvent, with the right key, and wait for every replica.

    The data are checked against the event's model: see docs/schemas. A verification that is asked for without
    verification_id gets a new one.

    \b
    Examples:
      facescan publish verification.requested --data '{"locator": "…", "purpose": "open an account"}'
      facescan publish facescan.post.requested.v1 --data @message.json
    """  # noqa: D301 - \b is click's mark for lines that are not to be wrapped
    model = model_of(event)
    checked = checked_data(model, _read(data))
    cloud_event = CloudEvent(id=event_id or str(uuid.uuid4()), source=SOURCE, type=model.type, data=checked.to_json())
    asyncio.run(publish_event(kafka_settings(kafka), checked, cloud_event))
    document: dict[str, Any] = {"id": cloud_event.id, "type": model.type, "topic": model.topic, "key": checked.key()}
    text = f"published {model.type} on {model.topic}, key {checked.key()}, id {cloud_event.id}"
    if isinstance(checked, VerificationRequested):
        document["verification_id"] = checked.verification_id
        text += f"\nfollow it: facescan watch {checked.verification_id}"
    emit(document, text, as_json=as_json)


def model_of(name: str) -> type[EventData]:
    """Return the model of an event's type or topic, with or without ``facescan.`` and ``.v1``."""
    whole = name if name.startswith(_PREFIX) else _PREFIX + name
    for model in EVENTS:
        if whole in (model.type, model.topic):
            return model
    known = ", ".join(model.topic.removeprefix(_PREFIX) for model in EVENTS)
    raise ConfigurationError(f"TYPE: there is no event {name!r}; there are {known}")


def checked_data(model: type[EventData], value: Any) -> EventData:
    """Return the data as the model. Raises ConfigurationError that names the field and what was wrong with it."""
    if not isinstance(value, dict):
        raise ConfigurationError("--data: no JSON object")
    if unknown := [name for name in value if name not in model.model_fields]:
        raise ConfigurationError(f"--data: {unknown[0]}: no such field; there are {', '.join(model.model_fields)}")
    if model is VerificationRequested:
        value = {"verification_id": str(uuid.uuid4()), **value}
    try:
        return model.model_validate_json(json.dumps(value))
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigurationError(f"--data: {where}: {first['msg']}") from error


def _read(given: str) -> Any:
    text = given
    if given.startswith("@"):
        try:
            text = sys.stdin.read() if given == "@-" else Path(given[1:]).read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(
                f"--data: {given[1:]}: cannot be read: {getattr(error, 'strerror', None) or 'not UTF-8'}"
            ) from error
    try:
        return json.loads(text)
    except ValueError as error:
        raise ConfigurationError(f"--data: no JSON: {error}") from error


async def publish_event(settings: KafkaSettings, data: EventData, event: CloudEvent) -> None:
    """Publish one event and wait for every replica. Raises UnavailableError."""
    publisher = Publisher(settings, SOURCE)
    await publisher.start()
    try:
        await publisher.send(data.topic, data.key().encode(), event.data, event.to_headers())
    finally:
        await publisher.stop()
