"""The emulated AWS as a process of its own, and the tables in it."""

import asyncio
import uuid
from collections.abc import Iterator

import pytest

from shared.settings import StoreSettings
from shared.stores import Aws, Tables
from shared.tables import create_tables
from tests.unit.emulators.processes import running


@pytest.fixture(scope="session")
def aws_address() -> Iterator[str]:
    """host:port of the emulated AWS."""
    with running("emulators.aws", "--port", "0") as (_, address):
        yield address


@pytest.fixture
def aws_variables(aws_address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """boto3's own variables, as a service has them."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{aws_address}")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")


@pytest.fixture
def aws(aws_variables: None) -> Iterator[Aws]:
    made = Aws(StoreSettings())
    yield made
    made.close()


@pytest.fixture(scope="session")
def prefix() -> str:
    return f"t{uuid.uuid4().hex[:8]}-"


@pytest.fixture
async def tables(aws: Aws, prefix: str) -> Tables:
    """The system's tables, which the tests of a run share; each uses keys of its own."""
    settings = StoreSettings(table_prefix=prefix, bucket=f"{prefix}bucket")
    tables = Tables(aws, settings)
    if await tables.missing(["claims"]):
        await asyncio.to_thread(create_tables, aws, settings)
    return tables
