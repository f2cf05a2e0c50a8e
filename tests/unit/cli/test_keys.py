"""`facescan keys` and `facescan dns` against an emulated AWS and an emulated internet."""

import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cli.local_aws import LOCAL_ENVIRONMENT
from cli.main import main
from emulators.world import write_domain
from shared.keys import SigningKey
from tests.unit.emulators.processes import running

TSIG = "ZmFjZXNjYW4tZmFjZXNjYW4tZmFjZXNjYW4tMTIzNDU="
Run = Callable[..., Result]


@pytest.fixture(scope="module")
def addresses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str, Path]]:
    folder = tmp_path_factory.mktemp("world")
    with (
        running("emulators.aws") as (_, aws),
        running("emulators.dns", "--world", str(folder), "--update-key", f"us:{TSIG}") as (_, dns),
    ):
        yield aws, dns, folder


@pytest.fixture
def run(addresses: tuple[str, str, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    aws, dns, folder = addresses
    domain = f"id-{uuid.uuid4().hex[:8]}.example"
    write_domain(folder, domain, {})
    monkeypatch.chdir(tmp_path)
    variables = {
        **LOCAL_ENVIRONMENT,
        "AWS_ENDPOINT_URL": f"http://{aws}",
        "FACESCAN_DOMAIN": domain,
        "FACESCAN_SIGNING_SECRET": f"test/{domain}",
        "FACESCAN_DNS_RESOLVER": dns,
        "FACESCAN_KEY_PUBLISHER": "rfc2136",
        "FACESCAN_RFC2136_SERVER": dns,
        "FACESCAN_RFC2136_KEY_NAME": "us",
        "FACESCAN_RFC2136_KEY_SECRET": TSIG,
        "FACESCAN_KEY_SETTLE_SECONDS": "0",
        "FACESCAN_KEY_LOOK_SECONDS": "0.1",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    # The emulated zones' negative time to live is 5 s, which a rotation waits for; once is enough for all tests.
    return lambda *arguments, **more: CliRunner().invoke(main, arguments, **more)


def document(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_an_imported_key_is_active_and_the_world_must_show_it(run: Run, addresses: tuple[str, str, Path]) -> None:
    key = SigningKey.generate("pw1")
    assert document(run("keys", "import", "--selector", "pw1", "--json", input=key.to_pem()))["state"] == "active"
    (listed,) = document(run("keys", "list", "--json"))["keys"]
    assert (listed["selector"], listed["record"]) == ("pw1", key.record)
    checked = run("dns", "check", "--json")
    assert checked.exit_code == 1
    assert {row["sight"] for row in json.loads(checked.stdout)["records"]} == {"absent"}
    domain = json.loads(checked.stdout)["records"][0]["name"].removeprefix("pw1._domainkey.").removeprefix("pw.")
    write_domain(addresses[2], domain, {"pw1": key.record})
    assert document(run("dns", "check", "--json"))["wrong"] == 0
    printed = run("dns", "print").output
    assert printed.count(f'300 IN TXT "{key.record}"') == 2
    everything = "".join(run(*words).output for words in (("keys", "list"), ("dns", "check"), ("dns", "print")))
    assert key.to_pem().splitlines()[1] not in everything


def test_rotate_makes_publishes_waits_and_activates_and_a_compromised_key_is_revoked(run: Run) -> None:
    assert document(run("keys", "rotate", "--no-wait", "--json")) == {"selector": "pw1", "state": "published"}
    assert document(run("keys", "rotate", "--json")) == {"selector": "pw1", "state": "active"}
    assert document(run("dns", "check", "--json"))["wrong"] == 0
    refused = run("keys", "retire", "pw1")
    assert (refused.exit_code, "pw1 is the active key" in refused.output) == (2, True)
    assert document(run("keys", "retire", "pw1", "--compromised", "--json"))["state"] == "retired"
    records = document(run("dns", "check", "--json"))["records"]
    assert {row["sight"] for row in records} == {"revoked"}


@pytest.mark.parametrize("text", ["no key", "", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_what_is_no_key_is_refused_in_one_line_that_does_not_repeat_it(run: Run, text: str) -> None:
    result = run("keys", "import", "--selector", "pw1", input=text)
    assert result.exit_code == 2
    assert len(result.output.splitlines()) == 1
    assert "AAAA" not in result.output


def test_an_empty_ring_says_what_to_do(run: Run) -> None:
    assert "facescan keys rotate" in run("keys", "list").output
    assert document(run("dns", "print", "--json")) == []
