"""Synchronous subjects: one call of the handler, its reply in the response, the same reply for every copy (rule 7).

A message is claimed at the door, one by one, in the store. A claim is a lease: while it runs, copies wait for its
reply; when its holder died, the next copy takes it over and calls the handler again, with the same Idempotency-Key.
"""

import asyncio
import logging
import time
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final

import orjson
from prometheus_client import Counter

from services.inbox.dispatch import message_id
from services.inbox.domain import Reason, RefusedError
from services.inbox.endpoint_http import EndpointAnswer, EndpointHttp, Meaning
from services.inbox.endpoint_map import EndpointMap, Route, SyncEndpoint
from services.inbox.endpoint_requests import request_headers
from shared.envelope import Envelope
from shared.errors import UnavailableError
from shared.events import utc_text
from shared.stores import ConditionFailedError, Item, Put, Tables, Update, Value
from shared.tables import CLAIMS

log = logging.getLogger(__name__)

REPLIES: Final = Counter(
    "facescan_endpoint_replies_total",
    "Messages to synchronous endpoints, by what was answered.",
    ["endpoint", "outcome"],
)

_WORKING, _DONE, _REFUSED = "working", "done", "refused"
# Senders wait ten seconds; store and handler together answer before.
_WHOLE_SECONDS: Final = 9.5
_LOOK_SECONDS: Final = 0.1
# A lease outlives the handler's deadline by what the store may take to write the reply down.
_LEASE_MARGIN_SECONDS: Final = 5.0
_WAIT: Final = "the reply cannot be given now"


class Synchronous:
    """Calls handlers and keeps their replies. ``update`` it with each map before the first call."""

    def __init__(
        self, tables: Tables, *, domain: str, source: str, keep_hours: float, clock: Callable[[], datetime]
    ) -> None:
        self._tables = tables
        self._domain = domain
        self._source = source
        self._keep_seconds = int(keep_hours * 3600)
        self._clock = clock
        self._http: dict[str, tuple[SyncEndpoint, EndpointHttp]] = {}
        self._in_flight: dict[str, int] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def update(self, endpoints: EndpointMap) -> None:
        """Forget the connections of endpoints that are gone or changed."""
        for name, (endpoint, http) in list(self._http.items()):
            if endpoints.endpoints.get(name) != endpoint:
                del self._http[name]
                task = asyncio.create_task(self._close_later(http, endpoint.deadline_seconds))
                self._closing.add(task)
                task.add_done_callback(self._closing.discard)

    @staticmethod
    async def _close_later(http: EndpointHttp, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await http.close()

    async def close(self) -> None:
        """Close all connections."""
        for task in self._closing:
            task.cancel()
        await asyncio.gather(*(http.close() for _, http in self._http.values()))

    async def reply(self, route: Route, envelope: Envelope, message: bytes) -> bytes:
        """Return the JSON of the reply to a message. Raises RefusedError."""
        if route.replies is None:
            raise RefusedError(Reason.SUBJECT, "Header.Subject: not handled here")
        name, endpoint = route.replies
        outcome = "unavailable"
        try:
            async with asyncio.timeout(_WHOLE_SECONDS):
                answer = await self._claimed(name, endpoint, envelope, message)
            outcome = "replied"
        except (UnavailableError, TimeoutError) as error:
            raise RefusedError(Reason.REPLY, _WAIT) from error
        except RefusedError as error:
            outcome = error.reason.value
            raise
        finally:
            REPLIES.labels(name, outcome).inc()
        return answer

    async def _claimed(self, name: str, endpoint: SyncEndpoint, envelope: Envelope, message: bytes) -> bytes:
        """Return the stored reply, or claim the message and call the handler; wait while somebody else does."""
        key = f"{name}/{envelope.identity}"
        mine = uuid.uuid4().hex
        patience = time.monotonic() + endpoint.deadline_seconds
        while True:
            found = await self._claim(key, mine, endpoint)
            if found is None:
                return await self._call(name, endpoint, envelope, message, Held(self._tables, key, mine))
            if found.get("state") == _DONE:
                return str(found["reply"]).encode()
            if found.get("state") == _REFUSED:
                raise RefusedError(Reason.HANDLER_REFUSED, "the handler refuses this message")
            if time.monotonic() > patience:
                raise RefusedError(Reason.IN_PROGRESS, "the same message is being handled")
            await asyncio.sleep(_LOOK_SECONDS)

    async def _claim(self, key: str, mine: str, endpoint: SyncEndpoint) -> dict[str, Any] | None:
        """Claim a message; None when it is mine now, else what the store has about it."""
        now = time.time()
        lease: dict[str, str | int] = {
            "owner": mine,
            "state": _WORKING,
            "lease_until": int(now + endpoint.deadline_seconds + _LEASE_MARGIN_SECONDS),
            "expires_at": int(now) + self._keep_seconds,
        }
        try:
            await self._tables.put(Put(CLAIMS.name, {"message": key, **lease}, unless_exists=CLAIMS.partition_key))
        except ConditionFailedError:
            pass
        else:
            return None
        found = await self._tables.get(CLAIMS.name, {"message": key})
        if found is None:  # it expired in between
            return {}
        if found.get("state") != _WORKING or int(found["lease_until"]) > now:
            return found
        # Whoever held it died, or let go: take it over, unless somebody else is faster.
        when: dict[str, Sequence[Value]] = {"owner": [str(found["owner"])], "state": [_WORKING]}
        try:
            await self._tables.update(Update(CLAIMS.name, {"message": key}, lease, when))
        except ConditionFailedError:
            return found
        log.info("claim taken over", extra={"claim": key})
        return None

    async def _call(self, name: str, endpoint: SyncEndpoint, envelope: Envelope, message: bytes, held: "Held") -> bytes:
        try:
            reply = self._read(await self._post(name, endpoint, envelope, message), envelope)
        except RefusedError as error:
            if error.reason is Reason.HANDLER_REFUSED:
                await held.settle({"state": _REFUSED})
            else:
                await held.let_go()
            raise
        # Where somebody took over while the handler was slow, and got a reply, that one is the reply.
        return await held.settle({"state": _DONE, "reply": reply.decode()}) or reply

    async def _post(self, name: str, endpoint: SyncEndpoint, envelope: Envelope, message: bytes) -> EndpointAnswer:
        if self._in_flight.get(name, 0) >= endpoint.most_in_flight:
            raise RefusedError(Reason.HANDLER, _WAIT)
        if name not in self._http:
            self._http[name] = (endpoint, EndpointHttp(endpoint))
        self._in_flight[name] = self._in_flight.get(name, 0) + 1
        try:
            return await self._http[name][1].post(
                message,
                request_headers(message_id(name, envelope), self._source, envelope.subject),
                timeout_seconds=endpoint.deadline_seconds,
                most_bytes=endpoint.largest_reply_bytes,
            )
        finally:
            self._in_flight[name] -= 1

    def _read(self, answer: EndpointAnswer, envelope: Envelope) -> bytes:
        """Return the reply in a handler's answer. Raises RefusedError: for good, or for now."""
        if answer.meaning is Meaning.REFUSED:
            log.info("refused by its handler", extra={"subject": envelope.subject, "status": answer.status})
            raise RefusedError(Reason.HANDLER_REFUSED, "the handler refuses this message")
        if answer.meaning is Meaning.TRY_AGAIN:
            log.warning("handler does not answer", extra={"subject": envelope.subject, "answer": str(answer)})
            raise RefusedError(Reason.HANDLER, _WAIT)
        try:
            document = orjson.loads(answer.body or b"")
        except orjson.JSONDecodeError:
            document = None
        if not isinstance(document, dict):
            log.error("the handler's reply is no JSON object of the size allowed", extra={"subject": envelope.subject})
            raise RefusedError(Reason.HANDLER, _WAIT)
        return reply_envelope(envelope, document, domain=self._domain, now=self._clock())


class Held:
    """A claim that this process holds."""

    def __init__(self, tables: Tables, key: str, owner: str) -> None:
        self._tables = tables
        self._key = key
        self._owner = owner

    async def settle(self, values: Item) -> bytes | None:
        """Write the outcome down; when the claim was taken over and replied to meanwhile, return that reply."""
        try:
            await self._tables.update(Update(CLAIMS.name, {"message": self._key}, values, {"owner": [self._owner]}))
        except ConditionFailedError:
            found = await self._tables.get(CLAIMS.name, {"message": self._key})
            if found is None or found.get("state") != _DONE:
                raise RefusedError(Reason.IN_PROGRESS, "the same message is being handled") from None
            return str(found["reply"]).encode()
        return None

    async def let_go(self) -> None:
        """End the lease, so that the sender's next try calls the handler again at once."""
        try:
            await self._tables.update(
                Update(CLAIMS.name, {"message": self._key}, {"lease_until": 0}, {"owner": [self._owner]})
            )
        except (ConditionFailedError, UnavailableError) as error:
            log.info("claim not let go", extra={"claim": self._key, "why": type(error).__name__})


def reply_envelope(envelope: Envelope, response: dict[str, Any], *, domain: str, now: datetime) -> bytes:
    """Return a synchronous reply as JSON: ``Meta``, ``Request`` and ``Response`` alone at the top (protocol §8).

    A handler that writes this envelope itself is believed for its Response.
    """
    if set(response) <= {"Meta", "Request", "Response"} and isinstance(response.get("Response"), dict):
        response = response["Response"]
    header = {
        "From": envelope.sender,
        "To": envelope.receiver,
        "Subject": envelope.subject,
        "Correlation": envelope.correlation,
    }
    return orjson.dumps(
        {"Meta": {"From": domain, "Timestamp": utc_text(now)}, "Request": {"Header": header}, "Response": response}
    )
