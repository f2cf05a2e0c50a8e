"""The verifications' tables; moving a verification is one conditional write (architecture, "as data sees it")."""

import secrets
from collections.abc import Container, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

import orjson

from shared.events import Context, Outcome
from shared.stores import Check, ConditionFailedError, Item, Put, Tables, Update, Value
from shared.tables import ATTEMPTS, PERSON, VERDICTS, VERIFICATIONS
from shared.verification import BEFORE_A_CHECK, ENDED, FORGET_AFTER_SECONDS, OPEN, Attempt, State, Verification

# What conditions look at, what keys are, and what items expire by. The rest never changes and is one attribute: calls
# cost by the number of attributes.
_FACTS: Final = "facts"
_OWN_ATTRIBUTES: Final = frozenset(
    ("verification_id", "state", "browser", "attempt", "ended_attempt", "trouble", "outcome", "decided_at", "forget_at")
)
# What comes later, if at all: no attribute until then.
_LATER: Final = frozenset(
    ("context", "passes", "nonce", "turn_attempt", "turn_at", "device", "blocked", "chat", "chat_key", "hook")
) | frozenset(("asks", "answer", "given_at", "wrong_answers", "factors", "refused"))
# What a condition looks at in the verifications of chats alone.
_OF_CHATS: Final = frozenset(("fetched_by",))
_NONCE_BYTES: Final = 16


def _item(record: Verification | Attempt) -> Item:
    own: dict[str, Value] = {}
    facts: dict[str, Value] = {}
    in_chat = isinstance(record, Verification) and bool(record.chat)
    for name in record.__dataclass_fields__.keys() - (set() if in_chat else _OF_CHATS):
        value = getattr(record, name)
        if value or name not in _LATER:
            (own if name in _OWN_ATTRIBUTES | _OF_CHATS else facts)[name] = value
    if record.person:
        own[PERSON] = record.person  # an index's key, which must not be empty
    return {**own, _FACTS: orjson.dumps(facts).decode()}


def _members(item: Mapping[str, Value], names: Container[str]) -> dict[str, Any]:
    """Return an item's members, those that a newer version has written and this one does not know left out."""
    members = {**orjson.loads(str(item[_FACTS])), **item}
    return {name: value for name, value in members.items() if name in names}


def _before(attempt: int) -> dict[str, Sequence[Value]]:
    """The condition that this attempt is the next one."""
    return {"state": list(BEFORE_A_CHECK), "attempt": [attempt - 1], "ended_attempt": [attempt - 1]}


def _verification(item: Mapping[str, Value]) -> Verification:
    members = _members(item, Verification.__dataclass_fields__)
    return Verification(**{**members, "state": State(members["state"])})


def attempt_of(item: Mapping[str, Value]) -> Attempt:
    """Return the attempt in an item of the attempts' table."""
    return Attempt(**_members(item, Attempt.__dataclass_fields__))


def decision(outcome: Outcome, moment: int) -> dict[str, Value]:
    """Return what a decision writes into the record."""
    nonce = secrets.token_urlsafe(_NONCE_BYTES)
    return {"state": State.DECIDED, "outcome": outcome, "decided_at": moment, "nonce": nonce}


def _verdict(attempt: Attempt, outcome: str, moment: int) -> Put:
    """Return the write that uses a provider's session up: there can be one for each."""
    verdict: Item = {
        "provider_session_id": attempt.provider_session_id,
        "verification_id": attempt.verification_id,
        "outcome": outcome,
        "decided_at": moment,
        "forget_at": moment + FORGET_AFTER_SECONDS,
    }
    return Put(VERDICTS.name, verdict, unless_exists="provider_session_id")


class Verifications:
    """The verifications' tables."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def create(self, verification: Verification) -> Verification:
        """Write a new record; return it, or the one that was there before (a repeated event)."""
        try:
            await self._tables.put(Put(VERIFICATIONS.name, _item(verification), unless_exists="verification_id"))
        except ConditionFailedError:
            return await self.get(verification.verification_id) or verification
        return verification

    async def get(self, verification_id: str) -> Verification | None:
        """Return the record as it is now."""
        item = await self._tables.get(VERIFICATIONS.name, {"verification_id": verification_id})
        return _verification(item) if item else None

    async def attempt(self, verification_id: str, attempt: int) -> Attempt | None:
        """Return what an attempt was created with."""
        item = await self._tables.get(ATTEMPTS.name, {"verification_id": verification_id, "attempt": attempt})
        return attempt_of(item) if item else None

    async def subject(self, verification_id: str, attempt: int) -> tuple[Verification | None, Attempt | None]:
        """Return a verification and one of its attempts, both as they are now."""
        verification, found = await self._tables.get_both(
            (VERIFICATIONS.name, {"verification_id": verification_id}),
            (ATTEMPTS.name, {"verification_id": verification_id, "attempt": attempt}),
        )
        return (_verification(verification) if verification else None), (attempt_of(found) if found else None)

    async def open(self, verification_id: str, browser: str, context: Context | None = None) -> Verification | None:
        """Note that the person looks at the page, in the browser with this fingerprint, if it is the first one.

        ``context``: where and on what, for the policy; its event is published after this. Return the record, whatever
        its state and its browser; None: there is none.
        """
        values: dict[str, Value] = {"state": State.OPENED, "browser": browser}
        if context is not None:
            values["context"] = context.model_dump_json(exclude_none=True)
        return await self._move_or_get(verification_id, values, {"state": [State.PROMPTED], "browser": [""]})

    async def fetch(
        self, verification_id: str, correlation: str, context: Context | None = None, device: str = ""
    ) -> Verification | None:
        """Note that a chat's prompt is served to the message with this Correlation, if it is the first one.

        ``context`` is what that message says of where and on what, ``device`` what the device is counted by. Return the
        record, whoever it was served to; None: there is none.
        """
        values: dict[str, Value] = {"fetched_by": correlation}
        if context is not None:
            values["context"] = context.model_dump_json(exclude_none=True)
        if device:
            values["device"] = device
        return await self._move_or_get(verification_id, values, {"fetched_by": [""]})

    async def capture(self, verification_id: str, browser: str) -> Verification | None:
        """Note the page's "done", said by this browser while its session runs.

        Return the record, whatever its state and its browser; None: there is none.
        """
        return await self._move_or_get(
            verification_id, {"state": State.CAPTURED}, {"state": [State.SESSION_CREATED], "browser": [browser]}
        )

    async def begin(self, attempt: Attempt, checks: Sequence[Check] = ()) -> None:
        """Write the attempt and move to ``session_created``.

        Raises ConditionFailedError when another was first, or one of ``checks`` does not hold: their reasons are the
        third and the following.
        """
        move = Update(
            VERIFICATIONS.name,
            {"verification_id": attempt.verification_id},
            {"state": State.SESSION_CREATED, "attempt": attempt.attempt},
            when=_before(attempt.attempt),
        )
        await self._tables.transact(
            [Put(ATTEMPTS.name, _item(attempt), unless_exists="verification_id"), move, *checks]
        )

    async def block(self, verification_id: str, attempt: int) -> None:
        """Note that no check may begin: too many have failed. Raises ConditionFailedError when one has begun."""
        await self._move(verification_id, {"blocked": True}, _before(attempt))

    async def wait_in_line(self, verification_id: str, attempt: int, turn_at: int) -> None:
        """Note when the turn of the next attempt is (epoch milliseconds): the person waits for us.

        Should their time be over before it, that is trouble of ours. Raises ConditionFailedError, another being first.
        """
        await self._move(
            verification_id, {"turn_attempt": attempt, "turn_at": turn_at, "trouble": True}, _before(attempt)
        )

    async def note_trouble(self, verification_id: str, attempt: int) -> None:
        """Note that the provider could not give the next attempt a session. Raises ConditionFailedError as above."""
        await self._move(verification_id, {"trouble": True}, _before(attempt))

    async def end_attempt(self, verification_id: str, attempt: int, *, trouble: bool) -> Verification:
        """Note that an attempt came to nothing; ``trouble``: for a reason that is not the person's.

        Raises ConditionFailedError when it is not the newest one or all is decided.
        """
        return await self._move(
            verification_id,
            {"state": State.OPENED, "ended_attempt": attempt, "trouble": trouble},
            {"state": [State.SESSION_CREATED, State.CAPTURED], "attempt": [attempt], "ended_attempt": [attempt - 1]},
        )

    async def pass_attempt(self, verification: Verification, attempt: Attempt, now: datetime) -> None:
        """Note that an attempt succeeded and that another must follow; its session can decide nothing any more.

        Raises ConditionFailedError when it is not the newest one, all is decided, or its session was used before.
        """
        move = Update(
            VERIFICATIONS.name,
            {"verification_id": verification.verification_id},
            {"state": State.OPENED, "ended_attempt": attempt.attempt, "passes": verification.passes + 1},
            when={
                "state": [State.SESSION_CREATED, State.CAPTURED],
                "attempt": [attempt.attempt],
                "ended_attempt": [attempt.attempt - 1],
            },
        )
        await self._tables.transact([_verdict(attempt, "passed", int(now.timestamp())), move])

    async def ask(
        self, verification: Verification, attempt: Attempt, asks: str, now: datetime, *, refused: Sequence[Put | Update]
    ) -> None:
        """End an attempt by asking for more; its session can decide nothing any more.

        ``refused``: what is written with it when the check has failed, which nothing that the page sees tells. Raises
        ConditionFailedError as ``decide`` with an attempt does.
        """
        move = Update(
            VERIFICATIONS.name,
            {"verification_id": verification.verification_id},
            {
                "state": State.ASKED,
                "ended_attempt": attempt.attempt,
                "passes": verification.passes + 1,  # either way: the tries that are left would tell
                "asks": asks,
                "refused": bool(refused),
            },
            when={
                "state": [State.SESSION_CREATED, State.CAPTURED],
                "attempt": [attempt.attempt],
                "ended_attempt": [attempt.attempt - 1],
            },
        )
        await self._tables.transact([_verdict(attempt, "asked", int(now.timestamp())), move, *refused])

    async def answer(self, verification_id: str, browser: str, sealed: str, now: datetime) -> Verification | None:
        """Note what this browser's person answers to what is asked. Return the record; None: there is none."""
        return await self._move_or_get(
            verification_id,
            {"state": State.ANSWERED, "answer": sealed, "given_at": int(now.timestamp())},
            {"state": [State.ASKED], "browser": [browser]},
        )

    async def settle_answer(
        self, verification: Verification, values: Item, also: Sequence[Put | Update] = ()
    ) -> Verification:
        """Do away with an answer that was looked at, together with what follows from it, or not at all.

        Raises ConditionFailedError; its ``reasons`` are the record's, then those of ``also``.
        """
        values = {**values, "answer": ""}
        when: dict[str, Sequence[Value]] = {"state": [State.ANSWERED], "answer": [verification.answer]}
        move = Update(VERIFICATIONS.name, {"verification_id": verification.verification_id}, values, when)
        await self._tables.transact([move, *also])
        changed: Any = values
        return replace(verification, **changed)

    async def skip(self, verification: Verification, now: datetime) -> Verification | None:
        """Decide a success without a scan, if none has begun; None: one has, or it is decided."""
        try:
            return await self._move(
                verification.verification_id,
                decision(Outcome.SUCCESS, int(now.timestamp())),
                {"state": [State.OPENED], "attempt": [0]},
            )
        except ConditionFailedError:
            return None

    async def decide(
        self,
        verification: Verification,
        outcome: Outcome,
        now: datetime,
        attempt: Attempt | None = None,
        also: Sequence[Put | Update] = (),
    ) -> Verification:
        """Decide once: return the record with the outcome that holds, this one or an earlier one.

        With an ``attempt`` the verdict is keyed by the provider's session as well, so that no session decides twice;
        ``also`` is written with it or not at all. Raises ConditionFailedError when that session was used before or a
        condition of ``also`` does not hold; its ``reasons`` are the session's, the record's, then those of ``also``.
        """
        verification_id = verification.verification_id
        values = decision(outcome, int(now.timestamp())) | ({"answer": ""} if verification.asks else {})
        when: dict[str, Sequence[Value]] = {"state": list(OPEN)}
        try:
            if attempt is None:
                return await self._move(verification_id, values, when)
            move = Update(VERIFICATIONS.name, {"verification_id": verification_id}, values, when)
            await self._tables.transact([_verdict(attempt, outcome, int(now.timestamp())), move, *also])
        except ConditionFailedError:
            settled = await self.get(verification_id)
            if settled is None or settled.state not in ENDED:
                raise
            return settled  # decided before: what was decided then holds
        changed: Any = values
        return replace(verification, **changed)

    async def announced(self, verification_id: str) -> None:
        """Note that everybody was told."""
        try:
            await self._move(verification_id, {"state": State.ANNOUNCED}, {"state": [State.DECIDED]})
        except ConditionFailedError:
            return  # noted before

    async def _move_or_get(
        self, verification_id: str, values: Item, when: Mapping[str, Sequence[Value]]
    ) -> Verification | None:
        try:
            return await self._move(verification_id, values, when)
        except ConditionFailedError as error:
            return _verification(error.found) if error.found else await self.get(verification_id)

    async def _move(self, verification_id: str, values: Item, when: Mapping[str, Sequence[Value]]) -> Verification:
        return _verification(
            await self._tables.update(Update(VERIFICATIONS.name, {"verification_id": verification_id}, values, when))
        )
