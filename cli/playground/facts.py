"""Records of the topics as facts for the page, and a second opinion on every signed message.

Of a verification that the playground asked for, the page shows events and messages whole; of anybody else's on these
topics only what `facescan watch` shows: no body, no address with a token.
"""

from typing import Any, Final

import orjson

from cli.timeline import Step, step_of
from emulators.envelopes import MalformedMessageError, UnprovenMessageError, read_envelope, verify
from emulators.json_fields import FieldError, read_object
from emulators.keys_over_dns import Resolver, ResolverUnavailableError
from shared.cloudevents import CloudEventError, parse_record
from shared.events import INBOX_ACCEPTED_TYPE, PostSigned

OPENS: Final = "OpenPopup@Wallet"
# Which part of the system an event comes from (architecture, "One verification, as data sees it").
_STATION: Final = {
    "inbox.accepted": "door",
    "verification.requested": "router",
    "verification.opened": "session",
    "session.created": "session",
    "capture.completed": "session",
    "deadline.passed": "session",
    "verdict.reached": "verdict",
    "post.signed": "signer",
    "post.settled": "sender",
}


def station(step: Step) -> str:
    """Return which part of the flow wrote the event of a step; a post is asked for by session or verdict."""
    if step.step == "post.requested":
        return "session" if step.detail.startswith(OPENS) else "verdict"
    return _STATION.get(step.step, step.step)


def event_fact(record: Any, step: Step, *, whole: bool) -> dict[str, Any]:
    """Return what the page shows of a record; ``whole``: its data, too."""
    event = parse_record(record.headers, record.value)
    content: dict[str, Any] = {
        "station": station(step),
        "step": step.step,
        "detail": step.detail,
        "to": step.to,
        "type": event.type,
        "event_id": event.id,
        "source": event.source,
        "place": f"{record.topic}/{record.partition}@{record.offset}",
        "bytes": len(record.value or b""),
    }
    if whole:
        content["key"] = (record.key or b"").decode("utf-8", "replace")
        content["data"] = orjson.loads(event.data)
    return content


def step_in(record: Any) -> Step | None:
    """Return the step that a record stands for, or None."""
    return step_of(record.headers, record.value, record.timestamp)


def message_in(record: Any) -> str | None:
    """Return the signed message that an event carries, the exact text, or None."""
    try:
        event = parse_record(record.headers, record.value)
    except CloudEventError:
        return None
    if event.type == INBOX_ACCEPTED_TYPE:
        return event.data.decode("utf-8", "replace")
    if event.type == PostSigned.type:
        message = orjson.loads(event.data).get("message")
        return message if isinstance(message, str) else None
    return None


def opens_at(step: Step, wallet: str) -> bool:
    """Whether the step asks for the message that opens a pop-up in that wallet."""
    return step.step == "post.requested" and step.detail.startswith(OPENS) and step.to == wallet


async def second_opinion(text: str, resolver: Resolver) -> dict[str, Any]:
    """Return what a receiver with code of its own finds in a message: who, what, by which key, whether it is true."""
    found: dict[str, Any] = {"text": text, "verified": False, "problem": None}
    try:
        message = read_object(text.encode())
        envelope = read_envelope(message)
        name = envelope.generation.key_name(envelope.sender, envelope.selector)
        found |= {
            "subject": envelope.subject,
            "from": envelope.sender,
            "to": envelope.receiver,
            "generation": envelope.generation.value,
            "key_name": name,
        }
        record = await resolver.key_record(name)
        found["key_kind"] = "RSA" if "k=ed25519" not in record else "Ed25519"
        verify(message, record)
        found["verified"] = True
    except (FieldError, MalformedMessageError, UnprovenMessageError, ResolverUnavailableError) as error:
        found["problem"] = str(error)
    return found
