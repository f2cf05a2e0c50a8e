"""A sample asking Domain: it asks an Identity to verify a locator and waits for the signed answer."""

from __future__ import annotations

import asyncio
import time
import uuid
from typing import TYPE_CHECKING

import aiohttp
import orjson

from emulators import json_fields
from emulators.answers import Answers
from emulators.envelopes import Generation, sign
from emulators.mailbox import Mailbox, format_timestamp

if TYPE_CHECKING:
    from emulators.envelopes import Envelope, PrivateKey
    from emulators.json_fields import JsonObject
    from emulators.keys_over_dns import Resolver

ASK_SUBJECT = "VerifyLocator@Identity"
ANSWER_SUBJECT = "LocatorVerified@Domain"
CALL_SUBJECT = "Handle@Hosted"
HANDLED_SUBJECT = "Handled@Talker"
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
        self.answers = Answers()
        self.handled = Answers()

    async def ask(self, fields: JsonObject) -> JsonObject:
        """Sign one request and post it `copies` times at once, the very same bytes; see `emulators.peers`."""
        inbox = json_fields.text(fields, "inbox")
        content, correlation = self._request(fields)
        copies = json_fields.whole(fields, "copies", 1, least=1, most=MOST_COPIES)
        sent_at = time.time()
        answers = await asyncio.gather(*(self._post(inbox, content) for _ in range(copies)))
        return {"correlation": correlation, "sent_at": sent_at, "answers": list(answers)}

    async def call(self, fields: JsonObject) -> JsonObject:
        """Call an Identity's hosted function once, as the domain that runs its scripts; see `emulators.peers`."""
        hook = str(uuid.uuid4())
        body: JsonObject = {
            "Hook": hook,
            "Function": json_fields.text(fields, "function", "Liveness"),
            "Arguments": [{"Citizen": json_fields.text(fields, "citizen")}],
        }
        header = self._header(json_fields.text(fields, "to"), CALL_SUBJECT, str(uuid.uuid4()))
        message = sign(header, body, self._key, self._selector, Generation.POLLYWEB)
        answer = await self._post(json_fields.text(fields, "inbox"), orjson.dumps(message))
        return {"hook": hook, "answer": answer}

    async def say(self, fields: JsonObject) -> JsonObject:
        """Sign any one message and post it; see `emulators.peers`."""
        correlation = json_fields.text(fields, "correlation", str(uuid.uuid4()))
        header = self._header(json_fields.text(fields, "to"), json_fields.text(fields, "subject"), correlation)
        message = sign(header, json_fields.mapping(fields, "body"), self._key, self._selector, Generation.NLWEB)
        answer = await self._post(json_fields.text(fields, "inbox"), orjson.dumps(message))
        return {"correlation": correlation, "answer": answer}

    def _request(self, fields: JsonObject) -> tuple[bytes, str]:
        generation = Generation(json_fields.one_of(fields, "generation", tuple(Generation), Generation.NLWEB.value))
        correlation = json_fields.text(fields, "correlation", str(uuid.uuid4()))
        body: JsonObject = {"Locator": json_fields.text(fields, "locator")}
        if (purpose := json_fields.text(fields, "purpose", None)) is not None:
            body["Purpose"] = purpose
        header = self._header(json_fields.text(fields, "to"), ASK_SUBJECT, correlation)
        message = sign(header, body, self._key, self._selector, generation)
        if json_fields.flag(fields, "forge", default=False):
            locator = body["Locator"]
            message["Body"] = body | {"Locator": locator[:-1] + ("x" if locator[-1] != "x" else "y")}
        return orjson.dumps(message), correlation

    def _header(self, to: str, subject: str, correlation: str) -> dict[str, str]:
        return {
            "From": self.name,
            "To": to,
            "Correlation": correlation,
            "Timestamp": format_timestamp(time.time()),
            "Subject": subject,
        }

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
        answer = {"received_at": received_at, "from": envelope.sender, "body": envelope.body}
        for subject, member, answers in (
            (ANSWER_SUBJECT, "Request", self.answers),
            (HANDLED_SUBJECT, "Hook", self.handled),
        ):
            question = envelope.body.get(member)
            if envelope.subject == subject and isinstance(question, str):
                answers.take(question, answer)
