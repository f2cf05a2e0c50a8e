"""Files of this folder that are written from code: ``python -m deploy.write``; ``--check`` says which differ."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import click
import yaml

from deploy import alerts, cloudformation, dashboard, strimzi
from deploy.roles import chart_roles, not_public

FOLDER: Final = Path(__file__).parent
_HEAD: Final = "# Written by `python -m deploy.write`; do not edit.\n"


def documents() -> Iterator[tuple[str, str]]:
    """Give path (below ``deploy/``) and text of each file."""
    yield "strimzi/topics.yaml", _yaml(strimzi.topics())
    yield "strimzi/users.yaml", _yaml(strimzi.users())
    yield "aws/facescan.yaml", _yaml([cloudformation.template()])
    yield "helm/facescan/files/not-public.json", _json(not_public())
    yield "helm/facescan/files/alerts.yaml", _yaml([alerts.rules()])
    yield "prometheus/alerts_test.yaml", _yaml([alerts.tests()])
    yield "helm/facescan/files/dashboard.json", _json(dashboard.dashboard())
    yield "helm/facescan/files/roles.json", _json(chart_roles())


class _Plain(yaml.SafeDumper):  # type: ignore[misc] # the library has no types
    """Writes the same thing twice instead of pointing to it, and indents lists as people do."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _yaml(things: Iterable[Any]) -> str:
    text: str = yaml.dump_all(things, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=120)
    return _HEAD + text


def _json(thing: Any) -> str:
    return json.dumps(thing, indent=2, ensure_ascii=False) + "\n"


def differences(folder: Path) -> list[str]:
    """Return which files in ``folder`` are not as they would be written, one line each."""
    return [
        f"{folder / name}: {'differs' if (folder / name).exists() else 'missing'}"
        for name, text in documents()
        if not (folder / name).exists() or (folder / name).read_text() != text
    ]


@click.command()
@click.option("--check", is_flag=True, help="Write nothing; exit code 1 names each file that differs.")
def main(*, check: bool) -> None:
    """Write what is generated: Kafka's topics and users, AWS's resources, alerts, dashboards."""
    if check:
        if found := differences(FOLDER):
            raise click.ClickException("\n".join([*found, "write them again with: make docs-reference"]))
        return
    for name, text in documents():
        path = FOLDER / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


if __name__ == "__main__":
    main()
