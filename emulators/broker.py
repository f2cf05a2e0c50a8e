"""A sample Broker of the PollyWeb generation, with the wallets behind it: chats, invitations, prompts, replies.

The broker invites an Identity by `Hello@Host` {Chat, PublicKey, Biostamp, Purpose?}. On `Prompt@Broker` {Prompt, Chat,
Expires, Format, Emoji} the wallet fetches the content by `Prompted@Host` {Prompt, Context?} and says at the end
`Reply@Host` {Prompt, Result}; both from Anonymous, signed with the chat's key.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson

from emulators import json_fields
from emulators.envelopes import Generation, public_key_txt, sign, sign_as_anonymous
from emulators.mailbox import format_timestamp
from emulators.world import make_key

if TYPE_CHECKING:
    from emulators.envelopes import Envelope, PrivateKey
    from emulators.json_fields import JsonObject

INVITATION = "Hello@Host"
PROMPT_SUBJECT = "Prompt@Broker"
FETCH_SUBJECT = "Prompted@Host"
REPLY_SUBJECT = "Reply@Host"
MOST_CHATS = 20_000

_REPLY_BYTES = 64 * 1024
_TRIES = 10
_AGAIN_SECONDS = 0.5


class PromptError(RuntimeError):
    """Raised when a prompt's content cannot be had."""


@dataclass(slots=True)
class Chat:
    """One chat of a person with an Identity; `statuses` are the answers to the wallet's messages in it."""

    chat: str
    wallet: str
    identity: str
    inbox: str
    key: PrivateKey
    context: JsonObject | None
    statuses: list[int] = field(default_factory=list)


class Broker:
    """One broker's chats."""

    def __init__(self, name: str, key: PrivateKey, selector: str, session: aiohttp.ClientSession) -> None:
        self._name = name
        self._key = key
        self._selector = selector
        self._session = session
        self._chats: dict[str, Chat] = {}

    async def invite(self, fields: JsonObject) -> JsonObject:
        """Invite an Identity into a new chat of the person with `wallet`; see `emulators.peers`."""
        chat = Chat(
            chat=str(uuid.uuid4()),
            wallet=json_fields.text(fields, "wallet"),
            identity=json_fields.text(fields, "to"),
            inbox=json_fields.text(fields, "inbox"),
            key=make_key(),
            context=json_fields.mapping(fields, "context", None),
        )
        self._chats[chat.chat] = chat
        while len(self._chats) > MOST_CHATS:
            del self._chats[next(iter(self._chats))]
        body: JsonObject = {
            "Chat": chat.chat,
            "PublicKey": public_key_txt(chat.key),
            "Biostamp": json_fields.text(fields, "biostamp"),
        }
        if (purpose := json_fields.text(fields, "purpose", None)) is not None:
            body["Purpose"] = purpose
        correlation = json_fields.text(fields, "correlation", str(uuid.uuid4()))
        header = self._header(chat, self._name, INVITATION, correlation)
        message = sign(header, body, self._key, self._selector, Generation.POLLYWEB)
        status, _ = await self._post(chat, message)
        return {"correlation": correlation, "chat": chat.chat, "status": status}

    def chat_of(self, envelope: Envelope) -> Chat | None:
        """The chat that a prompt was sent into, when it is one with the sender."""
        chat = self._chats.get(str(envelope.body.get("Chat")))
        return chat if chat is not None and chat.identity.lower() == envelope.sender else None

    async def fetch(self, chat: Chat, prompt: str) -> JsonObject:
        """The prompt's content; tried again while the Identity cannot say. Raises PromptError."""
        body: JsonObject = {"Prompt": prompt} | ({"Context": chat.context} if chat.context else {})
        reply = await self._say(chat, FETCH_SUBJECT, body)
        content = reply.get("Response")
        if not isinstance(content, dict) or set(reply) != {"Meta", "Request", "Response"}:
            raise PromptError("the prompt's reply is no synchronous reply")
        return content

    async def reply(self, chat: Chat, prompt: str, result: str) -> None:
        """Say how it ended at the wallet. Raises PromptError."""
        await self._say(chat, REPLY_SUBJECT, {"Prompt": prompt, "Result": result})

    async def _say(self, chat: Chat, subject: str, body: JsonObject) -> JsonObject:
        header = self._header(chat, "Anonymous", subject, str(uuid.uuid4()))
        message = sign_as_anonymous(header, body, chat.key)
        for _ in range(_TRIES):
            status, text = await self._post(chat, message)
            chat.statuses.append(status)
            if status < 500:  # noqa: PLR2004 - HTTP's server errors
                break
            await asyncio.sleep(_AGAIN_SECONDS)
        if status != 200:  # noqa: PLR2004 - HTTP's OK
            raise PromptError(f"{subject} was answered {status}: {text.decode('utf-8', 'replace')[:300]}")
        reply: Any = orjson.loads(text)
        return reply if isinstance(reply, dict) else {}

    @staticmethod
    def _header(chat: Chat, sender: str, subject: str, correlation: str) -> dict[str, str]:
        return {
            "From": sender,
            "To": chat.identity,
            "Correlation": correlation,
            "Timestamp": format_timestamp(time.time()),
            "Subject": subject,
        }

    async def _post(self, chat: Chat, message: JsonObject) -> tuple[int, bytes]:
        """Status and body; 599 when there is no answer."""
        headers = {"Content-Type": "application/json"}
        try:
            async with self._session.post(
                chat.inbox, data=orjson.dumps(message), headers=headers, allow_redirects=False
            ) as answer:
                return answer.status, await answer.content.read(_REPLY_BYTES)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            return 599, str(error).encode()
