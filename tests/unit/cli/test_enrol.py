"""`facescan enrol` and `facescan locators` against an emulated AWS."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cli.local_aws import LOCAL_ENVIRONMENT
from cli.main import main
from emulators.pictures import make_picture
from tests.unit.emulators.processes import running

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def aws() -> Iterator[str]:
    with running("emulators.aws", "--port", "0") as (_, address):
        yield f"http://{address}"


@pytest.fixture
def run(aws: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    monkeypatch.chdir(tmp_path)
    for name, value in {**LOCAL_ENVIRONMENT, "AWS_ENDPOINT_URL": aws}.items():
        monkeypatch.setenv(name, value)

    def facescan(*arguments: str) -> Result:
        return CliRunner().invoke(main, arguments)

    assert facescan("tables", "create").exit_code == 0
    return facescan


def enrolled(run: Run, person: str, **picture: Any) -> Result:
    photo = Path(f"{person}.png")
    photo.write_bytes(make_picture(person, **picture))
    options = {"person": person, "photo": str(photo), "wallet": "wallet.example", "wallet-id": f"w-{person}"}
    return run("enrol", *(part for name, value in options.items() for part in (f"--{name}", value)))


def listed(run: Run, person: str) -> list[dict[str, str]]:
    result = run("locators", "list", "--person", person, "--json")
    assert result.exit_code == 0, result.stderr
    found: list[dict[str, str]] = json.loads(result.stdout)
    return found


# -- locators --------------------------------------------------------------------------------------------------------


def test_locators_are_issued_listed_and_revoked(run: Run) -> None:
    first = enrolled(run, "ana").stdout.strip()
    options = ("--person", "ana", "--issuer", "shop.example", "--token", "card-7", "--days", "9")
    second = run("locators", "issue", *options).stdout.strip()
    assert run("locators", "issue", *options).stdout.strip() == second != first
    stamped = run("locators", "issue", "--person", "ana", "--token", "x", "--kind", "biostamp")
    assert stamped.exit_code == 0, (stamped.stderr, stamped.exception)
    stamp = stamped.stdout.strip()
    assert run("locators", "revoke", second).exit_code == 0
    found = {one["locator"]: (one["state"], one["issuer"], one["kind"]) for one in listed(run, "ana")}
    assert found == {
        first: ("good", "", "locator"),
        second: ("revoked", "shop.example", "locator"),
        stamp: ("good", "operator", "biostamp"),
    }
    assert second in run("locators", "list", "--person", "ana").stdout


def test_mistakes_with_locators_are_one_line_each(run: Run) -> None:
    enrolled(run, "ana")
    enrolled(run, "bob")
    run("locators", "issue", "--person", "ana", "--token", "taken")
    for arguments, line in [
        (("issue", "--person", "nobody", "--token", "t"), "--person: nobody is not enrolled"),
        (("issue", "--person", "bob", "--token", "taken"), "--token: taken of operator leads to another person"),
        (("revoke", "none-such"), "none-such: there is no such locator"),
    ]:
        result = run("locators", *arguments)
        assert result.exit_code == 2
        assert result.stderr.strip() == f"facescan locators {arguments[0]}: {line}"
