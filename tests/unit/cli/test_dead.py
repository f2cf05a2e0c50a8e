"""`facescan dead` on an embedded broker and an emulated AWS."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cli.local_aws import LOCAL_ENVIRONMENT
from cli.main import main
from shared.dead_letters import PREFIX
from shared.topics import DEAD_THEIRS
from tests.support.emulated_aws import Emulated
from tests.support.readers import Writer
from tests.unit.emulators.processes import running


async def _write(bootstrap: str) -> None:
    writer = Writer(bootstrap)
    await writer.start()
    for topic in (DEAD_THEIRS, "facescan.dead.ours", "facescan.post.requested"):
        await writer.touch(topic)
    for to in ("shop.example", "shop.example", "bank.example"):
        marks = {"topic": "facescan.post.requested", "partition": "0", "offset": "1", "reason": "refused", "time": "9"}
        headers = [(PREFIX + name, value.encode()) for name, value in marks.items()]
        await writer.write_raw(DEAD_THEIRS, b"private", key=to.encode(), headers=headers)
    await writer.stop()


def test_dead_letters_are_counted_shown_without_contents_replayed_once_and_dropped(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "kafka"
    with (
        running("emulators.aws") as (_, aws),
        running("emulators.kafka", "--address-file", str(file)),
    ):
        kafka = file.read_text().strip()
        tables = Emulated(f"http://{aws}").settings.table_prefix
        variables = {"AWS_ENDPOINT_URL": f"http://{aws}", "FACESCAN_TABLE_PREFIX": tables}
        for name, value in {**LOCAL_ENVIRONMENT, **variables, "FACESCAN_KAFKA_BOOTSTRAP": kafka}.items():
            monkeypatch.setenv(name, value)
        asyncio.run(_write(kafka))

        def run(*words: str) -> Any:
            result = CliRunner().invoke(main, ["dead", *words, "--json"])
            assert result.exit_code == 0, result.output
            assert "private" not in result.stdout
            return json.loads(result.stdout)

        listed = run("list")
        assert (listed["total"], listed["counts"][0]["count"]) == (3, 3)
        assert run("show", listed["newest"][0]["place"])["reason"] == "refused"
        assert run("replay", "--destination", "shop.example", "--dry-run") == {"dry_run": True, "would be replayed": 2}
        assert run("replay", "--destination", "shop.example") == {"dry_run": False, "replayed": 2}
        assert run("list")["total"] == 1
        assert run("replay", "--place", f"{DEAD_THEIRS}/0/0") == {"dry_run": False, "settled already": 1}
        assert run("drop", "--side", "theirs") == {"dry_run": False, "dropped": 1}
        assert run("list")["total"] == 0
