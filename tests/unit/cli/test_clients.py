"""`facescan clients` against an emulated AWS."""

import asyncio
import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli.local_aws import LOCAL_ENVIRONMENT
from cli.main import main
from services.gateway.client_store import CurrentClients, SecretClients
from shared.settings import StoreSettings
from tests.support.emulated_aws import EmulatedAws
from tests.unit.emulators.processes import running

Run = Callable[..., Result]
URL = "https://hooks.bank.example/facescan"


@pytest.fixture(scope="module")
def aws() -> Iterator[str]:
    with running("emulators.aws") as (_, address):
        yield f"http://{address}"


@pytest.fixture
def secret() -> str:
    return f"test/{uuid.uuid4().hex}"


@pytest.fixture
def run(aws: str, secret: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    monkeypatch.chdir(tmp_path)
    variables = {**LOCAL_ENVIRONMENT, "AWS_ENDPOINT_URL": aws, "FACESCAN_CLIENTS_SECRET": secret}

    def call(*arguments: str) -> Result:
        return CliRunner(env=variables).invoke(main, ["clients", *arguments])

    return call


def test_a_client_s_life_from_its_making_to_its_end_as_the_gateway_sees_it(run: Run, aws: str, secret: str) -> None:
    stores = EmulatedAws(StoreSettings(), aws)
    current = CurrentClients(SecretClients(stores, secret), reread_seconds=60)
    asyncio.run(current.read())
    assert current.now.clients == {}
    assert "no clients yet" in run("list").output
    made = json.loads(run("add", "bank", "--webhook", URL, "--json").output)
    second = json.loads(run("rotate", "bank", "token", "--json").output)
    more = json.loads(run("rotate", "bank", "secret", "--json").output)
    asyncio.run(current.read())
    assert current.now.authentic(made["token"]) == current.now.authentic(second["token"]) == "bank"
    webhook = current.now.webhook("bank")
    assert webhook is not None
    assert webhook.secrets == (made["webhook_secret"], more["webhook_secret"])
    listed = run("list").output
    assert URL in listed
    assert not any(one in listed for one in (made["token"], made["webhook_secret"], second["token"]))
    assert run("end-rotation", "bank").exit_code == 0
    asyncio.run(current.read())
    assert current.now.authentic(made["token"]) is None
    assert run("webhook", "bank").exit_code == 0
    assert run("remove", "bank").exit_code == 0
    asyncio.run(current.read())
    assert current.now.authentic(second["token"]) is None
    stores.close()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("add", "bank", "--webhook", "http://127.0.0.1/"),
            "facescan clients add: the webhook's URL: must be https://",
        ),
        (("add", "Not A Name"), "a client's name has a to z, 0 to 9 and -"),
        (("rotate", "nobody", "token"), "there is no client 'nobody'"),
        (("remove", "nobody"), "there is no client 'nobody'"),
    ],
)
def test_what_cannot_be_is_one_line_and_exit_code_2(run: Run, arguments: tuple[str, ...], said: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert said in result.output
    assert result.output.count("\n") == 1
