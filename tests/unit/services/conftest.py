from collections.abc import Iterator

import pytest

from tests.support.emulated_aws import Emulated
from tests.support.recording import RecordingPublisher
from tests.unit.emulators.processes import running


@pytest.fixture(scope="session")
def emulated() -> Iterator[Emulated]:
    """Tables and a bucket on an emulated AWS of its own, because tests move the provider's clock."""
    with running("emulators.aws", "--port", "0") as (_, address):
        emulated = Emulated(f"http://{address}")
        yield emulated
        emulated.aws.close()


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """host:port of an embedded broker."""
    file = tmp_path_factory.mktemp("kafka") / "address"
    with running("emulators.kafka", "--address-file", str(file)):
        yield file.read_text().strip()


@pytest.fixture
def publisher() -> RecordingPublisher:
    return RecordingPublisher()
