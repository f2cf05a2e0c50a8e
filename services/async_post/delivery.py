"""One delivery over HTTP: a guarded POST. The sender looks at an answer's status and ``Retry-After`` alone."""

import logging
import ssl
from collections import OrderedDict
from typing import Final

from services.async_post.connect_to import ConnectTo, Destinations
from shared.deliveries import Answer, retry_after
from shared.generation import Generation
from shared.outbound import OutboundClient, OutboundError, Reply, Target, request_head
from shared.outbound_addresses import AddressRules, AnyAddress

log = logging.getLogger(__name__)

# What is read of an answer, so that the connection can be used again; nobody needs its contents.
_MOST_ANSWER_BYTES: Final = 64 * 1024
_MOST_HEADS: Final = 2_000
_HEADERS: Final = (("content-type", "application/json"), ("user-agent", "facescan"))


class HttpDelivery:
    """Posts signed messages with one pool of connections."""

    def __init__(
        self,
        destinations: Destinations,
        *,
        timeout_seconds: float,
        idle_connections: int = 500,
        rules: AddressRules | None = None,
    ) -> None:
        self._destinations = destinations
        self._timeout_seconds = timeout_seconds
        self._idle_connections = idle_connections
        self._rules = rules
        self._client: OutboundClient | None = None
        self._heads: OrderedDict[Target, bytes] = OrderedDict()

    def _connected(self) -> OutboundClient:
        context = ssl.create_default_context()
        rules = self._rules
        if isinstance(self._destinations, ConnectTo):
            self._destinations.trust(context)
            rules = AnyAddress()
        self._client = OutboundClient(rules=rules, trust=context, idle_connections=self._idle_connections)
        return self._client

    async def post(self, receiver: str, generation: Generation, message: str) -> Answer:
        """Post one message and return the receiver's answer; trouble is an answer without a status."""
        try:
            reply = await self.exchange(
                receiver,
                generation,
                message.encode(),
                timeout_seconds=self._timeout_seconds,
                most_answer_bytes=_MOST_ANSWER_BYTES,
            )
        except OutboundError as error:
            log.debug("no answer", extra={"to": receiver, "trouble": error.trouble.value, "why": str(error)})
            return Answer(None, error.trouble.value)
        return Answer(reply.status, retry_after_seconds=retry_after(reply.headers.get("retry-after")))

    async def exchange(
        self, receiver: str, generation: Generation, message: bytes, *, timeout_seconds: float, most_answer_bytes: int
    ) -> Reply:
        """Post one message and return the whole answer, whatever its status. Raises OutboundError.

        ``timeout_seconds`` is for everything; a body beyond ``most_answer_bytes`` is cut.
        """
        client = self._client or self._connected()
        target = self._destinations.target(receiver, generation)
        request = b"%bcontent-length: %d\r\n\r\n%b" % (self._head(target), len(message), message)
        return await client.send(target, request, timeout_seconds, most_answer_bytes)

    def _head(self, target: Target) -> bytes:
        head = self._heads.get(target)
        if head is None:
            head = self._heads[target] = request_head("POST", target, _HEADERS)
            if len(self._heads) > _MOST_HEADS:
                self._heads.popitem(last=False)
        return head

    @property
    def connections(self) -> int:
        """How many connections are open now."""
        return self._client.connections if self._client else 0

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.close()
