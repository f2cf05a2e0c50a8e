"""The command line as a person meets it: help, and one line for every mistake."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli.main import main

COMMANDS = [
    "demo",
    "scan",
    "up",
    "run",
    "enrol",
    "factor",
    "erase",
    "export",
    "audit",
    "retention",
    "locators",
    "wallet",
    "clients",
    "send",
    "inbox",
    "publish",
    "watch",
    "keys",
    "dns",
    "dead",
    "topics",
    "tables",
]


@pytest.fixture(autouse=True)
def _nothing_configured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of the caller's, no workbench in the current directory."""
    for name in ("FACESCAN_DOMAIN", "FACESCAN_KAFKA_BOOTSTRAP", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def facescan(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def the_line(result: Result, exit_code: int) -> str:
    """The one line on standard error."""
    assert result.exit_code == exit_code, result.output
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1, result.stderr
    return result.stderr.strip()


def test_help_lists_every_command_in_one_line_each() -> None:
    text = facescan("--help").stdout
    listed = [line.split()[0] for line in text.partition("Commands:\n")[2].splitlines()]
    assert listed == COMMANDS


def test_without_a_command_the_help_is_shown() -> None:
    result = facescan()
    assert result.exit_code == 0
    assert "Commands:" in result.stdout


@pytest.mark.parametrize("command", [*COMMANDS, "topics create", "topics list", "tables create", "wallet register"])
def test_every_command_explains_itself_and_takes_json(command: str) -> None:
    result = facescan(*command.split(), "--help")
    assert result.exit_code == 0
    assert f"facescan {command}" in result.stdout
    assert "--json" in result.stdout or command in (
        "audit",
        "clients",
        "dead",
        "dns",
        "factor",
        "inbox",
        "keys",
        "locators",
        "retention",
        "topics",
        "tables",
        "wallet",
    )


def test_help_of_a_command_keeps_the_lines_of_its_example() -> None:
    assert "\n    facescan watch\n" in facescan("watch", "--help").stdout


def test_an_unknown_command_is_named() -> None:
    line = the_line(facescan("dance"), 2)
    assert line.startswith("facescan: No such command 'dance'")


def test_a_missing_option_is_named_with_the_command() -> None:
    line = the_line(facescan("enrol", "--person", "p"), 2)
    assert line.startswith("facescan enrol: Missing option '--photo'")
    assert line.endswith("(see: facescan enrol --help)")


def test_with_json_an_error_is_json_too() -> None:
    line = the_line(facescan("publish", "dance", "--data", "{}", "--json"), 2)
    assert "'dance'" in json.loads(line)["error"]


def test_running_a_service_without_its_settings_names_the_first_that_are_missing() -> None:
    line = the_line(facescan("run", "session"), 2)
    assert line.startswith("facescan run session: FACESCAN_KAFKA_BOOTSTRAP is not set")
    assert "FACESCAN_DOMAIN is not set" in line


def test_a_service_may_be_written_with_a_hyphen() -> None:
    assert the_line(facescan("run", "async-post"), 2).startswith("facescan run async_post: FACESCAN_")


def test_an_unknown_service_is_answered_with_those_that_there_are() -> None:
    line = the_line(facescan("run", "dance"), 2)
    assert "'dance' is no service; there are inbox, session, verdict, async_post" in line


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["topics", "list"], "no Kafka is known: run `facescan up` in this folder, or set FACESCAN_KAFKA_BOOTSTRAP"),
        (["watch"], "no Kafka is known"),
        (["tables", "create"], "no AWS is known: run `facescan up` in this folder, or set AWS_REGION"),
        (["topics", "list", "--kafka", "nowhere"], "FACESCAN_KAFKA_BOOTSTRAP"),
        (["demo", "--system", "env"], "--system env: FACESCAN_KAFKA_BOOTSTRAP, FACESCAN_DEMO_INBOX"),
        (["demo", "--system", "absent.json"], "absent.json: No such file or directory; a running `facescan up` writes"),
        (["up", "--set", "dance"], "'dance' is not of the form NAME=VALUE"),
        (["up", "--playground", "--aws", "http://127.0.0.1:1"], "it cannot be used with --aws"),
        (["up", "--set", "FACESCAN_DANCE=1"], "there is no setting FACESCAN_DANCE"),
    ],
)
def test_what_is_missing_or_wrong_is_said_with_what_to_do(arguments: list[str], what: str) -> None:
    assert what in the_line(facescan(*arguments), 2)


def test_a_broker_that_does_not_answer_is_exit_code_1() -> None:
    assert "Kafka at 127.0.0.1:9 " in the_line(facescan("topics", "list", "--kafka", "127.0.0.1:9"), 1)


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["verification.requested", "--data", '{"locator": "a b"}'], "--data: locator: "),
        (["verification.requested", "--data", '{"lokator": "a"}'], "--data: lokator: no such field; there are"),
        (["verification.requested", "--data", "{"], "--data: no JSON: "),
        (["verification.requested", "--data", "[]"], "--data: no JSON object"),
        (["verification.requested", "--data", "@absent"], "--data: absent: cannot be read: No such file"),
        (["session.created", "--data", "{}"], "--data: verification_id: Field required"),
    ],
)
def test_data_of_an_event_are_checked_before_anything_is_sent(arguments: list[str], what: str) -> None:
    assert what in the_line(facescan("publish", *arguments), 2)


@pytest.mark.parametrize(
    ("option", "value", "what"),
    [
        ("--wallet", "nodots", "'nodots' is no domain name"),
        ("--person", "a/b", "1 to 200 of the characters"),
        ("--locator", "a b", "1 to 200 of the characters"),
        ("--photo", "absent.png", "'absent.png' does not exist"),
    ],
)
def test_enrolment_names_the_option_that_is_wrong(tmp_path: Path, option: str, value: str, what: str) -> None:
    (tmp_path / "p.png").write_bytes(b"x")
    options = {"--person": "p", "--photo": "p.png", "--wallet": "wallet.example", "--wallet-id": "w", option: value}
    line = the_line(facescan("enrol", *(part for pair in options.items() for part in pair)), 2)
    assert option in line
    assert what in line
