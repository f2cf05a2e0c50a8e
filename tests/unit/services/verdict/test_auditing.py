"""A line of the audit trail for each verdict, however it came about and whatever happened between the two."""

import json
import uuid
from collections.abc import Sequence
from typing import Any

import pytest

from services.verdict.announcing import Announcing
from services.verdict.auditing import Auditing
from shared.audit import AuditTrail
from shared.errors import UnavailableError
from shared.events import derived_id
from shared.stores import Check, Put, Tables, Update
from shared.tables import AUDIT
from shared.verification import State, Verification
from tests.unit.services.verdict.scene import Scene


async def line_of(scene: Scene, verification: Verification) -> dict[str, Any]:
    """Return the one line about a verification."""
    found = await scene.emulated.trail.find(derived_id("verdict", verification.verification_id))
    assert found is not None
    line: dict[str, Any] = json.loads(found)
    queries, identifier = scene.emulated.queries, verification.verification_id
    chain = [str(item["line"]) async for item in queries.of_partition(AUDIT, line["chain"])]
    assert sum(identifier in one for one in chain) == 1
    return line


async def test_a_verdict_after_a_check_says_who_asked_on_what_consent_and_what_was_decided(scene: Scene) -> None:
    """And no score, no purpose in the requester's words, no person, no locator, no picture's hash."""
    verification, attempt = await scene.checked("alice", confidence=91.25)
    await scene.capture(verification)
    line = await line_of(scene, verification)
    assert line["kind"] == "verification.decided"
    assert line["facts"].keys() == {
        "verification_id", "requester", "outcome", "attempts", "provider", "consent_version", "consent_language",
        "consented_at",
    }  # fmt: skip
    assert (line["facts"]["requester"], line["facts"]["outcome"]) == ("shop.example", "success")
    text = json.dumps(line)
    for word in (verification.person, verification.locator, verification.wallet_id, verification.photo_sha256, "91.2"):
        assert word not in text
    assert attempt.provider_session_id not in text


async def test_a_verification_that_nobody_came_to_has_its_line_too(scene: Scene) -> None:
    """One of an unknown locator looks like it: the trail is no oracle either."""
    kinds = []
    for person in ("alice", ""):
        verification = await scene.requested(person, expires_at=0)
        await scene.deadline(verification)
        facts = (await line_of(scene, verification))["facts"]
        assert facts.pop("verification_id") == verification.verification_id
        kinds.append(facts)
    assert kinds[0] == kinds[1] == {"requester": "shop.example", "outcome": "failure", "attempts": 0}


class _Away(Tables):
    """Tables that take no line while ``away``."""

    away = True

    async def transact(self, writes: Sequence[Put | Update | Check]) -> None:
        if self.away:
            raise UnavailableError("dynamodb.TransactWriteItems: it is away")
        await super().transact(writes)


@pytest.fixture
def away(scene: Scene) -> _Away:
    return _Away(scene.emulated.aws, scene.emulated.settings)


def announcing(scene: Scene, tables: Tables) -> Announcing:
    trail = AuditTrail(tables, scene.emulated.queries, uuid.uuid4().hex)
    return Announcing(
        verifications=scene.verifications, publisher=scene.publisher, auditing=Auditing(scene.verifications, trail),
        close_subject="ClosePopup@Wallet", answer_subject="LocatorVerified@Domain", answer_seconds=600.0,
    )  # fmt: skip


async def test_a_crash_between_the_answer_and_its_line_loses_neither(scene: Scene, away: _Away) -> None:
    """The answer leaves first; the event that decided is read again, by another process, until the line is there."""
    verification, attempt = await scene.checked("alice")
    decided = await scene.verifications.decide(await scene.record(verification), "success", scene.clock(), attempt)  # type: ignore[arg-type]
    with pytest.raises(UnavailableError):
        await announcing(scene, away).announce(decided, attempt)
    assert len(scene.publisher.sent) == 3
    assert (await scene.record(verification)).state is State.DECIDED
    assert await scene.emulated.trail.find(derived_id("verdict", verification.verification_id)) is None
    await scene.capture(verification)
    assert {sent.event.id for sent in scene.publisher.sent[:3]} == {sent.event.id for sent in scene.publisher.sent[3:]}
    assert (await line_of(scene, verification))["facts"]["outcome"] == "success"
    await scene.capture(verification)
    await line_of(scene, verification)
    assert (await scene.record(verification)).state is State.ANNOUNCED


async def test_while_the_trail_is_away_nobody_is_told_again(scene: Scene, away: _Away) -> None:
    verification, attempt = await scene.checked("alice")
    decided = await scene.verifications.decide(await scene.record(verification), "success", scene.clock(), attempt)  # type: ignore[arg-type]
    process = announcing(scene, away)
    for _ in range(3):
        with pytest.raises(UnavailableError):
            await process.announce(decided, attempt)
    away.away = False
    await process.announce(decided, attempt)
    assert len(scene.publisher.sent) == 3
    assert (await scene.record(verification)).state is State.ANNOUNCED
    assert not process._told
