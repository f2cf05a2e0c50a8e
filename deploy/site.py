"""The documents as a site: what MkDocs reads, made of the files as they lie in the repository.

    python -m deploy.site FOLDER        copies them there; `make site` then builds

In the repository links lead from file to file. On the site only documents are there: a link to anything else becomes
its path in the code, so that no link of the site leads nowhere.
"""

import re
import shutil
from pathlib import Path
from typing import Final

import click

ROOT: Final = Path(__file__).parents[1]
DOCS: Final = ROOT / "docs"
# Documents that lie outside docs/, by their names on the site.
OUTSIDE: Final = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "deploy/helm/README.md": "deploy-helm.md",
    "deploy/aws/README.md": "deploy-aws.md",
}
_COPIED: Final = {".md", ".json", ".svg", ".png", ".py", ".sh", ".mjs"}
_LINK: Final = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s#]+)(#[^)\s]*)?\)")


def site_path(source: Path) -> str | None:
    """Return where a file of the repository stands on the site; None when it does not."""
    relative = source.relative_to(ROOT).as_posix()
    if relative in OUTSIDE:
        return OUTSIDE[relative]
    if source.is_relative_to(DOCS) and source.is_file() and source.suffix in _COPIED:
        return source.relative_to(DOCS).as_posix()
    return None


def rewritten(text: str, source: Path) -> str:
    """Return a document with its links as they lead on the site."""
    own = site_path(source) or ""

    def replaced(found: re.Match[str]) -> str:
        mark, label, target, anchor = found.groups()
        if re.match(r"[a-z]+:", target):
            return found[0]
        goal = (source.parent / target).resolve()
        place = site_path(goal) if goal.is_relative_to(ROOT) else None
        if place is None:
            index = goal / "README.md"
            place = site_path(index) if index.exists() and index.is_relative_to(ROOT) else None
        if place is None:
            path = goal.relative_to(ROOT).as_posix() if goal.is_relative_to(ROOT) else target
            return f"{label} (`{path}`)" if label.strip("`") != path else f"`{path}`"
        up = "../" * own.count("/")
        return f"{mark}[{label}]({up}{place}{anchor or ''})"

    return _LINK.sub(replaced, text)


def sources() -> list[Path]:
    """Return every file of the site as it lies in the repository."""
    inside = [path for path in DOCS.rglob("*") if "node_modules" not in path.parts and site_path(path)]
    return sorted([*inside, *(ROOT / name for name in OUTSIDE)])


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def main(folder: Path) -> None:
    """Copy the documents into FOLDER, links rewritten; what was there before is removed."""
    shutil.rmtree(folder, ignore_errors=True)
    for source in sources():
        goal = folder / (site_path(source) or "")
        goal.parent.mkdir(parents=True, exist_ok=True)
        if source.suffix == ".md":
            goal.write_text(rewritten(source.read_text(), source))
        else:
            shutil.copyfile(source, goal)


if __name__ == "__main__":
    main()
