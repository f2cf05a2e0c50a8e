"""Locators: one for each token of an issuer, by chance alone, which expire and end; by event and by message."""

import re
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.verdict.issuing import Issuing
from shared.errors import UnprocessableError
from shared.events import LocatorRequested, LocatorSettled, PostRequested, Requester
from shared.generation import Generation
from shared.locators import Issue, LocatorKind, Locators, TakenTokenError, new_locator
from tests.support.emulated_aws import Emulated
from tests.support.received import received
from tests.support.recording import RecordingPublisher

NOW = datetime.now(UTC).replace(microsecond=0)
LATER = NOW + timedelta(days=30)


@dataclass
class Desk:
    """The handler, and what it has sent."""

    emulated: Emulated
    publisher: RecordingPublisher

    async def ask(self, asker: str = "", **fields: Any) -> LocatorRequested:
        requester = Requester(domain=asker, generation=Generation.POLLYWEB, correlation="c-7") if asker else None
        data = LocatorRequested(request_id=str(uuid.uuid4()), requester=requester, **fields)
        await self.again(data)
        return data

    async def again(self, data: LocatorRequested) -> None:
        issuing = Issuing(
            locators=Locators(self.emulated.tables),
            publisher=self.publisher,
            issuers=frozenset(["issuer.example"]),
            most_days=365,
            answer_subject="LocatorIssued@Domain",
            clock=lambda: NOW,
        )
        await issuing.on_requested(received(data))

    def settled(self) -> LocatorSettled:
        data = self.publisher.of(LocatorSettled)[-1].data
        assert isinstance(data, LocatorSettled)
        return data

    def answer(self) -> PostRequested:
        data = self.publisher.of(PostRequested)[-1].data
        assert isinstance(data, PostRequested)
        return data

    async def leads_to(self, locator: str | None, at: datetime = NOW) -> str | None:
        person = await self.emulated.people.find(locator or "", at)
        return person.person if person else None


@pytest.fixture
def desk(emulated: Emulated, publisher: RecordingPublisher) -> Desk:
    return Desk(emulated, publisher)


@pytest.fixture
async def alice(emulated: Emulated) -> str:
    """A good locator of alice."""
    locator = new_locator()
    await emulated.enrol("alice", locator)
    return locator


def token() -> str:
    return uuid.uuid4().hex


# -- issued ----------------------------------------------------------------------------------------------------------


async def test_each_token_of_each_issuer_has_a_locator_of_its_own_and_keeps_it(emulated: Emulated) -> None:
    store, tokens = Locators(emulated.tables), [token(), token()]
    issues = [Issue(issuer, name, "alice", LATER) for issuer in ("a.example", "b.example") for name in tokens]
    first = [(await store.issue(issue, NOW)).locator for issue in issues]
    assert len(set(first)) == 4
    assert [(await store.issue(issue, NOW)).locator for issue in issues] == first


async def test_a_token_whose_locator_has_ended_gets_a_new_one(emulated: Emulated) -> None:
    store, issue = Locators(emulated.tables), Issue("a.example", token(), "alice", LATER)
    first = await store.issue(issue, NOW)
    assert await store.revoke(first.locator)
    second = await store.issue(issue, NOW)
    third = await store.issue(Issue("a.example", issue.token, "alice", LATER + timedelta(days=9)), LATER)
    assert len({first.locator, second.locator, third.locator}) == 3


async def test_a_token_never_leads_to_two_persons(emulated: Emulated) -> None:
    store, name = Locators(emulated.tables), token()
    await store.issue(Issue("a.example", name, "alice", LATER), NOW)
    with pytest.raises(TakenTokenError):
        await store.issue(Issue("a.example", name, "bob", LATER), NOW)


async def test_nothing_of_person_issuer_or_token_is_in_a_locator_and_a_biostamp_is_a_uuid(emulated: Emulated) -> None:
    store = Locators(emulated.tables)
    plain = (await store.issue(Issue("a.example", token(), "alice", LATER), NOW)).locator
    stamp = (await store.issue(Issue("a.example", token(), "alice", LATER, LocatorKind.BIOSTAMP), NOW)).locator
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{22}", plain)
    assert uuid.UUID(stamp).version == 4
    assert len({new_locator() for _ in range(1000)}) == 1000


async def test_no_token_is_kept_as_it_was_said(emulated: Emulated) -> None:
    name = token()
    await Locators(emulated.tables).issue(Issue("a.example", name, "alice", LATER), NOW)
    client = emulated.aws.client("dynamodb")
    for table in ("issued-locators", "locators"):
        assert name not in repr(client.scan(TableName=f"{emulated.settings.table_prefix}{table}")["Items"])


async def test_a_locator_that_is_not_there_cannot_be_revoked(emulated: Emulated) -> None:
    assert not await Locators(emulated.tables).revoke(new_locator())


# -- by event --------------------------------------------------------------------------------------------------------


async def test_a_system_of_ours_gets_a_locator_by_event_and_a_repeat_gets_the_same(desk: Desk, alice: str) -> None:
    asked = await desk.ask(person="alice", issuer="shop.example", token=token(), expires_at=LATER)
    first = desk.settled()
    assert (first.request_id, first.result, first.expires_at) == (asked.request_id, "issued", LATER)
    assert await desk.leads_to(first.locator) == "alice"
    assert await desk.leads_to(first.locator, LATER) is None
    await desk.again(asked)
    assert desk.settled() == first
    assert first.locator != alice


async def test_nobody_gets_a_locator_for_longer_than_the_setting_says(desk: Desk, alice: str) -> None:
    for wish in (None, NOW + timedelta(days=3650)):
        await desk.ask(person="alice", issuer="shop.example", token=token(), expires_at=wish)
        assert desk.settled().expires_at == NOW + timedelta(days=365)


async def test_a_revoked_locator_leads_nowhere(desk: Desk, alice: str) -> None:
    await desk.ask(action="revoke", locator=alice)
    assert desk.settled().result == "revoked"
    assert await desk.leads_to(alice) is None


@pytest.mark.parametrize(
    "fields",
    [
        {"person": "alice", "issuer": "a.example"},
        {"person": "alice", "token": "t"},
        {"issuer": "a.example", "token": "t"},
        {"person": "alice", "locator": "l", "issuer": "a.example", "token": "t"},
        {"action": "revoke"},
    ],
)
async def test_a_request_that_says_too_little_or_too_much_is_unprocessable(desk: Desk, fields: dict[str, Any]) -> None:
    with pytest.raises(UnprocessableError):
        await desk.ask(**fields)


# -- by message ------------------------------------------------------------------------------------------------------


async def test_an_issuer_gets_another_locator_of_the_same_person_by_message(desk: Desk, alice: str) -> None:
    name = token()
    await desk.ask("issuer.example", locator=alice, token=name, kind="biostamp")
    answer = desk.answer()
    assert (answer.to, answer.subject, answer.generation) == (
        "issuer.example", "LocatorIssued@Domain", Generation.POLLYWEB,
    )  # fmt: skip
    assert set(answer.body) == {"Request", "Token", "Result", "Locator", "Expires"}
    assert (answer.body["Request"], answer.body["Token"], answer.body["Result"]) == ("c-7", name, "ISSUED")
    assert answer.body["Locator"] != alice
    assert await desk.leads_to(answer.body["Locator"]) == "alice"
    assert desk.publisher.of(LocatorSettled) == []


async def test_a_locator_that_leads_nowhere_gets_one_that_looks_like_any_other_and_leads_nowhere(desk: Desk) -> None:
    await desk.ask("issuer.example", locator=new_locator(), token=token())
    body = desk.answer().body
    assert (body["Result"], len(body["Locator"])) == ("ISSUED", len(new_locator()))
    assert await desk.leads_to(body["Locator"]) is None


@pytest.mark.parametrize("action", ["issue", "revoke"])
async def test_a_domain_that_is_no_issuer_is_refused_and_changes_nothing(desk: Desk, alice: str, action: str) -> None:
    await desk.ask("other.example", action=action, locator=alice, token=token())
    body = desk.answer().body
    assert body["Result"] == "REFUSED"
    assert "Locator" not in body
    assert await desk.leads_to(alice) == "alice"


async def test_an_issuer_revokes_its_own_locators_and_no_others_and_cannot_tell(desk: Desk, alice: str) -> None:
    await desk.ask("issuer.example", locator=alice, token=token())
    own = desk.answer().body["Locator"]
    answers = []
    for locator in (own, alice, new_locator()):
        await desk.ask("issuer.example", action="revoke", locator=locator)
        answers.append({**desk.answer().body, "Locator": ""})
    assert answers[0] == answers[1] == answers[2]
    assert await desk.leads_to(own) is None
    assert await desk.leads_to(alice) == "alice"
