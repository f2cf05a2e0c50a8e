"""A bill of what the image is made of (CycloneDX 1.6), and the licences of it: ``python -m deploy.sbom -o FILE``.

Reads what is installed, from the requirements of the extra ``all`` on: what pip would install with it and no more. The
scan page's program has its own list, ``assets/licences.txt``, which its build writes.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, Final

import click
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT: Final = "facescan"
EXTRA: Final = "all"
# Licences under which an image may be given away without giving away the source of what is ours. MPL and LGPL bind who
# changes the library itself, which nobody does here.
ALLOWED: Final = (
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CNRI-Python",
    "ISC",
    "LGPL-2.1",
    "LGPL-3.0",
    "MIT",
    "MIT-0",
    "MIT-CMU",
    "MPL-2.0",
    "PSF-2.0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
)
# What packages call them that have no SPDX expression: their free text or their classifier.
_WORDS: Final = (
    (r"lesser general public|lgpl", "LGPL-3.0"),
    (r"mozilla public license.*2|mpl.?2", "MPL-2.0"),
    (r"\bapache", "Apache-2.0"),
    (r"3.?clause|new bsd|modified bsd", "BSD-3-Clause"),
    (r"2.?clause|simplified bsd", "BSD-2-Clause"),
    (r"\bbsd\b", "BSD-3-Clause"),
    (r"\bmit\b", "MIT"),
    (r"\bisc\b", "ISC"),
    (r"python software foundation|\bpsf", "PSF-2.0"),
    (r"unlicense|public domain", "Unlicense"),
    (r"zlib", "Zlib"),
)
_CLASSIFIER: Final = "License :: "


@dataclass(frozen=True, slots=True)
class Component:
    """One installed package; ``licence`` is an SPDX expression, "" when the package does not say."""

    name: str
    version: str
    licence: str

    @property
    def allowed(self) -> bool:
        """Whether at least one of the alternatives (OR) is made of allowed licences (AND) alone."""
        return any(
            all(part.strip(" ()").split(" WITH ")[0] in ALLOWED for part in either.split(" AND "))
            for either in self.licence.replace("(", "").replace(")", "").split(" OR ")
        )


def components(project: str = PROJECT, extra: str = EXTRA) -> list[Component]:
    """Return all packages that the project needs here, in the order of their names."""
    found: dict[str, Component] = {}
    waiting = [(project, {extra})]
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        name, extras = waiting.pop()
        key = (canonicalize_name(name), frozenset(extras))
        if key in seen:
            continue
        seen.add(key)
        try:
            package = distribution(name)
        except PackageNotFoundError:
            continue  # for another platform or Python
        if key[0] != project:
            found[key[0]] = Component(key[0], package.version, licence_of(package))
        waiting += _needs(package, extras)
    return sorted(found.values(), key=lambda one: one.name)


def _needs(package: Distribution, extras: set[str]) -> Iterator[tuple[str, set[str]]]:
    for text in package.requires or []:
        requirement = Requirement(text)
        wanted = requirement.marker is None or any(
            requirement.marker.evaluate({"extra": extra}) for extra in (*extras, "")
        )
        if wanted:
            yield requirement.name, set(requirement.extras)


def licence_of(package: Distribution) -> str:
    """Return the licence as an SPDX expression, by what the package says of itself."""
    metadata: Any = package.metadata
    expression = metadata.get("License-Expression")
    if expression:
        return str(expression)
    classifiers = [text for text in metadata.get_all("Classifier") or [] if text.startswith(_CLASSIFIER)]
    for text in (*classifiers, metadata.get("License") or ""):
        if text.strip() in ALLOWED:
            return str(text).strip()
        for pattern, name in _WORDS:
            if re.search(pattern, text[:200], re.IGNORECASE):
                return name
    return ""


def document(found: list[Component], version: str) -> dict[str, Any]:
    """Return the bill as CycloneDX JSON."""
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "application", "name": PROJECT, "version": version}},
        "components": [
            {
                "type": "library",
                "name": one.name,
                "version": one.version,
                "purl": f"pkg:pypi/{one.name}@{one.version}",
                "licenses": [{"expression": one.licence}] if one.licence else [],
            }
            for one in found
        ],
    }


@click.command()
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), default=Path("build/sbom.cdx.json"))
def main(output: Path) -> None:
    """Write the bill; exit code 1 names each package whose licence is not among the allowed ones."""
    found = components()
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(document(found, distribution(PROJECT).version), indent=2) + "\n")
    if bad := [f"{one.name} {one.version}: {one.licence or 'says no licence'}" for one in found if not one.allowed]:
        raise click.ClickException("\n".join(bad))
    click.echo(f"{output}: {len(found)} packages, all of allowed licences")


if __name__ == "__main__":
    main()
