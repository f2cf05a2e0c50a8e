import pytest

from tests.support.emulated_aws import Emulated
from tests.support.recording import RecordingPublisher
from tests.unit.services.verdict.scene import Scene


@pytest.fixture
def scene(emulated: Emulated, publisher: RecordingPublisher) -> Scene:
    return Scene(emulated, publisher)
