"""Attacks on the page, its token and the session, each by its name; docs/scan-page.md has the others' tests too."""

import asyncio
import json
import uuid
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from services.session.page_api import CONSENT_VERSION
from services.session.page_headers import program_headers
from shared.events import CaptureCompleted, DeadlinePassed, Outcome, SessionCreated
from shared.stores import ConditionFailedError
from shared.verification import State, Verification
from tests.unit.services.session.test_page_api import PAGE, Program, program

__all__ = ["program"]

CONSENT = {"version": CONSENT_VERSION, "language": "en"}


async def _another(program: Program, **change: Any) -> Verification:
    """Write the record of another verification, which no browser has opened yet."""
    fresh: dict[str, Any] = {"verification_id": str(uuid.uuid4()), "state": State.PROMPTED, "browser": "", **change}
    record = replace(await program.record(), **fresh)
    return await program.verifications.create(record)


async def _open(program: Program, record: Verification) -> None:
    """Go on with that one, in a browser of its own."""
    program.identifier, program.key = record.verification_id, program.tokens.new_key(record.verification_id)
    await program.verifications.open(record.verification_id, program.key.fingerprint)


async def test_result_forgery_a_page_can_say_that_it_is_done_and_nothing_else(program: Program) -> None:
    await program.begin()
    program.publisher.sent.clear()
    for path in ("finished", "ended"):
        for where, value in (("outcome", "success"), ("confidence", 99.9), ("session_id", "s"), ("person", "bob")):
            said = {"attempt": 1, where: value}
            assert await program.call(path, said) == (422, {"error": "wrong", "where": where})
    assert program.publisher.sent == []
    assert (await program.record()).state is State.SESSION_CREATED


async def test_result_forgery_what_the_page_says_of_its_check_carries_no_result(program: Program) -> None:
    await program.begin()
    await program.call("finished", {"attempt": 1})
    (told,) = program.publisher.of(CaptureCompleted)
    assert told.data == CaptureCompleted(verification_id=program.identifier, attempt=1)
    assert (await program.record()).outcome == ""


async def test_session_replay_the_session_of_a_try_that_is_over_is_handed_out_no_more(program: Program) -> None:
    """Neither to the page that had it nor to another; what it says of the old one is not heard."""
    _, first = await program.begin()
    await program.verifications.end_attempt(program.identifier, 1, trouble=False)
    _, second = await program.begin()
    assert second["session_id"] != first["session_id"]
    program.publisher.sent.clear()
    for path in ("finished", "ended"):
        assert (await program.call(path, {"attempt": 1}))[1]["screen"] == "check"
    assert program.publisher.sent == []
    await program.verifications.decide(await program.record(), Outcome.FAILURE, program.now())
    status, facts = await program.begin()
    assert (status, facts["screen"]) == (409, "finished")
    assert "session_id" not in facts


async def test_session_fixation_no_page_can_name_the_session_that_it_wants(program: Program) -> None:
    before = program.emulated.sessions()
    status, answer = await program.begin(session_id="3f5a2f3e-0000-4000-8000-000000000000")
    assert (status, answer) == (422, {"error": "wrong", "where": "session_id"})
    assert program.emulated.sessions() == before


async def test_token_replay_of_many_browsers_with_one_address_one_is_let_in(program: Program) -> None:
    """All at once; the others get neither a screen, nor who asks, nor a session."""
    identifier = (await _another(program)).verification_id
    keys = [program.tokens.new_key(identifier) for _ in range(8)]
    opened = await asyncio.gather(*(program.verifications.open(identifier, key.fingerprint) for key in keys))
    program.identifier = identifier
    answers = [await program.call("state", key=key) for key in keys]
    assert sorted(status for status, _ in answers) == [200, *[403] * 7]
    assert {record.browser for record in opened if record} <= {key.fingerprint for key in keys}
    assert all(answer == {"error": "elsewhere"} for status, answer in answers if status == 403)
    (owner,) = (key for key, (status, _) in zip(keys, answers, strict=True) if status == 200)
    wish = {"page": PAGE, "consent": CONSENT}
    for key in keys:
        assert (await program.call("attempt", wish, key=key))[0] == (200 if key is owner else 403)


async def test_verdict_swap_who_is_checked_and_for_whom_is_written_once_and_by_no_page(program: Program) -> None:
    """The subject is the record's of the moment of the click; a second click and a later change do not move it."""
    await program.begin()
    first = await program.verifications.attempt(program.identifier, 1)
    assert first is not None
    assert (first.person, first.requester, first.verification_id) == ("alice", "shop.example", program.identifier)
    with pytest.raises(ConditionFailedError):
        await program.verifications.begin(replace(first, person="bob", provider_session_id="another"))
    await program.begin()
    assert await program.verifications.attempt(program.identifier, 1) == first


async def test_verdict_swap_the_key_to_one_verification_is_none_to_another(program: Program) -> None:
    mine = program.key
    await _open(program, await _another(program))
    for path, content in (("state", None), ("attempt", {"page": PAGE, "consent": CONSENT}), ("declined", {})):
        assert await program.call(path, content, key=mine) == (403, {"error": "elsewhere"})
    assert program.publisher.sent == []


async def test_legal_photo_swap_the_check_keeps_the_photo_of_the_request(program: Program) -> None:
    """Enrolled anew between request and click: the attempt has the version and the hash that were pinned before."""
    pinned = await _another(program, photo_key="p", photo_version="v1", photo_sha256="a" * 64)
    await program.verifications.create(replace(pinned, photo_version="v2"))  # a repeated request changes nothing
    await _open(program, pinned)
    assert (await program.begin())[0] == 200
    attempt = await program.verifications.attempt(pinned.verification_id, 1)
    assert attempt is not None
    assert attempt.photo == pinned.photo


async def test_stale_session_a_try_ends_before_the_provider_forgets_it_and_with_the_verification(
    program: Program,
) -> None:
    _, session = await program.begin()
    assert session["seconds"] <= 170
    await program.verifications.end_attempt(program.identifier, 1, trouble=False)
    program.ahead = timedelta(seconds=550)
    _, late = await program.begin()
    assert late["seconds"] <= 50


async def test_relay_whoever_is_filmed_reads_who_asks_and_why_before_a_session_exists(program: Program) -> None:
    """And has agreed to that text: without it there is no check."""
    before = program.emulated.sessions()
    _, facts = await program.call("state")
    assert (facts["requester"], facts["purpose"]) == ("shop.example", "to buy")
    assert (await program.call("attempt", {"page": PAGE}))[0] == 422
    assert program.emulated.sessions() == before


async def test_enumeration_nobody_s_page_says_the_same_as_somebody_s(program: Program) -> None:
    """A hosted function opens a page for nobody's locator too: screen, words and session are as for a person."""
    _, known = await program.call("state")
    await _open(program, await _another(program, person="", wallet_domain="", wallet_id="", hook="h"))
    _, unknown = await program.call("state")
    differ = {name for name in known if known[name] != unknown[name]}
    assert differ <= {"form_token", "seconds_left"}
    status, session = await program.begin()
    assert (status, set(session)) == (
        200, {"attempt", "seconds", "session_id", "region", "endpoint", "credentials"}
    )  # fmt: skip


async def test_cost_abuse_tries_and_clicks_cost_no_more_sessions_than_the_verification_has_tries(
    program: Program,
) -> None:
    before = program.emulated.sessions()
    for number in range(1, 6):
        await asyncio.gather(*(program.begin() for _ in range(3)))
        if (await program.record()).attempt == number:
            await program.verifications.end_attempt(program.identifier, number, trouble=False)
    assert (await program.begin())[1]["screen"] == "used_up"
    assert program.emulated.sessions() == before + 3


async def test_injection_the_flashing_lights_are_what_a_page_gets_that_asks_for_nothing(program: Program) -> None:
    """A film made before cannot know the colours; the check without them is a person's own choice, on record."""
    _, session = await program.begin()
    program.emulated.film(session["session_id"], "alice")
    result = program.emulated.aws.client("rekognition").get_face_liveness_session_results(
        SessionId=session["session_id"]
    )
    assert result["Challenge"]["Type"] == "FaceMovementAndLightChallenge"
    attempt = await program.verifications.attempt(program.identifier, 1)
    assert attempt is not None
    assert attempt.lights


async def test_duplicate_events_of_a_page_are_one_event_with_one_id(program: Program) -> None:
    await program.begin()
    await program.begin()
    await asyncio.gather(*(program.call("finished", {"attempt": 1}) for _ in range(4)))
    await asyncio.gather(*(program.call("declined", {}) for _ in range(2)))
    for kind in (SessionCreated, CaptureCompleted):
        assert len({sent.event.id for sent in program.publisher.of(kind)}) == 1
    declined = [sent for sent in program.publisher.of(DeadlinePassed) if sent.due is None]
    assert len({sent.event.id for sent in declined}) == 1


async def test_reordered_events_an_end_that_comes_before_its_beginning_ends_nothing(program: Program) -> None:
    for path in ("finished", "ended"):
        assert (await program.call(path, {"attempt": 1}))[1]["screen"] == "start"
    assert program.publisher.sent == []
    assert (await program.begin())[0] == 200


async def test_provider_outage_a_person_who_got_no_session_is_told_to_wait_and_never_that_they_failed(
    program: Program,
) -> None:
    program.emulated.fail("CreateFaceLivenessSession", 1)
    status, answer = await program.begin()
    assert (status, set(answer)) == (503, {"error", "after_seconds"})
    record = await program.record()
    assert (record.attempt, record.tries_used, record.trouble) == (0, 0, True)
    assert (await program.begin())[0] == 200


async def test_selfie_left_behind_a_browser_is_told_to_keep_nothing_and_to_show_no_picture_of_another_s(
    program: Program,
) -> None:
    """Every answer is ``no-store`` (looked at in each call); pictures may be the page's own alone, and go nowhere."""
    _, session = await program.begin()
    assert not any(word in json.dumps(session).lower() for word in ("image", "picture", "photo"))
    policy = program_headers(["wss://streaming.example"])["content-security-policy"]
    assert "img-src 'self' data:;" in policy
    assert "form-action 'self'" in policy
    assert "connect-src 'self' wss://streaming.example;" in policy
