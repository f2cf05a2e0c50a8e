"""What the documents say exists: files, headings, commands, options, settings, metrics, make targets, dependencies."""

import functools
import importlib
import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click
import prometheus_client
import pytest

from cli.demo import demo
from cli.main import main
from cli.publish import checked_data, model_of
from cli.run import ALL
from cli.scan import scan
from cli.settings_known import known_variables

ROOT: Final = Path(__file__).parents[2]
DOCUMENTS: Final = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
_FENCED: Final = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_INDENTED: Final = re.compile(r"(?:^ {4}.*\n?)+", re.MULTILINE)
_SPAN: Final = re.compile(r"`([^`\n]+)`")
_LINK: Final = re.compile(r"\]\(([^)\s]+)\)")
_SETTING: Final = re.compile(r"FACESCAN_[A-Z0-9_]*[A-Z0-9]")
_METRIC: Final = re.compile(r"facescan_[a-z_]+(?:_total|_seconds|_in_flight)\b")

each_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


def _code(document: Path) -> list[str]:
    """Returns the pieces of a document that are commands or names: code blocks with joined lines, and spans."""
    text = document.read_text()
    blocks = [match[0] for pattern in (_FENCED, _INDENTED) for match in pattern.finditer(text)]
    prose = _FENCED.sub("", text)
    return [block.replace("\\\n", " ") for block in blocks] + _SPAN.findall(prose)


def _calls(document: Path) -> Iterator[list[str]]:
    """Gives the words after ``facescan`` of each call of it."""
    for piece in _code(document):
        for line in piece.splitlines():
            found = re.search(r"(?:^|[\s/\"|])facescan ((?:[a-z-]|$).*)", line)
            if found:
                try:
                    yield shlex.split(found[1].split(" | ")[0])
                except ValueError:  # a quotation that goes on in the next line
                    yield found[1].split()


def _anchors(document: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", _FENCED.sub("", document.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@each_document
def test_every_relative_link_leads_somewhere(document: Path) -> None:
    for link in _LINK.findall(_FENCED.sub("", document.read_text())):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (document.parent / name).resolve() if name else document
        assert target.exists(), link
        assert not anchor or anchor in _anchors(target), link


@each_document
def test_every_command_and_option_of_facescan_exists(document: Path) -> None:
    for words in _calls(document):
        command: click.Command = main
        context = click.Context(main)
        rest = list(words)
        while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
            name = rest.pop(0)
            found = command.get_command(context, name)
            assert found is not None, f"facescan {' '.join(words)}: no command {name!r}"
            command = found
        options = {option for parameter in command.params for option in parameter.opts}
        given = {word.partition("=")[0] for word in rest if word.startswith("--")}
        assert given <= options | {"--help"}, f"facescan {' '.join(words)}"


def _settings() -> frozenset[str]:
    of_the_demo = _SETTING.findall((demo.help or "") + (scan.help or ""))
    return known_variables() | set(of_the_demo)


@pytest.mark.parametrize(
    "document",
    [*DOCUMENTS, ROOT / "docker-compose.yml", ROOT / "Dockerfile"],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_every_setting_exists(document: Path) -> None:
    text = document.read_text()
    # "FACESCAN_KEY_CACHE_…" stands for all that begin so.
    families = set(re.findall(r"(FACESCAN_[A-Z_]+)_…", text))
    for family in families:
        assert any(name.startswith(f"{family}_") for name in _settings()), family
    # Sizes of tests are no settings of the product.
    named = {name for name in _SETTING.findall(text) if not name.startswith("FACESCAN_TEST_")}
    assert named - families - _settings() == set()


@each_document
def test_every_metric_exists(document: Path) -> None:
    for service in ALL:
        importlib.import_module(f"services.{service}.app")
    importlib.import_module("services.async_post.synchronous_http")  # there with its token alone
    there = set(re.findall(r"^# HELP (\S+)", prometheus_client.generate_latest().decode(), re.MULTILINE))
    assert set(_METRIC.findall(document.read_text())) - there == set()


@each_document
def test_every_test_that_is_named_exists(document: Path) -> None:
    named = {span for span in _SPAN.findall(document.read_text()) if re.fullmatch(r"test_[a-z0-9_]+", span)}
    unknown = {name for name in named if f"def {name}(" not in _all_tests()}
    assert not unknown


@functools.cache
def _all_tests() -> str:
    return "\n".join(file.read_text() for file in (ROOT / "tests").rglob("test_*.py"))


@each_document
def test_every_make_target_exists(document: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {target for piece in _code(document) for target in re.findall(r"^\s*make ([a-z-]+)", piece, re.MULTILINE)}
    assert named - targets == set()


def test_every_direct_dependency_is_justified() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [
        *project["dependencies"],
        *(item for extra in project["optional-dependencies"].values() for item in extra),
    ]
    names = {re.split(r"[\[<>=~!; ]", requirement)[0] for requirement in wanted} - {"facescan"}
    document = (ROOT / "docs" / "dependencies.md").read_text()
    justified = {name.partition("[")[0] for line in document.splitlines() if line.startswith("|")
                 for name in _SPAN.findall(line.split("|")[1])}  # fmt: skip
    assert names - justified == set()


def test_no_document_names_a_folder_of_some_machine() -> None:
    for document in DOCUMENTS:
        assert not re.search(r"/(?:work|root|home|tmp)/", document.read_text()), document


@each_document
def test_every_example_of_an_event_fits_its_model(document: Path) -> None:
    for words in _calls(document):
        if words[:1] == ["publish"] and "--data" in words and words[words.index("--data") + 1].startswith("{"):
            data = json.loads(words[words.index("--data") + 1].replace("…", "x"))
            checked_data(model_of(words[1]), data)
