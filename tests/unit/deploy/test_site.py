"""The documents as a site lead nowhere that is not there; every package of the image has a licence that is allowed."""

import re
from pathlib import Path

import pytest

from deploy.sbom import Component, components, document
from deploy.site import DOCS, ROOT, rewritten, site_path, sources

PAGES = [path for path in sources() if path.suffix == ".md"]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_link_of_the_site_leads_to_a_file_of_the_site(page: Path) -> None:
    there = {site_path(path) for path in sources()}
    own = site_path(page) or ""
    for target in re.findall(r"\]\(([^)\s#]+)", rewritten(page.read_text(), page)):
        if not re.match(r"[a-z]+:", target):
            place = target.removeprefix("../" * own.count("/"))
            assert place in there, target


def test_a_link_into_the_code_becomes_its_path() -> None:
    text = rewritten("see [the alerts](../deploy/alerts.py) and [this](slo.md)", DOCS / "operating.md")
    assert text == "see the alerts (`deploy/alerts.py`) and [this](slo.md)"


def test_every_page_is_in_the_navigation_or_another_page_leads_to_it() -> None:
    named = set(re.findall(r"[\w./-]+\.md", (ROOT / "mkdocs.yml").read_text()))
    pages = {site_path(path) or "": path for path in PAGES}
    assert named <= set(pages)
    links = "\n".join(rewritten(path.read_text(), path) for path in PAGES)
    assert [page for page in pages if page not in named and page.rsplit("/", 1)[-1] not in links] == []


def test_every_package_of_the_image_has_an_allowed_licence() -> None:
    found = components()
    assert {"aiokafka", "boto3", "cryptography", "faststream"} <= {one.name for one in found}
    assert "pytest" not in {one.name for one in found}
    assert [one for one in found if not one.allowed] == []


@pytest.mark.parametrize(
    ("licence", "allowed"),
    [
        ("MIT", True),
        ("GPL-3.0-only", False),
        ("", False),
        ("GPL-2.0-only OR MIT", True),
        ("MIT AND GPL-3.0-only", False),
        ("Apache-2.0 WITH LLVM-exception", True),
    ],
)
def test_a_licence_is_judged_by_what_it_lets_one_choose(licence: str, allowed: bool) -> None:
    assert Component("x", "1", licence).allowed is allowed


def test_the_bill_names_each_package_once_with_its_version() -> None:
    bill = document(components(), "1.2.3")
    urls = [one["purl"] for one in bill["components"]]
    assert len(urls) == len(set(urls))
    assert all(re.fullmatch(r"pkg:pypi/[a-z0-9.-]+@\S+", url) for url in urls)
