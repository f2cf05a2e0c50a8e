"""The examples of docs/endpoints.md are files that the inbox takes."""

import re
from pathlib import Path

from services.inbox.endpoint_map import read_endpoint_map
from services.inbox.manifest import read_manifest

DOCUMENT = (Path(__file__).parents[4] / "docs" / "endpoints.md").read_text()


def example(kind: str) -> str:
    found = re.search(rf"```{kind}\n(.*?)```", DOCUMENT, re.DOTALL)
    assert found is not None
    return found[1]


def test_the_example_of_a_map_is_one(tmp_path: Path) -> None:
    path = tmp_path / "map.toml"
    path.write_text(example("toml"))
    endpoints = read_endpoint_map(path)
    route = endpoints.find("Prompted@Host")
    assert route is not None
    assert route.replies is not None
    assert route.replies[0] == "prompts"


def test_the_example_of_a_manifest_is_one(tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    path.write_text(example("json"))
    assert read_manifest(path, "id.example").About.Feedback == "buffer.example"
