"""Where the inbox hands over what wallets send to us as the Host of a chat; reached by the inbox alone."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import orjson
from prometheus_client import Counter
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.session.admission import bounded_body
from shared.errors import UnavailableError

log = logging.getLogger(__name__)

ANSWERED: Final = Counter("facescan_chat_messages_total", "Wallets' messages in chats, by subject and what came of it.",
                          ["subject", "outcome"])  # fmt: skip
PATHS: Final = {"Prompted@Host": "/prompted", "Reply@Host": "/replied"}
# What the door lets through at most.
_MOST_BYTES: Final = 64 * 1024

MakeHost = Callable[[], Any]


def host_application(make_host: MakeHost) -> Starlette:
    """Return ``POST /prompted`` and ``POST /replied``: 200 with a reply, 422 for a refusal, 503 for now.

    ``make_host`` is called with the first message: most deployments never get one, and what verifies them is not small.
    """
    made: list[Any] = []

    def host() -> Any:
        if not made:
            made.append(make_host())
        return made[0]

    async def prompted(message: bytes) -> Mapping[str, Any]:
        content: Mapping[str, Any] = await host().prompted(message)
        return content

    async def replied(message: bytes) -> Mapping[str, Any]:
        await host().replied(message)
        return {}

    handlers = {"Prompted@Host": prompted, "Reply@Host": replied}
    return Starlette(
        routes=[Route(path, _route(subject, handlers[subject]), methods=["POST"]) for subject, path in PATHS.items()]
    )


def _route(
    subject: str, handle: Callable[[bytes], Awaitable[Mapping[str, Any]]]
) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        from services.session.host import NoPromptError  # noqa: PLC0415 - see above

        try:
            content = await handle(await bounded_body(request, _MOST_BYTES))
        except NoPromptError as error:
            log.info("chat message refused", extra={"subject": subject, "why": error.why})
            ANSWERED.labels(subject, "refused").inc()
            return _json({"error": str(error)}, 422)
        except UnavailableError as error:
            log.warning("chat message waits", extra={"subject": subject, "why": str(error)})
            ANSWERED.labels(subject, "unavailable").inc()
            return _json({"error": "not now"}, 503)
        ANSWERED.labels(subject, "answered").inc()
        return _json(content, 200)

    return answer


def _json(content: Mapping[str, Any], status: int) -> Response:
    return Response(orjson.dumps(content), status, {"cache-control": "no-store"}, "application/json")
