"""The OpenAPI document and a running gateway say the same, whoever reads the one and asks the other."""

import asyncio
import os
import sys
from pathlib import Path

from tests.support.asgi import serving
from tests.support.emulated_aws import Emulated
from tests.support.recording import RecordingPublisher
from tests.unit.services.gateway.parts import Known, gateway

DOCUMENT = Path(__file__).parents[4] / "docs" / "openapi" / "gateway.json"
# An id that the document allows is mostly nobody's.
CONFIGURATION = """
[checks]
positive_data_acceptance.expected-statuses = ["2xx", 404, 422]
"""


async def test_schemathesis_finds_no_answer_that_the_document_does_not_have(
    emulated: Emulated, publisher: RecordingPublisher, tmp_path: Path
) -> None:
    """FACESCAN_SCHEMATHESIS_EXAMPLES for each operation, 20 where nothing is said."""
    known = Known()
    configuration = tmp_path / "schemathesis.toml"
    configuration.write_text(CONFIGURATION)
    async with serving(gateway(emulated, publisher, known)) as url:
        asked = await asyncio.create_subprocess_exec(
            sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()",
            "--config-file", str(configuration), "run", str(DOCUMENT), "--url", url,
            "--header", f"Authorization: Bearer {known.tokens['bank']}",
            "--max-examples", os.environ.get("FACESCAN_SCHEMATHESIS_EXAMPLES", "20"),
            "--seed", "20261129", "--generation-database", "none", "--no-color",
            cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        said, _ = await asked.communicate()
    assert asked.returncode == 0, said.decode()
