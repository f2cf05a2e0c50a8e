"""A sample asking Domain: it asks an Identity to verify a locator and waits for the signed answer."""

from __future__ import annotations

import asyncio
import time
import uuid
from typing import TYPE_CHECKING

import aiohttp
import orjson

from emulators import json_fields
from emulators.envelopes import Generation, sign
from emulators.mailbox import Mailbox, format_timestamp

if TYPE_CHECKING:
    from emulators.envelopes import Envelope, PrivateKey
    from emulators.json_fields import JsonObject
    from emulators.keys_over_dns import Resolver

ASK_SUBJECT = "VerifyLocator@Identity"
ANSWER_SUBJECT = "LocatorVerified@Domain"
MOST_ANSWERS = 20_000
MOST_COPIES = 1000

_ANSWER_BYTES = 64 * 1024


class AskingDomain:
    """One domain of the emulated internet, with a key pair of its own."""

    def __init__(
        self, name: str, key: PrivateKey, selector: str, resolver: Resolver, session: aiohttp.ClientSession
    ) -> None:
        self.name = name
        self.mailbox = Mailbox(name, resolver, self._take)
        self._key = key
        self._selector = selector
        self._session = session
        self._answers: dict[str, JsonObject] = {}
        self._waiting: dict[str, asyncio.Event] = {}

    async def ask(self, fields: JsonObject) -> JsonObject:
        """Sign one request and post it `copies` times at once, the very same bytes; see `emulators.peers`."""
        inbox = json_fields.text(fields, "inbox")
        content, correlation = self._request(fields)
        copies = json_fields.whole(fields, "copies", 1, least=1, most=MOST_COPIES)
        sent_at = time.time()
        answers = await asyncio.gather(*(self._post(inbox, content) for _ in range(copies)))
        return {"correlation": correlation, "sent_at": sent_at, "answers": list(answers)}

    async def answer(self, correlation: str, wait_seconds: float) -> JsonObject | None:
        """The verified answer to the request `correlation`, waiting for it at most so long."""
        correlation = correlation.lower()
        if (known := self._answers.get(correlation)) is not None:
            return known
        arrived = self._waiting.setdefault(correlation, asyncio.Event())
        try:
            async with asyncio.timeout(wait_seconds):
                await arrived.wait()
        except TimeoutError:
            return None
        return self._answers.get(correlation)

    def _request(self, fields: JsonObject) -> tuple[bytes, str]:
        generation = Generation(json_fields.one_of(fields, "generation", tuple(Generation), Generation.NLWEB.value))
        correlation = json_fields.text(fields, "correlation", str(uuid.uuid4()))
        body: JsonObject = {"Locator": json_fields.text(fields, "locator")}
        if (purpose := json_fields.text(fields, "purpose", None)) is not None:
            body["Purpose"] = purpose
        header = {
            "From": self.name,
            "To": json_fields.text(fields, "to"),
            "Correlation": correlation,
            "Timestamp": format_timestamp(time.time()),
            "Subject": ASK_SUBJECT,
        }
        message = sign(header, body, self._key, self._selector, generation)
        if json_fields.flag(fields, "forge", default=False):
            locator = body["Locator"]
            message["Body"] = body | {"Locator": locator[:-1] + ("x" if locator[-1] != "x" else "y")}
        return orjson.dumps(message), correlation

    async def _post(self, inbox: str, content: bytes) -> JsonObject:
        """One POST; a failure of the connection is an answer with status 0 and the reason as body."""
        started = time.perf_counter()
        headers = {"Content-Type": "application/json"}
        try:
            async with self._session.post(inbox, data=content, headers=headers, allow_redirects=False) as response:
                status = response.status
                body = (await response.content.read(_ANSWER_BYTES)).decode("utf-8", "replace")
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            status, body = 0, str(error) or type(error).__name__
        return {"status": status, "body": body, "seconds": round(time.perf_counter() - started, 6)}

    def _take(self, envelope: Envelope, received_at: float) -> None:
        request = envelope.body.get("Request")
        if envelope.subject != ANSWER_SUBJECT or not isinstance(request, str):
            return
        request = request.lower()
        # The first answer counts: a second one would be the Identity's error, and stays visible in the messages.
        self._answers.setdefault(request, {"received_at": received_at, "from": envelope.sender, "body": envelope.body})
        while len(self._answers) > MOST_ANSWERS:
            del self._answers[next(iter(self._answers))]
        if (arrived := self._waiting.pop(request, None)) is not None:
            arrived.set()
