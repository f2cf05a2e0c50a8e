"""The generated documents: the same at every run, and compared with what is there."""

import json
from pathlib import Path

from click.testing import CliRunner

from cli.reference import differences, documents, main, write
from shared.events import EVENTS


def test_documents_are_the_same_at_every_run() -> None:
    assert dict(documents()) == dict(documents())


def test_every_event_has_a_schema_and_every_service_an_asyncapi_document_of_version_3(tmp_path: Path) -> None:
    write(tmp_path)
    assert {path.stem for path in (tmp_path / "schemas").iterdir()} == {event.type for event in EVENTS}
    for service in ("inbox", "session", "verdict", "async_post"):
        document = json.loads((tmp_path / "asyncapi" / f"{service}.json").read_text())
        assert document["asyncapi"].startswith("3.")
        assert document["channels"]


def test_settings_are_listed_once_with_default_and_meaning(tmp_path: Path) -> None:
    write(tmp_path)
    text = (tmp_path / "settings.md").read_text()
    assert text.count("`FACESCAN_DOMAIN` | **required** |") == 1
    assert "`FACESCAN_INBOX_PORT` | `8080` | Its port. |" in text


def test_what_differs_is_named(tmp_path: Path) -> None:
    write(tmp_path)
    assert differences(tmp_path) == []
    (tmp_path / "settings.md").write_text("changed")
    (tmp_path / "asyncapi" / "inbox.json").unlink()
    (tmp_path / "schemas" / "old.json").write_text("{}")
    result = CliRunner().invoke(main, ["--check", "--folder", str(tmp_path)])
    assert result.exit_code == 1
    for line in ("asyncapi/inbox.json: missing", "settings.md: differs", "schemas/old.json: belongs to nothing"):
        assert line in result.output
