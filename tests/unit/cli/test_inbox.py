"""``facescan inbox explain``: each step, the exit code, and the same words as the inbox."""

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cli.main import main
from cli.system_file import FILE_NAME, System
from tests.unit.services.inbox.messages import DOMAIN, as_bytes, message


def explain(folder: Path, data: bytes, *options: str, environment: dict[str, str] | None = None) -> Result:
    path = folder / "message.json"
    path.write_bytes(data)
    env = {"FACESCAN_DOMAIN": DOMAIN, **(environment or {})}
    return CliRunner().invoke(main, ["inbox", "explain", str(path), *options], env=env)


def now(**header: Any) -> dict[str, Any]:
    return message(at=datetime.now(UTC), **header)


def test_a_message_that_would_be_taken_is_followed_to_its_endpoint(tmp_path: Path) -> None:
    result = explain(tmp_path, as_bytes(now()), "--offline", "--json")
    document = json.loads(result.output)
    assert result.exit_code == 0
    assert document["taken"] is True
    names = [step["step"] for step in document["steps"]]
    assert names == [
        "bounds", "schema", "receiver", "window", "subject", "sender", "body", "hash", "key", "claim", "endpoint",
    ]  # fmt: skip
    assert "facescan.verification.requested.v1" in document["steps"][-1]["detail"]


@pytest.mark.parametrize(
    ("data", "step", "reason", "status"),
    [
        (lambda: b"{", "schema", "not_json", 422),
        (lambda: as_bytes(now(To="other.example")), "receiver", "wrong_receiver", 422),
        (lambda: as_bytes(message(at=datetime.now(UTC) - timedelta(hours=1))), "window", "outside_window", 422),
        (lambda: as_bytes(now(Subject="Other@Identity")), "subject", "unexpected_subject", 422),
        (lambda: as_bytes(now(From="Anonymous")), "sender", "unsigned", 401),
        (lambda: as_bytes(message({"Locator": 1}, at=datetime.now(UTC))), "body", "unexpected_body", 422),
        (lambda: as_bytes(now() | {"Hash": "0" * 64}), "hash", "signature_wrong", 401),
        (lambda: as_bytes({"a": "x" * 70_000}), "bounds", "too_large", 413),
        (lambda: b"[" * 100 + b"]" * 100, "bounds", "too_complex", 422),
    ],
)
def test_a_refusal_names_its_step_reason_and_status(
    tmp_path: Path, data: Callable[[], bytes], step: str, reason: str, status: int
) -> None:
    result = explain(tmp_path, data(), "--offline", "--json")  # made now: messages age while other tests run
    last = json.loads(result.output)["steps"][-1]
    assert result.exit_code == 1
    assert (last["step"], last["ok"], last["status"]) == (step, False, status)
    if step != "bounds":
        assert last["reason"] == reason


def test_a_resolver_that_does_not_answer_leaves_it_undecided(tmp_path: Path) -> None:
    environment = {"FACESCAN_DNS_TIMEOUT_SECONDS": "0.2"}
    result = explain(tmp_path, as_bytes(now()), "--dns", "127.0.0.1:1", "--json", environment=environment)
    last = json.loads(result.output)["steps"][-1]
    assert (last["reason"], last["status"]) == ("key_undecided", 503)


def test_text_ends_with_what_would_be_answered(tmp_path: Path) -> None:
    assert explain(tmp_path, as_bytes(now()), "--offline").output.endswith("would be taken\n")
    assert explain(tmp_path, b"{", "--offline").output.endswith("would be refused: 422\n")


def test_a_broken_map_ends_in_one_line_that_names_it(tmp_path: Path) -> None:
    broken = tmp_path / "map.toml"
    broken.write_text("version = 7")
    environment = {"FACESCAN_ENDPOINT_MAP": str(broken)}
    result = explain(tmp_path, as_bytes(now()), "--offline", environment=environment)
    assert result.exit_code == 2
    assert f"{broken}: " in result.output
    assert len(result.output.strip().splitlines()) == 1


def test_where_a_workbench_runs_its_inbox_is_the_one_that_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    System(
        kafka="127.0.0.1:1", aws="", inbox="", session="", streaming="", dns="127.0.0.1:1", domain=DOMAIN, world="",
        pids={}, ops={}, emulators={}, log_dir="", pid=os.getpid(), verification_seconds=60.0,
    ).write(_made(tmp_path / ".facescan") / FILE_NAME)  # fmt: skip
    monkeypatch.chdir(tmp_path)
    Path("message.json").write_bytes(as_bytes(now()))
    result = CliRunner().invoke(main, ["inbox", "explain", "message.json", "--offline"], env={"FACESCAN_DOMAIN": None})
    assert result.exit_code == 0, result.output
    assert "would be taken" in result.output


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
