"""A verification moves only as it may, and is decided once."""

import asyncio
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from shared.events import Context, Outcome
from shared.people import People, Person
from shared.stores import ConditionFailedError, Tables
from shared.verification import Attempt, LegalPhoto, State, Verification
from shared.verifications import Verifications

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
SECONDS = int(NOW.timestamp())


@pytest.fixture
def store(tables: Tables) -> Verifications:
    return Verifications(tables)


@pytest.fixture
def people(tables: Tables) -> People:
    return People(tables)


def fresh(state: State = State.PROMPTED) -> Verification:
    return Verification(
        verification_id=str(uuid.uuid4()), state=state, locator="abc", expires_at=SECONDS + 60, created_at=SECONDS,
        person="p1", photo_key="k", photo_version="v", photo_sha256="s", forget_at=SECONDS + 1000,
    )  # fmt: skip


def attempt_of(verification: Verification, number: int = 1, session: str | None = None) -> Attempt:
    return Attempt(
        verification_id=verification.verification_id, attempt=number, provider="rekognition",
        provider_session_id=session or str(uuid.uuid4()), created_at=SECONDS, expires_at=SECONDS + 180,
        person="p1", photo_key="k", photo_version="v", photo_sha256="s",
    )  # fmt: skip


async def state_of(store: Verifications, verification: Verification) -> State:
    found = await store.get(verification.verification_id)
    assert found is not None
    return found.state


async def test_a_repeated_request_finds_the_first_ones_record(store: Verifications) -> None:
    first = fresh()
    assert await store.create(first) == first
    assert await store.create(replace(first, locator="another", person="p2")) == first
    assert await store.get(first.verification_id) == first
    assert await store.get(str(uuid.uuid4())) is None


async def test_the_whole_way_is_gone_step_by_step(store: Verifications) -> None:
    verification = await store.create(fresh())
    name = verification.verification_id
    opened = await store.open(name, "b")
    assert opened is not None
    assert opened.state is State.OPENED
    attempt = attempt_of(verification)
    await store.begin(attempt)
    assert await store.attempt(name, 1) == attempt
    for _ in range(2):
        captured = await store.capture(name, "b")
        assert captured is not None
        assert captured.state is State.CAPTURED
    assert await store.subject(name, 1) == (captured, attempt)
    assert await store.subject(name, 2) == (captured, None)
    decided = await store.decide(verification, Outcome.SUCCESS, NOW, attempt)
    assert (decided.state, decided.outcome, decided.decided_at) == (State.DECIDED, "success", SECONDS)
    await store.announced(name)
    assert await state_of(store, verification) is State.ANNOUNCED
    await store.announced(name)
    assert await state_of(store, verification) is State.ANNOUNCED


UNDER_WAY = (State.SESSION_CREATED, State.CAPTURED)
OPEN = (State.REQUESTED, State.PROMPTED, State.OPENED, *UNDER_WAY)


@pytest.mark.parametrize("state", State)
async def test_looking_at_the_page_and_saying_done_move_from_one_state_each(store: Verifications, state: State) -> None:
    for move, said_by, before, after in (
        (store.open, "b", State.PROMPTED, State.OPENED),
        (store.capture, "", State.SESSION_CREATED, State.CAPTURED),
    ):
        verification = await store.create(fresh(state))
        browser = "b" if state is before is State.PROMPTED else ""
        expected = replace(verification, state=after if state is before else state, browser=browser)
        assert await move(verification.verification_id, said_by) == expected
        assert await store.get(verification.verification_id) == expected


@pytest.mark.parametrize("state", State)
async def test_an_attempt_begins_while_nothing_is_decided_and_the_second_not_first(
    store: Verifications, state: State
) -> None:
    verification = await store.create(fresh(state))
    with pytest.raises(ConditionFailedError):
        await store.begin(attempt_of(verification, 2))
    assert await store.get(verification.verification_id) == verification
    if state in OPEN:
        await store.begin(attempt_of(verification))
        assert await state_of(store, verification) is State.SESSION_CREATED
    else:
        with pytest.raises(ConditionFailedError):
            await store.begin(attempt_of(verification))
        assert await store.get(verification.verification_id) == verification
        assert await store.attempt(verification.verification_id, 1) is None


@pytest.mark.parametrize("state", State)
async def test_an_attempt_ends_only_while_it_is_under_way(store: Verifications, state: State) -> None:
    verification = await store.create(replace(fresh(state), attempt=1))
    if state in UNDER_WAY:
        assert (await store.end_attempt(verification.verification_id, 1, trouble=False)).state is State.OPENED
    else:
        with pytest.raises(ConditionFailedError):
            await store.end_attempt(verification.verification_id, 1, trouble=False)
        assert await store.get(verification.verification_id) == verification


async def test_done_said_by_another_browser_moves_nothing_and_returns_the_record(store: Verifications) -> None:
    verification = await store.create(fresh())
    name = verification.verification_id
    await store.open(name, "b")
    await store.begin(attempt_of(verification))
    found = await store.capture(name, "another")
    assert found == await store.get(name)
    assert found is not None
    assert (found.state, found.browser) == (State.SESSION_CREATED, "b")


async def test_what_does_not_exist_is_not_opened_or_captured(store: Verifications) -> None:
    name = str(uuid.uuid4())
    assert await store.open(name, "b") is None
    assert await store.capture(name, "") is None
    assert await store.subject(name, 1) == (None, None)
    assert await store.get(name) is None


async def test_a_second_attempt_begins_only_when_the_first_has_ended(store: Verifications) -> None:
    verification = await store.create(fresh())
    name = verification.verification_id
    first = attempt_of(verification)
    await store.begin(first)
    for attempt in (attempt_of(verification, 1), attempt_of(verification, 2)):
        with pytest.raises(ConditionFailedError):
            await store.begin(attempt)
    assert await store.attempt(name, 1) == first
    assert await store.attempt(name, 2) is None
    ended = await store.end_attempt(name, 1, trouble=True)
    assert (ended.state, ended.ended_attempt, ended.trouble, ended.attempt_open) == (State.OPENED, 1, True, False)
    with pytest.raises(ConditionFailedError):
        await store.end_attempt(name, 1, trouble=False)
    assert await store.capture(name, "") == ended
    await store.begin(attempt_of(verification, 2))
    with pytest.raises(ConditionFailedError):
        await store.end_attempt(name, 1, trouble=False)
    captured = await store.capture(name, "")
    assert captured is not None
    assert (captured.state, captured.attempt) == (State.CAPTURED, 2)


async def test_of_two_pages_that_begin_at_once_one_holds(store: Verifications) -> None:
    verification = await store.create(fresh())
    attempts = [attempt_of(verification) for _ in range(2)]
    results = await asyncio.gather(*(store.begin(attempt) for attempt in attempts), return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["ConditionFailedError", "NoneType"]
    assert await store.attempt(verification.verification_id, 1) == attempts[results.index(None)]


@pytest.mark.parametrize("with_attempt", [False, True])
async def test_what_was_decided_first_holds(store: Verifications, with_attempt: bool) -> None:
    verification = await store.create(fresh())
    attempt = attempt_of(verification) if with_attempt else None
    assert (await store.decide(verification, Outcome.FAILURE, NOW, attempt)).outcome == "failure"
    later = NOW + timedelta(seconds=9)
    for again in (None, attempt, attempt_of(verification)):
        held = await store.decide(verification, Outcome.SUCCESS, later, again)
        assert (held.outcome, held.decided_at) == ("failure", SECONDS)
    await store.announced(verification.verification_id)
    assert (await store.decide(verification, Outcome.SUCCESS, later)).outcome == "failure"


async def test_of_decisions_that_race_one_holds_and_all_see_it(store: Verifications) -> None:
    verification = await store.create(fresh())
    session = attempt_of(verification)
    outcomes = [Outcome.SUCCESS, Outcome.FAILURE, Outcome.ERROR, Outcome.SUCCESS, Outcome.FAILURE]
    seen = await asyncio.gather(
        *(
            store.decide(verification, outcome, NOW, session if number % 2 else None)
            for number, outcome in enumerate(outcomes)
        )
    )
    assert len({one.outcome for one in seen}) == 1
    stored = await store.get(verification.verification_id)
    assert stored is not None
    assert stored.outcome == seen[0].outcome


async def test_a_session_of_the_provider_decides_one_verification_only(store: Verifications) -> None:
    first, second = await store.create(fresh()), await store.create(fresh())
    session = str(uuid.uuid4())
    await store.decide(first, Outcome.SUCCESS, NOW, attempt_of(first, session=session))
    with pytest.raises(ConditionFailedError):
        await store.decide(second, Outcome.SUCCESS, NOW, attempt_of(second, session=session))
    assert await state_of(store, second) is State.PROMPTED


async def test_what_does_not_exist_is_not_decided(store: Verifications) -> None:
    with pytest.raises(ConditionFailedError):
        await store.decide(fresh(), Outcome.SUCCESS, NOW)


def test_a_verification_expires_at_its_second() -> None:
    verification = fresh()
    assert not verification.expired(NOW + timedelta(seconds=59.9))
    assert verification.expired(NOW + timedelta(seconds=60))


async def test_a_locator_leads_to_its_person_until_it_expires(people: People) -> None:
    name, locator = str(uuid.uuid4()), str(uuid.uuid4())
    person = Person(name, "wallet.example", "w1", LegalPhoto("key", "version", "sha"), enrolled_at=1_700_000_000)
    await people.save(person)
    await people.issue(locator, name, NOW)
    assert await people.find(locator, NOW - timedelta(seconds=1)) == person
    assert await people.find(locator, NOW) is None
    assert await people.find(locator, NOW + timedelta(days=1)) is None
    moved = replace(person, photo=LegalPhoto("key", "version2", "sha2"))
    await people.save(moved)
    assert await people.find(locator, NOW - timedelta(seconds=1)) == moved


async def test_an_unknown_locator_and_one_without_a_person_lead_nowhere(people: People) -> None:
    assert await people.find(str(uuid.uuid4()), NOW) is None
    locator = str(uuid.uuid4())
    await people.issue(locator, "not enrolled", NOW + timedelta(days=1))
    assert await people.find(locator, NOW) is None


async def test_a_locator_is_issued_once(people: People) -> None:
    locator = str(uuid.uuid4())
    await people.issue(locator, "p1", NOW)
    with pytest.raises(ConditionFailedError):
        await people.issue(locator, "p2", NOW)


async def test_where_a_page_was_first_opened_is_part_of_the_record(store: Verifications) -> None:
    verification = await store.create(fresh())
    first = await store.open(verification.verification_id, "a browser", Context(device="d" * 16, country="PT"))
    again = await store.open(verification.verification_id, "another browser", Context(device="e" * 16))
    assert first is not None
    assert first == again
    assert Context.model_validate_json(first.context) == Context(device="d" * 16, country="PT")
