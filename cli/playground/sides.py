"""The other sides of a verification: a bank that asks, and a wallet whose pop-up is the page's frame."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import aiohttp

from emulators.domain import AskingDomain
from emulators.envelopes import Envelope
from emulators.keys_over_dns import Resolver
from emulators.mailbox import Mailbox
from emulators.wallet import CLOSE_SUBJECT, OPEN_SUBJECT
from emulators.world import make_key, publish_key

# Names of their own: `facescan scan` and `facescan demo` may run beside the playground with theirs.
BANK: Final = "bank.example"
PHONE: Final = "phone.example"

Note = Callable[[str, str, dict[str, Any]], None]


class Sides:
    """The bank and the phone, with keys of their own in the world and inboxes below ``url``.

    ``note`` is told (kind, verification id, content) of each message that reaches one of them, and of each pop-up.
    """

    def __init__(self, world: Path, resolver: Resolver, session: aiohttp.ClientSession, url: str, note: Note) -> None:
        bank_key = make_key()
        self._note = note
        self._correlations: dict[str, str] = {}
        self.bank = AskingDomain(
            BANK, bank_key, publish_key(world, BANK, bank_key, inbox(url, BANK)), resolver, session
        )
        publish_key(world, PHONE, make_key(), inbox(url, PHONE))
        self._phone = Mailbox(PHONE, resolver, self._at_phone)
        self._boxes = {BANK: self.bank.mailbox, PHONE: self._phone}

    def expect(self, correlation: str, verification_id: str) -> None:
        """From now on an answer to ``correlation`` belongs to that verification."""
        self._correlations[correlation] = verification_id

    async def receive(self, name: str, raw: bytes) -> tuple[int, dict[str, str], str | None] | None:
        """Take a message at one of the inboxes; return status, headers and problem, or None: no such inbox."""
        box = self._boxes.get(name)
        if box is None:
            return None
        status, headers, problem = await box.receive(raw)
        received = box.listing()[-1]  # this one: nothing waits between the mailbox's note and here
        message = received["message"] or {}
        self._note("received", self._about(message), {
            "peer": name, "subject": _text(message.get("Header"), "Subject"), "status": status,
            "verified": received["verified"], "problem": problem, "duplicate": received["duplicate"],
            "result": _text(message.get("Body"), "Result") if name == BANK else "",
            "correlation": _text(message.get("Header"), "Correlation"),
        })  # fmt: skip
        return status, headers, problem

    def _about(self, message: dict[str, Any]) -> str:
        body = message.get("Body")
        return _text(body, "Popup") or self._correlations.get(_text(body, "Request"), "")

    def _at_phone(self, envelope: Envelope, received_at: float) -> None:
        body = envelope.body
        if envelope.subject == OPEN_SUBJECT and isinstance(body.get("Url"), str):
            facts = {name.lower(): body.get(name) for name in ("Url", "Requester", "Purpose", "Expires")}
            self._note("popup", _text(body, "Popup"), {"open": True, "received_at": received_at, **facts})
        elif envelope.subject == CLOSE_SUBJECT:
            self._note("popup", _text(body, "Popup"), {"open": False, "received_at": received_at})


def inbox(url: str, name: str) -> str:
    """Return where messages to one of the sides are posted."""
    return f"{url}/{name}/inbox"


def _text(members: Any, name: str) -> str:
    value = members.get(name) if isinstance(members, dict) else None
    return value if isinstance(value, str) else ""
