"""HTTP services as endpoints of the map, whose answers a test writes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web


@dataclass
class Handler:
    """``status`` and ``reply`` are what it answers; ``hangs`` makes it answer nothing; ``got`` are (key, body)."""

    url: str = ""
    status: int = 200
    reply: str = "{}"
    hangs: bool = False
    seconds: float = 0.0
    got: list[tuple[str, str]] = field(default_factory=list)
    done: list[tuple[str, str]] = field(default_factory=list)
    refuses: set[str] = field(default_factory=set)
    headers: dict[str, str] = field(default_factory=dict)

    async def handle(self, request: web.Request) -> web.Response:
        body, key = await request.text(), request.headers.get("Idempotency-Key", "")
        self.headers = dict(request.headers)
        self.got.append((key, body))
        if self.hangs:
            await asyncio.sleep(60)
        await asyncio.sleep(self.seconds)
        status = 500 if any(word in body for word in self.refuses) else self.status
        if status // 100 == 2:
            self.done.append((key, body))
        location = {"location": "http://127.0.0.1:1/"} if status // 100 == 3 else {}
        return web.Response(status=status, text=self.reply, content_type="application/json", headers=location)


@asynccontextmanager
async def handling(**answers: object) -> AsyncIterator[Handler]:
    """Serve one handler on a free port."""
    handler = Handler(**answers)  # type: ignore[arg-type] # the dataclass's own fields
    application = web.Application()
    application.router.add_post("/", handler.handle)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    handler.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    try:
        yield handler
    finally:
        await runner.cleanup()
