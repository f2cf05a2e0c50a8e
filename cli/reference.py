"""Generated documents: the events' JSON Schemas, each service's AsyncAPI, the tables of settings and decisions.

``python -m cli.reference`` writes them, ``--check`` says which differ from what would be written.
"""

import importlib
import json
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any, Final

import click
from pydantic.fields import FieldInfo

from cli.policy_document import policy_document
from cli.ports import free_ports
from cli.run import ALL
from cli.settings_known import settings_models
from services.inbox.endpoint_map import EndpointFile
from services.inbox.manifest import Manifest
from shared.events import EVENTS
from shared.service import VERSION
from shared.settings import PREFIX, Settings, load

DOCUMENTS: Final = Path(__file__).parents[1] / "docs"
# What the services insist on; none of it stands in a document.
_PLACEHOLDERS: Final = {
    "DOMAIN": "id.example",
    "ENVIRONMENT": "development",  # needs no role and no file
    "KAFKA_BOOTSTRAP": "localhost:9092",
    "SESSION_PUBLIC_URL": "https://scan.id.example",
    "SCAN_TOKEN_SECRET": "x" * 32,
}
_SCHEMA_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_GENERATED: Final = "<!-- Written by `python -m cli.reference`; do not edit. -->"
_INTRODUCTION: Final = f"""\
{_GENERATED}
# Settings

Every setting is an environment variable, checked once at the start; a wrong one ends the process with one line that
names it. AWS's own variables (`AWS_REGION`, `AWS_ENDPOINT_URL`, credentials) are read by its library under AWS's names.
`OTEL_EXPORTER_OTLP_ENDPOINT` turns tracing on.
"""


def documents() -> Iterator[tuple[str, str]]:
    """Give path (below ``docs/``) and text of each document."""
    for event in EVENTS:
        schema = {"$schema": _SCHEMA_DIALECT, "$id": event.type, **event.model_json_schema()}
        yield f"schemas/{event.type}.json", _json(schema)
    for name, model in (("endpoint-map", EndpointFile), ("manifest", Manifest)):
        yield f"{name}.schema.json", _json({"$schema": _SCHEMA_DIALECT, **model.model_json_schema()})
    for service in ALL:
        yield f"asyncapi/{service}.json", _json(asyncapi(service))
    # Found by name, as the services are: the command imports none of them.
    for service in ("async_post", "gateway", "inbox"):
        described = importlib.import_module(f"services.{service}.openapi").openapi(VERSION)
        yield f"openapi/{service}.json", _json(described)
    yield "settings.md", settings_document()
    yield "policy.md", f"{_GENERATED}\n{policy_document()}"


def asyncapi(service: str) -> Mapping[str, Any]:
    """Return the AsyncAPI document of a service. Nothing is connected."""
    application = importlib.import_module(f"services.{service}.app")
    # A service may bind its ports while it is put together: free ones, so that a running system is not in the way.
    names = [name for name in application.SETTINGS.model_fields if name.endswith("_port")]
    ports = {name.upper(): str(port) for name, port in zip(names, free_ports(len(names)), strict=True)}
    values = {PREFIX + name: value for name, value in (_PLACEHOLDERS | ports).items()}
    built = application.build(load(application.SETTINGS, values))
    document: dict[str, Any] = json.loads(built.app.schema.to_specification().to_json())
    return document


def settings_document() -> str:
    """Return the tables of settings: those of every service, then those of each."""
    parts = [_INTRODUCTION, "## Every service\n", *_table(Settings.model_fields)]
    for service, model in settings_models():
        own = {name: field for name, field in model.model_fields.items() if name not in Settings.model_fields}
        parts += [f"\n## {service}\n", *(_table(own) if own else ["None of its own."])]
    return "\n".join(parts) + "\n"


def _table(fields: Mapping[str, FieldInfo]) -> list[str]:
    rows = ["| variable | default | meaning |", "| --- | --- | --- |"]
    for name, field in fields.items():
        meaning = " ".join((field.description or "").split()).replace("|", "\\|")
        rows.append(f"| `{PREFIX}{name.upper()}` | {_default(field)} | {meaning} |")
    return rows


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**required**"
    value = field.default
    if value is None or value == "":
        return "none"
    if isinstance(value, Enum):
        value = value.value
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def _json(document: Any) -> str:
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def differences(folder: Path) -> list[str]:
    """Return which files in ``folder`` are not as they would be written, and why, one line each."""
    found = []
    wanted = dict(documents())
    for name, text in wanted.items():
        path = folder / name
        if not path.exists():
            found.append(f"{path}: missing")
        elif path.read_text() != text:
            found.append(f"{path}: differs")
    found += [
        f"{path}: belongs to nothing that is there now"
        for kind in ("schemas", "asyncapi", "openapi")
        for path in sorted((folder / kind).glob("*.json"))
        if f"{kind}/{path.name}" not in wanted
    ]
    return found


def write(folder: Path) -> None:
    """Write all documents into ``folder``."""
    for name, text in documents():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@click.command()
@click.option("--check", is_flag=True, help="Write nothing; exit code 1 names each file that differs.")
@click.option("--folder", default=DOCUMENTS, type=click.Path(file_okay=False, path_type=Path), help="Instead of docs/.")
def main(*, check: bool, folder: Path) -> None:
    """Write the generated documents: schemas of the events, AsyncAPI of the services, the settings."""
    if not check:
        write(folder)
        return
    if found := differences(folder):
        raise click.ClickException("\n".join([*found, "write them again with: python -m cli.reference"]))


if __name__ == "__main__":
    main()
