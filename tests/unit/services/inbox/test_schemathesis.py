"""The OpenAPI document and a running door say the same, whoever reads the one and asks the other."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import orjson
import schemathesis

from services.inbox.domain import Reason, RefusedError
from services.inbox.endpoint_map import MANIFEST_SUBJECT, Route
from services.inbox.front import front_door
from services.inbox.http_server import DoorServer
from services.inbox.intake import Intake
from services.inbox.manifest import OwnManifest, default_manifest
from shared.broker import Publisher
from shared.envelope import Envelope
from tests.support.recording import RecordingPublisher
from tests.unit.services.inbox.doors import settings
from tests.unit.services.inbox.messages import DOMAIN, MAP, MOMENT, ScriptedResolver, message, opener

DOCUMENT = Path(__file__).parents[4] / "docs" / "openapi" / "inbox.json"
UNHURRIED = dict.fromkeys(("address_rate", "address_burst", "unverified_rate", "unverified_burst"), 1000000.0)
# What the document allows may still be no message of anybody's: no schema can ask for a signature or a time.
CONFIGURATION = """
[checks]
positive_data_acceptance.expected-statuses = ["2xx", 401, 422]
"""


async def no_reply(_route: Route, _envelope: Envelope, _message: bytes) -> bytes:
    raise RefusedError(Reason.SUBJECT, "not handled here")


def a_door(publisher: Publisher) -> DoorServer:
    manifest = OwnManifest(default_manifest(DOMAIN), domain=DOMAIN, clock=lambda: MOMENT)
    intake = Intake(MAP, publisher, manifest=manifest.reply, synchronous=no_reply)
    configured = settings(**UNHURRIED)
    return front_door(configured, opener(ScriptedResolver()), intake, manifest=manifest.page, port=0)


async def test_schemathesis_finds_no_answer_that_the_document_does_not_have(
    publisher: RecordingPublisher, tmp_path: Path
) -> None:
    """FACESCAN_SCHEMATHESIS_EXAMPLES for each operation, 30 where nothing is said."""
    configuration = tmp_path / "schemathesis.toml"
    configuration.write_text(CONFIGURATION)
    server = a_door(publisher)
    await server.start()
    try:
        asked = await asyncio.create_subprocess_exec(
            sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()",
            "--config-file", str(configuration), "run", str(DOCUMENT), "--url", f"http://{server.address}",
            "--max-examples", os.environ.get("FACESCAN_SCHEMATHESIS_EXAMPLES", "30"),
            "--seed", "20261123", "--generation-database", "none", "--no-color",
            cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        said, _ = await asked.communicate()
    finally:
        await server.stop()
    assert asked.returncode == 0, said.decode()


async def test_what_is_accepted_is_answered_as_the_document_says(publisher: RecordingPublisher) -> None:
    schema = schemathesis.openapi.from_dict(json.loads(DOCUMENT.read_text()))
    unsigned: dict[str, Any] = message({}, From="Anonymous", Subject=MANIFEST_SUBJECT)
    del unsigned["Hash"], unsigned["Signature"], unsigned["Header"]["DKIM"]
    server = a_door(publisher)
    await server.start()
    try:
        for document in (message(), unsigned):
            operation = schema["/inbox"]["POST"]
            case = operation.Case(body=document, media_type="application/json")
            answer = await asyncio.to_thread(case.call, base_url=f"http://{server.address}")
            assert answer.status_code == 200, answer.content
            operation.validate_response(answer)
            assert set(orjson.loads(answer.content)) == (
                set() if document is not unsigned else {"Meta", "Request", "Response"}
            )
    finally:
        await server.stop()
