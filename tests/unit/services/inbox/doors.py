"""The real front door on a free port, with settings that a test chooses."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from services.inbox.front import front_door
from services.inbox.http_server import DoorServer
from services.inbox.settings import InboxSettings
from shared.broker import Publisher
from tests.unit.services.inbox.messages import DOMAIN, ScriptedResolver, intake, opener


def settings(**changed: Any) -> InboxSettings:
    """Return the inbox's settings as they are by default, but for those that are named."""
    needed: dict[str, Any] = {"domain": DOMAIN, "kafka_bootstrap": "127.0.0.1:1", "drain_seconds": 1.0}
    return InboxSettings(**(needed | changed))


@asynccontextmanager
async def serving_door(
    publisher: Publisher, resolver: ScriptedResolver | None = None, **changed: Any
) -> AsyncIterator[DoorServer]:
    """Serve a door whose resolver and publisher are given."""
    server = front_door(
        settings(**changed), opener(resolver or ScriptedResolver()), intake(publisher), manifest=b"{}", port=0
    )
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
