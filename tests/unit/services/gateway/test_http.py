"""Asking over HTTP: who may, what is taken, what a repeat gets, who may look."""

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest

from services.gateway.answers import PATH
from services.gateway.asked import AskedTable
from services.gateway.domain import STATUS, verification_id
from services.gateway.http import MOST_BODY_BYTES
from services.gateway.openapi import openapi
from services.gateway.telling import Telling
from shared.events import Outcome, VerdictReached, VerificationRequested, WebhookRequested
from shared.rates import Rate
from tests.support.asgi import serving
from tests.support.emulated_aws import Emulated
from tests.support.received import received
from tests.support.recording import RecordingPublisher
from tests.unit.services.gateway.parts import Known, gateway

ASK = {"locator": "some-locator", "purpose": "open an account"}


@dataclass
class Caller:
    """Asks as ``client``, or as nobody."""

    url: str
    known: Known
    session: aiohttp.ClientSession
    emulated: Emulated
    publisher: RecordingPublisher

    async def __call__(
        self, method: str = "POST", path: str = PATH, *, client: str | None = "bank", **more: Any
    ) -> tuple[int, dict[str, Any], Any]:
        headers = {"Authorization": f"Bearer {self.known.tokens[client]}"} if client else {}
        headers |= {"Idempotency-Key": str(uuid.uuid4())} if method == "POST" else {}
        headers |= more.pop("headers", {})
        async with self.session.request(method, self.url + path, headers=headers, **more) as answer:
            return answer.status, await answer.json(content_type=None), answer.headers

    async def decide(self, identifier: str, outcome: Outcome) -> None:
        telling = Telling(table=AskedTable(self.emulated.tables), publisher=self.publisher)
        await telling.on_verdict(
            received(VerdictReached(verification_id=identifier, outcome=outcome, decided_at=datetime.now(UTC)))
        )


@pytest.fixture
async def caller(emulated: Emulated, publisher: RecordingPublisher) -> AsyncIterator[Caller]:
    known = Known()
    async with serving(gateway(emulated, publisher, known)) as url, aiohttp.ClientSession() as session:
        yield Caller(url, known, session, emulated, publisher)


def asked(publisher: RecordingPublisher) -> list[Any]:
    return [sent.data for sent in publisher.of(VerificationRequested)]


async def test_what_is_asked_for_becomes_the_event_and_is_answered_with_its_id(caller: Caller) -> None:
    status, document, headers = await caller(json=ASK | {"deadline_seconds": 60})
    (event,) = asked(caller.publisher)
    assert (status, document) == (202, {"verification_id": event.verification_id})
    assert headers["Location"] == f"{PATH}/{event.verification_id}"
    assert (event.locator, event.purpose, event.deadline_seconds) == ("some-locator", "open an account", 60)
    assert (event.requester, event.chat, event.hook) == (None, None, None)


async def test_a_repeat_has_the_same_answer_and_asks_once_also_when_all_is_decided(caller: Caller) -> None:
    key = {"Idempotency-Key": "order-4711"}
    first = await caller(json=ASK, headers=key)
    await caller.decide(first[1]["verification_id"], Outcome.FAILURE)
    again = await caller(json=ASK, headers=key)
    assert first[:2] == again[:2]
    assert len(asked(caller.publisher)) == 1


async def test_the_same_key_for_something_else_is_refused_and_another_client_s_key_is_another(caller: Caller) -> None:
    key = {"Idempotency-Key": str(uuid.uuid4())}
    _, first, _ = await caller(json=ASK, headers=key)
    status, document, _ = await caller(json=ASK | {"locator": "another"}, headers=key)
    assert (status, document["reason"]) == (422, "idempotency_key_reused")
    assert "another" not in str(document)
    _, other, _ = await caller(json=ASK, headers=key, client="shop")
    assert other["verification_id"] != first["verification_id"]


async def test_nothing_is_said_to_be_asked_for_before_kafka_has_it_and_a_repeat_mends_it(caller: Caller) -> None:
    key = {"Idempotency-Key": str(uuid.uuid4())}
    caller.publisher.refusals = 1
    status, document, headers = await caller(json=ASK, headers=key)
    assert (status, document["reason"], headers["Retry-After"]) == (503, "not_stored", "5")
    assert asked(caller.publisher) == []
    status, document, _ = await caller(json=ASK, headers=key)
    assert status == 202
    assert [event.verification_id for event in asked(caller.publisher)] == [document["verification_id"]]


@pytest.mark.parametrize("outcome", Outcome)
async def test_who_asked_sees_pending_and_then_the_outcome_and_nothing_more(caller: Caller, outcome: Outcome) -> None:
    _, document, headers = await caller(json=ASK)
    place = headers["Location"]
    assert (await caller("GET", place))[:2] == (200, {**document, "state": "pending"})
    await caller.decide(document["verification_id"], outcome)
    status, found, headers = await caller("GET", place)
    assert (status, found["state"], headers["Cache-Control"]) == (200, outcome.value, "no-store")
    assert set(found) == {"verification_id", "state", "decided_at"}


async def test_ids_of_others_and_ids_of_nobody_have_the_same_answer(caller: Caller) -> None:
    _, _, headers = await caller(json=ASK)
    answers = [
        await caller("GET", place, client="shop")
        for place in (headers["Location"], f"{PATH}/{uuid.uuid4()}", f"{PATH}/", f"{PATH}/x", f"{PATH}/../secret")
    ]
    assert {(status, str(document)) for status, document, _ in answers[:-1]} == {(404, str(answers[0][1]))}
    assert answers[0][1]["reason"] == "not_found"


async def test_the_tables_hold_neither_locator_nor_purpose_nor_key_nor_token(caller: Caller) -> None:
    key = str(uuid.uuid4())
    _, document, _ = await caller(json=ASK, headers={"Idempotency-Key": key})
    item = await caller.emulated.tables.get("asked-over-http", {"verification_id": document["verification_id"]})
    assert item is not None
    for secret in (*ASK.values(), key, caller.known.tokens["bank"]):
        assert secret not in str(item)


async def test_whoever_has_no_token_learns_nothing_and_asks_for_nothing(caller: Caller) -> None:
    token = caller.known.tokens["bank"]
    for given in (f"Bearer {token}x", f"Bearer {token[:-1]}", f"Basic {token}", token, "Bearer ", "Bearer é"):
        for method, path in (("POST", PATH), ("GET", f"{PATH}/{uuid.uuid4()}"), ("PUT", PATH)):
            status, document, headers = await caller(
                method, path, client=None, headers={"Authorization": given}, data=b"x"
            )
            assert (status, document["reason"], headers["WWW-Authenticate"]) == (401, "unauthentic", "Bearer"), given
            assert token not in str(document)
    assert asked(caller.publisher) == []


NO_REQUESTS: list[tuple[dict[str, Any], int, str, str]] = [
    ({"json": ASK, "headers": {"Idempotency-Key": ""}}, 400, "idempotency_key", "Idempotency-Key"),
    ({"json": ASK, "headers": {"Idempotency-Key": "x" * 256}}, 400, "idempotency_key", "Idempotency-Key"),
    ({"json": ASK, "headers": {"Idempotency-Key": "a b"}}, 400, "idempotency_key", "Idempotency-Key"),
    ({"data": b"{", "headers": {"Content-Type": "application/json"}}, 400, "not_json", "no JSON"),
    ({"path": "/"}, 404, "not_found", PATH),
    ({"path": PATH, "method": "PUT"}, 405, "method_not_allowed", "POST"),
    ({"path": f"{PATH}/{uuid.uuid4()}", "method": "DELETE"}, 405, "method_not_allowed", "GET"),
    ({"data": b"{}", "headers": {"Content-Type": "text/plain"}}, 415, "media_type", "Content-Type"),
    ({"json": []}, 422, "invalid", "the request"),
    ({"json": {}}, 422, "invalid", "locator: "),
    ({"json": ASK | {"locator": "a b"}}, 422, "invalid", "locator: "),
    ({"json": ASK | {"purpose": "x" * 201}}, 422, "invalid", "purpose: "),
    ({"json": ASK | {"deadline_seconds": 3601}}, 422, "invalid", "deadline_seconds: "),
    ({"json": ASK | {"requester": {"domain": "shop.example"}}}, 422, "invalid", "requester: "),
    ({"json": ASK | {"verification_id": str(uuid.uuid4())}}, 422, "invalid", "verification_id: "),
    ({"json": ASK | {"more": [[[0]]]}}, 422, "invalid", "nested"),
    ({"json": ASK | {"purpose": "x" * MOST_BODY_BYTES}}, 413, "too_large", str(MOST_BODY_BYTES)),
]


async def test_what_is_no_request_is_refused_by_name_and_nothing_asked(caller: Caller) -> None:
    for more, status, reason, where in NO_REQUESTS:
        got, document, headers = await caller(**more)
        assert (got, document["reason"], headers["Content-Type"]) == (status, reason, "application/problem+json"), where
        assert where in document["detail"]
        assert "\n" not in document["detail"]
    assert asked(caller.publisher) == []


async def test_a_client_that_is_too_fast_is_told_when_to_come_back_and_others_are_not(
    emulated: Emulated, publisher: RecordingPublisher
) -> None:
    known = Known()
    slow = gateway(emulated, publisher, known, client_rate=Rate(0.1, 2))
    async with serving(slow) as url, aiohttp.ClientSession() as session:
        caller = Caller(url, known, session, emulated, publisher)
        got = [await caller(json=ASK) for _ in range(3)]
        assert [status for status, _, _ in got] == [202, 202, 429]
        assert (got[2][1]["reason"], got[2][2]["Retry-After"]) == ("client_too_fast", "10")
        assert (await caller(json=ASK, client="shop"))[0] == 202


async def test_an_address_that_guesses_tokens_is_slowed_down(emulated: Emulated, publisher: RecordingPublisher) -> None:
    known = Known()
    slow = gateway(emulated, publisher, known, address_rate=Rate(1, 2))
    async with serving(slow) as url, aiohttp.ClientSession() as session:
        caller = Caller(url, known, session, emulated, publisher)
        got = [await caller(json=ASK, client=None) for _ in range(3)]
    assert [document["reason"] for _, document, _ in got] == ["unauthentic", "unauthentic", "address_too_fast"]


async def test_a_verdict_is_told_once_and_those_of_others_are_passed_over(caller: Caller) -> None:
    _, document, _ = await caller(json=ASK)
    for _ in range(2):
        await caller.decide(document["verification_id"], Outcome.SUCCESS)
    await caller.decide(str(uuid.uuid4()), Outcome.SUCCESS)
    (sent,) = caller.publisher.of(WebhookRequested)
    told = sent.data
    assert isinstance(told, WebhookRequested)
    assert (told.client, told.verification_id, told.outcome) == ("bank", document["verification_id"], Outcome.SUCCESS)
    assert sent.key == b"bank"


async def test_a_crash_before_kafka_had_the_webhook_tells_it_at_the_repeat(caller: Caller) -> None:
    _, document, _ = await caller(json=ASK)
    caller.publisher.refusals = 1
    with pytest.raises(Exception, match="did not acknowledge"):
        await caller.decide(document["verification_id"], Outcome.FAILURE)
    await caller.decide(document["verification_id"], Outcome.FAILURE)
    assert len(caller.publisher.of(WebhookRequested)) == 1


def test_no_two_clients_and_keys_have_one_id() -> None:
    assert len({verification_id(client, key) for client in ("a", "b") for key in ("1", "2")}) == 4


def test_every_reason_stands_in_the_openapi_document_under_its_status_and_nothing_else_does() -> None:
    answers = openapi("1")["paths"][PATH]["post"]["responses"]
    documented = {
        (reason, int(status))
        for status, answer in answers.items()
        if status != "202"
        for reason in answer["content"]["application/problem+json"]["schema"]["allOf"][1]["properties"]["reason"][
            "enum"
        ]
    }
    assert documented == {(reason.value, status) for reason, status in STATUS.items()}
