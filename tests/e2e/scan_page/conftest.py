"""One system on a real Kafka for all tests of the scan page, and the scenes of a module."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.e2e.conftest import Running, start_system
from tests.e2e.scan_page.side_by_side import Scenes
from tests.e2e.scanning import chromium


@pytest.fixture(scope="package")
def page_system(real_kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """With time for slow machines and short attempts. It ends with this package: the next system has the same Kafka."""
    settings = {"FACESCAN_VERIFICATION_SECONDS": "180", "FACESCAN_ATTEMPT_SECONDS": "28"}
    with ExitStack() as open_parts:
        yield start_system(tmp_path_factory.mktemp("page"), open_parts, kafka=real_kafka, settings=settings)


@pytest.fixture(scope="module")
def scenes(request: pytest.FixtureRequest, page_system: Running, tmp_path_factory: pytest.TempPathFactory) -> Scenes:
    """The scenes of this module that were chosen."""
    chromium()
    items = [one for one in request.session.items if isinstance(one, pytest.Function) and one.module is request.module]
    chosen = [one for one in items if hasattr(one.function, "scene")]
    return Scenes(chosen, page_system, tmp_path_factory.mktemp("film"))
