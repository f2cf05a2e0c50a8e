"""Signed messages as a foreign domain makes them, and a resolver that a test writes."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson

from emulators.envelopes import Generation, PrivateKey, public_key_txt, sign
from emulators.world import make_key
from services.inbox.domain import Reason, RefusedError, Subjects
from services.inbox.endpoint_map import Route
from services.inbox.endpoint_reload import DEFAULT_FILE, CurrentMap
from services.inbox.intake import Intake
from services.inbox.key_cache import CacheBounds, KeyCache
from services.inbox.look_up_budget import LookUpBudget
from services.inbox.opener import Opener
from shared.broker import Publisher
from shared.envelope import Envelope
from shared.events import utc_text
from shared.resolver import Answer, KeyAnswer, Resolver
from shared.strict_json import DEFAULT_BOUNDS, JsonBounds

DOMAIN = "identity.example"
SENDER = "shop.example"
SUBJECT = "VerifyLocator@Identity"
KEY = make_key()
OTHER_KEY = make_key()
RECORD = public_key_txt(KEY)
NAMES = {Generation.NLWEB: f"pw1._domainkey.{SENDER}", Generation.POLLYWEB: f"pw1._domainkey.pw.{SENDER}"}
MAP = CurrentMap(DEFAULT_FILE)
MOMENT = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)


def message(
    body: Mapping[str, Any] | None = None,
    *,
    key: PrivateKey = KEY,
    selector: str = "pw1",
    generation: Generation = Generation.NLWEB,
    at: datetime | None = None,
    **header: str,
) -> dict[str, Any]:
    """Return a signed message; ``header`` changes members of the header before it is signed."""
    fields = {
        "From": SENDER,
        "To": DOMAIN,
        "Correlation": str(uuid.uuid4()),
        "Timestamp": utc_text(at or MOMENT),
        "Subject": SUBJECT,
    }
    content = {"Locator": "loc-1"} if body is None else dict(body)
    return sign(fields | header, content, key, selector, generation)


def as_bytes(document: Any) -> bytes:
    return orjson.dumps(document)


def secure(*records: str, keep_seconds: float = 60.0) -> KeyAnswer:
    return KeyAnswer(Answer.SECURE, records, keep_seconds)


@dataclass
class ScriptedResolver:
    """Answers by ``answers``; everything else is absent. ``asked`` are the names in the order they were asked for."""

    answers: dict[str, KeyAnswer] = field(default_factory=lambda: {name: secure(RECORD) for name in NAMES.values()})
    asked: list[str] = field(default_factory=list)

    async def look_up(self, name: str) -> KeyAnswer:
        """See Resolver."""
        self.asked.append(name)
        return self.answers.get(name, KeyAnswer(Answer.ABSENT, keep_seconds=30.0))


def key_cache(resolver: Resolver, *, again_seconds: float = 0.0, burst: float = 10.0) -> KeyCache:
    return KeyCache(
        resolver,
        bounds=CacheBounds(least_seconds=0.0, again_seconds=again_seconds),
        budget=LookUpBudget(burst=burst, per_second=1e-9),
    )


def opener(
    resolver: ScriptedResolver,
    *,
    now: datetime = MOMENT,
    again_seconds: float = 0.0,
    window_seconds: float = 300.0,
    registered: Resolver | None = None,
    subjects: Subjects = MAP,
    json_bounds: JsonBounds = DEFAULT_BOUNDS,
) -> Opener:
    return Opener(
        domain=DOMAIN,
        window_seconds=window_seconds,
        subjects=subjects,
        keys=key_cache(resolver, again_seconds=again_seconds),
        registered=key_cache(registered or ScriptedResolver({})),
        clock=lambda: now,
        json_bounds=json_bounds,
    )


async def no_reply(_route: Route, _envelope: Envelope, _message: bytes) -> bytes:
    """Stand for handlers where none is asked."""
    raise RefusedError(Reason.SUBJECT, "not handled here")


def intake(publisher: Publisher, endpoints: CurrentMap = MAP) -> Intake:
    return Intake(endpoints, publisher, manifest=no_reply, synchronous=no_reply)
