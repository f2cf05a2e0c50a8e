"""Others' manifests, for the buffer that they name: asked by ``Manifest@Domain``, through the outbound guard (§8).

What is kept of a manifest is that one name; one question at a time for a domain, bounded in bytes, time and number.
"""

import asyncio
import logging
import uuid
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime
from typing import Final

import orjson

from services.inbox.endpoint_map import MANIFEST_SUBJECT
from shared.domain_names import domain_name
from shared.envelope import ANONYMOUS, inbox_host
from shared.events import utc_text
from shared.generation import Generation
from shared.outbound import OutboundClient, OutboundError, Target, https_target
from shared.synchronous_replies import ReplyError, read_reply

log = logging.getLogger(__name__)

_MOST_BYTES: Final = 256 * 1024
_TIMEOUT_SECONDS: Final = 10.0
_KEEP_SECONDS: Final = 3600.0
_KEEP_FAILURE_SECONDS: Final = 300.0
_MOST_KEPT: Final = 10_000
_VERSIONS: Final = {Generation.NLWEB: "nlweb.org/MSG:1.0", Generation.POLLYWEB: "pollyweb.org/MSG:1.0"}


def public_target(domain: str, generation: Generation) -> Target:
    """Return where a domain takes messages (protocol §1, §2). Raises OutboundError."""
    return https_target(inbox_host(generation, domain), "/inbox")


def manifest_request(domain: str, generation: Generation, now: datetime) -> bytes:
    """Return the unsigned message that asks for a manifest."""
    header = {
        "From": ANONYMOUS,
        "To": domain,
        "Correlation": str(uuid.uuid4()),
        "Timestamp": utc_text(now),
        "Subject": MANIFEST_SUBJECT,
    }
    if generation is Generation.NLWEB:
        return orjson.dumps({"🤝": _VERSIONS[generation], "Header": header, "Body": {}})
    return orjson.dumps({"Header": {**header, "Schema": _VERSIONS[generation]}, "Body": {}})


def buffer_in(answer: bytes, domain: str) -> str | None:
    """Return ``About.Feedback`` of the manifest in a reply, in its envelope or bare; None when it names no domain.

    A manifest that speaks of another domain says nothing about this one.
    """
    try:
        manifest = read_reply(answer)
    except ReplyError:
        return None
    about = manifest.get("About") if manifest is not None else None
    if not isinstance(about, dict) or str(about.get("Domain", domain)).lower() != domain:
        return None
    buffer = about.get("Feedback")
    try:
        return domain_name(buffer) if isinstance(buffer, str) else None
    except ValueError:
        return None


class Manifests:
    """Asks domains for their manifests."""

    def __init__(
        self,
        client: Callable[[], OutboundClient],
        *,
        clock: Callable[[], datetime],
        target: Callable[[str, Generation], Target] = public_target,
        most_kept: int = _MOST_KEPT,
    ) -> None:
        self._make = client
        self._client: OutboundClient | None = None
        self._clock = clock
        self._target = target
        self._most_kept = most_kept
        self._kept: OrderedDict[str, tuple[float, str | None]] = OrderedDict()
        self._asking: dict[str, asyncio.Task[str | None]] = {}

    async def buffer_of(self, domain: str, generation: Generation) -> str | None:
        """Return the buffer domain that a domain's manifest names, or None."""
        kept = self._kept.get(domain)
        if kept is not None and self._clock().timestamp() < kept[0]:
            return kept[1]
        asking = self._asking.get(domain)
        if asking is None:
            asking = self._asking[domain] = asyncio.create_task(self._ask(domain, generation))
            asking.add_done_callback(lambda _: self._asking.pop(domain, None))
        return await asyncio.shield(asking)

    async def _ask(self, domain: str, generation: Generation) -> str | None:
        buffer, keep_seconds = None, _KEEP_FAILURE_SECONDS
        try:
            self._client = self._client or self._make()
            reply = await self._client.request(
                "POST",
                self._target(domain, generation),
                headers={"content-type": "application/json", "user-agent": "facescan"},
                body=manifest_request(domain, generation, self._clock()),
                timeout_seconds=_TIMEOUT_SECONDS,
                most_body_bytes=_MOST_BYTES,
            )
        except OutboundError as error:
            log.info("no manifest", extra={"domain": domain, "trouble": error.trouble.value})
        else:
            if reply.status == 200:  # noqa: PLR2004 - OK
                buffer, keep_seconds = buffer_in(reply.body, domain), _KEEP_SECONDS
        self._kept[domain] = (self._clock().timestamp() + keep_seconds, buffer)
        self._kept.move_to_end(domain)
        if len(self._kept) > self._most_kept:
            self._kept.popitem(last=False)
        return buffer

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.close()
