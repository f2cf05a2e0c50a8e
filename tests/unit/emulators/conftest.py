from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.emulators.processes import running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def aws_url() -> Iterator[str]:
    """URL of the emulated AWS."""
    with running("emulators.aws", "--port", "0") as (_, address):
        yield f"http://{address}"


@pytest.fixture(scope="session")
def world_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("world")


@pytest.fixture(scope="session")
def dns_address(world_folder: Path) -> Iterator[str]:
    """host:port of the resolver for `world_folder`."""
    with running("emulators.dns", "--world", str(world_folder), "--port", "0") as (_, address):
        yield address
