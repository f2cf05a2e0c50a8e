"""`facescan enrol` and `facescan locators` against an emulated AWS."""

import csv
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


# -- enrolling -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flaw", "problem"),
    [
        ("turned", "the face is turned to the side by 48 degrees, more than 20"),
        ("nodding", "the face is turned up or down by 38 degrees, more than 20"),
        ("tilted", "the face is tilted by 41 degrees, more than 20"),
        ("blurred", "the face is blurred (sharpness 10 of 40)"),
        ("dark", "the face is too dark (brightness 14 of 30)"),
        ("glaring", "the face is too bright (brightness 99 of 95)"),
        ("occluded", "something covers the face"),
        ("sunglasses", "the person wears sunglasses"),
        ("eyes-closed", "the eyes are closed"),
    ],
)
def test_a_photo_that_can_hardly_be_compared_is_refused_with_what_is_wrong(run: Run, flaw: str, problem: str) -> None:
    result = enrolled(run, f"flawed-{flaw}", flaws=(flaw,))
    assert result.exit_code == 2
    assert result.stderr.strip() == f"facescan enrol: flawed-{flaw}.png: {problem}"
    assert listed(run, f"flawed-{flaw}") == []


def test_every_flaw_of_a_photo_is_told_at_once_and_a_guess_is_none(run: Run) -> None:
    result = enrolled(run, "worst", flaws=("turned", "dark", "sunglasses"))
    assert result.stderr.count("; ") == 2
    assert enrolled(run, "guessed", flaws=("unsure",)).exit_code == 0


def test_a_new_photo_is_noted_in_the_audit_trail_with_who_did_it_and_no_name(run: Run) -> None:
    for variant in (1, 2):
        assert enrolled(run, "zoe", variant=variant).exit_code == 0
    exported = run("audit", "export")
    assert exported.exit_code == 0
    text = exported.stdout
    lines = [json.loads(line) for line in text.splitlines()]
    assert {line["facts"]["replaced"] for line in lines if line["kind"] == "person.enrolled"} == {0, 1}
    assert "arn:aws" in text
    assert "replaced_version" in text
    assert "zoe" not in text


def test_many_are_enrolled_from_a_file_and_the_report_says_what_became_of_each(run: Run) -> None:
    for person, flaws in (("m-1", ()), ("m-2", ("dark",)), ("m-3", ())):
        Path(f"{person}.png").write_bytes(make_picture(person, flaws=flaws))
    Path("many.csv").write_text(
        "person,photo,wallet,wallet_id,code_passport\n"
        "m-1,m-1.png,wallet.example,w-1,X1\n"
        "m-2,m-2.png,wallet.example,w-2,\n"
        "m-3,m-3.png,wallet.example,w-3,\n"
        "m-4,absent.png,wallet.example,w-4,\n"
        "m 5,m-1.png,wallet.example,w-5,\n"
        "m-6,m-1.png,not a domain,w-6,\n"
        "m-7,,wallet.example,w-7,\n"
        "m-8,m-1.png\n"
    )
    result = run("enrol", "--bulk", "many.csv", "--report", "report.csv", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout) == {"enrolled": 2, "refused": 6, "failed": 0, "report": "report.csv"}
    assert result.stderr.splitlines()[-1] == "8 of 8"
    rows = list(csv.DictReader(Path("report.csv").read_text().splitlines()))
    assert [(row["line"], row["person"], row["result"]) for row in rows[:3]] == [
        ("2", "m-1", "enrolled"), ("3", "m-2", "refused"), ("4", "m-3", "enrolled"),
    ]  # fmt: skip
    reasons = [row["reason"] for row in rows]
    for row, reason in zip(
        range(8),
        ("", "too dark", "", "No such file", "person: ", "wallet: ", "photo is empty", "not as many fields"),
        strict=True,
    ):
        assert reason in reasons[row]
    (only,) = listed(run, "m-1")
    assert only["locator"] == rows[0]["locator"]
    assert "X1" not in Path("report.csv").read_text()


def test_a_file_without_a_needed_column_is_refused_whole(run: Run) -> None:
    Path("few.csv").write_text("person,photo\na,b\n")
    result = run("enrol", "--bulk", "few.csv")
    assert result.exit_code == 2
    assert result.stderr.startswith("facescan enrol: few.csv: line 1: no column wallet")


# -- what is asked besides the face ----------------------------------------------------------------------------------


def test_a_person_s_factors_are_enrolled_noted_and_removed_and_no_secret_is_printed(run: Run) -> None:
    enrolled(run, "eva")
    made = run("factor", "code", "eva", "--issuer", "id.example", "--output", "eva.txt", "--json")
    assert made.exit_code == 0, made.stderr
    address = Path("eva.txt").read_text()
    assert address.startswith("otpauth://totp/id.example:identity?secret=")
    assert Path("eva.txt").stat().st_mode & 0o077 == 0
    secret = address.partition("secret=")[2].partition("&")[0]
    Path("answer.txt").write_text("Rex the 2nd\n")
    asked = run("factor", "question", "eva", "--question", "first-pet", "--answer", "answer.txt")
    assert asked.exit_code == 0, asked.stderr
    assert run("factor", "remove", "eva", "code").stdout == "removed code\n"
    assert run("factor", "remove", "eva", "code").stdout == "there was no code\n"
    trail = run("audit", "export", "--output", "trail.jsonl")
    assert trail.exit_code == 0, trail.stderr
    lines = Path("trail.jsonl").read_text()
    assert lines.count("factor.enrolled") == 2
    assert lines.count("factor.removed") == 2
    for shown in (made.output, asked.output, lines):
        assert secret not in shown
        assert "Rex" not in shown
        assert "eva" not in lines


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("code", "nobody-enrolled", "--output", "new.txt"), "not enrolled"),
        (("code", "eve", "--output", "there.txt"), "exists already"),
        (("question", "eve", "--question", "shoe-size", "--answer", "there.txt"), "--question"),
        (("question", "eve", "--question", "first-pet", "--answer", "there.txt"), "--answer"),
        (("remove", "eve", "face"), "face"),
    ],
)
def test_what_cannot_be_enrolled_is_said_in_one_line(run: Run, arguments: tuple[str, ...], said: str) -> None:
    Path("there.txt").write_text(" .-.\n")
    result = run("factor", *arguments)
    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stderr.count("\n") == 1
    assert not Path("new.txt").exists()
