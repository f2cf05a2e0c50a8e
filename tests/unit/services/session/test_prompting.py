"""From a request to a pop-up and a deadline."""

import time
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest

from services.session.prompting import Prompting
from services.session.prompts import prompts
from services.session.tokens import Tokens
from shared.errors import UnavailableError
from shared.events import DeadlinePassed, Outcome, PostRequested, Requester, VerificationRequested
from shared.generation import Generation
from shared.verification import State
from shared.verifications import Verifications
from tests.support.emulated_aws import Emulated
from tests.support.received import received
from tests.support.recording import RecordingPublisher

TOKENS = Tokens("a secret of thirty-two characters")
REQUESTER = Requester(domain="shop.example", generation=Generation.POLLYWEB, correlation="c-1")


@pytest.fixture
def verifications(emulated: Emulated) -> Verifications:
    return Verifications(emulated.tables)


@pytest.fixture
def prompting(emulated: Emulated, publisher: RecordingPublisher, verifications: Verifications) -> Prompting:
    return Prompting(
        people=emulated.people,
        verifications=verifications,
        publisher=publisher,
        tokens=TOKENS,
        prompts=prompts("OpenPopup@Wallet", "identity.example"),
        public_url="https://scan.identity.example",
        verification_seconds=600.0,
        clock=lambda: datetime.now(UTC),
    )


def request(locator: str, **more: Any) -> VerificationRequested:
    fields: dict[str, Any] = {"requester": REQUESTER, "purpose": "to buy", **more}
    return VerificationRequested(verification_id=str(uuid.uuid4()), locator=locator, **fields)


def popup(publisher: RecordingPublisher) -> PostRequested:
    (sent,) = publisher.of(PostRequested)
    assert isinstance(sent.data, PostRequested)
    return sent.data


async def test_a_known_locator_opens_the_pop_up_of_its_owner(
    emulated: Emulated, prompting: Prompting, publisher: RecordingPublisher, verifications: Verifications
) -> None:
    locator = str(uuid.uuid4())
    person = await emulated.enrol("alice", locator)
    data = request(locator)
    await prompting.on_requested(received(data))
    post = popup(publisher)
    assert (post.to, post.subject, post.generation) == ("wallet.example", "OpenPopup@Wallet", Generation.NLWEB)
    url = post.body.pop("Url")
    assert post.body == {
        "Wallet": "w-alice",
        "Popup": data.verification_id,
        "Expires": post.body["Expires"],
        "Requester": "shop.example",
        "Purpose": "to buy",
    }
    assert url.startswith("https://scan.identity.example/scan/")
    assert TOKENS.read(url.rpartition("/")[2]) == data.verification_id
    record = await verifications.get(data.verification_id)
    assert record is not None
    assert (record.state, record.person, record.photo) == (State.PROMPTED, "alice", person.photo)
    assert (record.requester, record.correlation) == ("shop.example", "c-1")


async def test_the_deadline_comes_when_the_person_s_time_is_over(
    emulated: Emulated, prompting: Prompting, publisher: RecordingPublisher
) -> None:
    locator = str(uuid.uuid4())
    await emulated.enrol("alice", locator)
    await prompting.on_requested(received(request(locator, deadline_seconds=30.0)))
    (deadline,) = publisher.of(DeadlinePassed)
    assert deadline.due is not None
    assert 30.0 <= deadline.due - time.time() + 1 <= 32.5
    assert popup(publisher).deadline == datetime.fromtimestamp(deadline.due, UTC)


@pytest.mark.parametrize("days", [None, -1])
async def test_an_unknown_and_an_expired_locator_prompt_nobody_and_end_at_the_deadline(
    emulated: Emulated, prompting: Prompting, publisher: RecordingPublisher, verifications: Verifications,
    days: int | None,
) -> None:  # fmt: skip
    locator = str(uuid.uuid4())
    if days is not None:
        await emulated.enrol("alice", locator, days=days)
    data = request(locator)
    await prompting.on_requested(received(data))
    assert publisher.of(PostRequested) == []
    assert len(publisher.of(DeadlinePassed)) == 1
    record = await verifications.get(data.verification_id)
    assert record is not None
    assert (record.state, record.known, record.wallet_domain) == (State.REQUESTED, False, "")


async def test_a_repeated_event_says_the_same_again_with_the_same_ids(
    emulated: Emulated, prompting: Prompting, publisher: RecordingPublisher
) -> None:
    locator = str(uuid.uuid4())
    await emulated.enrol("alice", locator)
    data = request(locator)
    await prompting.on_requested(received(data))
    first = [(sent.event.id, sent.value, sent.due) for sent in publisher.sent]
    publisher.sent.clear()
    await emulated.enrol("alice", str(uuid.uuid4()), wallet="other.example")
    await prompting.on_requested(received(data))
    assert [(sent.event.id, sent.value, sent.due) for sent in publisher.sent] == first


async def test_a_repeated_event_after_the_end_says_nothing(
    emulated: Emulated, prompting: Prompting, publisher: RecordingPublisher, verifications: Verifications
) -> None:
    locator = str(uuid.uuid4())
    await emulated.enrol("alice", locator)
    data = request(locator)
    await prompting.on_requested(received(data))
    record = await verifications.get(data.verification_id)
    assert record is not None
    await verifications.decide(record, Outcome.FAILURE, datetime.now(UTC))
    publisher.sent.clear()
    await prompting.on_requested(received(data))
    assert publisher.sent == []


async def test_after_an_outage_of_the_broker_the_same_event_goes_on(
    emulated: Emulated, prompting: Prompting, publisher: RecordingPublisher
) -> None:
    locator = str(uuid.uuid4())
    await emulated.enrol("alice", locator)
    data, publisher.refusals = request(locator), 2
    with pytest.raises(UnavailableError):
        await prompting.on_requested(received(data))
    await prompting.on_requested(received(data))
    assert len(publisher.of(PostRequested)) == len(publisher.of(DeadlinePassed)) == 1


async def test_a_system_of_ours_may_ask_without_requester_and_purpose(
    emulated: Emulated, prompting: Prompting, publisher: RecordingPublisher
) -> None:
    locator = str(uuid.uuid4())
    await emulated.enrol("alice", locator)
    await prompting.on_requested(received(request(locator, requester=None, purpose=None)))
    body = popup(publisher).body
    assert body["Requester"] == "identity.example"
    assert "Purpose" not in body
