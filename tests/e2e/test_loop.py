"""The loop from a signed message to a signed answer, on the embedded broker and on a real Apache Kafka."""

import asyncio
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from bench.load import MIXED, SUCCESS, WRONG_PERSON, Load, Role
from cli.peers import SHOP, WALLET, Peers
from shared.cloudevents import parse_record
from shared.events import VerdictReached, VerificationRequested
from shared.people import People
from shared.stores import Tables
from tests.e2e.conftest import BROKERS, VERIFICATION_SECONDS, Running, one_system
from tests.unit.emulators.clients import side_door


@pytest.fixture(scope="module", params=["azure", *BROKERS])
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The same suite on both liveness providers: Rekognition on either broker, Azure on the embedded one."""
    yield from one_system(request, tmp_path_factory)


NOBODY = Role("nobody", "FAILURE", shows_up=False)


def test_each_kind_of_person_gets_the_right_signed_answer(running: Running) -> None:
    """A live owner is a success; a wrong face and a spoof are failures; each answer comes once and verifies."""

    async def work(load: Load, _peers: Peers) -> None:
        await load.enrol(MIXED)
        verified = await load.run(10, 5, MIXED)
        assert [one.results for one in verified] == [[one.role.expected] for one in verified]

    running.drive(work)


def test_ten_copies_of_a_message_are_each_answered_200_and_handled_once(running: Running) -> None:
    """One pop-up and one answer, however often the request came."""

    async def work(load: Load, peers: Peers) -> None:
        await load.enrol((SUCCESS,))
        correlation = str(uuid4())
        order = _order(running, load, correlation) | {"copies": 10}
        asked = await peers.ask(SHOP, order)
        assert [answer["status"] for answer in asked["answers"]] == [200] * 10
        assert await peers.answer(SHOP, correlation, 30) is not None
        await asyncio.sleep(1)  # a second answer would be on its way by now
        assert len(_answers(await peers.messages(SHOP), correlation)) == 1
        assert not [popup for popup in await peers.popups(WALLET) if popup["problem"]]

    running.drive(work)


def test_a_forged_message_is_refused_401_and_starts_nothing(running: Running) -> None:
    async def work(load: Load, peers: Peers) -> None:
        await load.enrol((SUCCESS,))
        correlation = str(uuid4())
        asked = await peers.ask(SHOP, _order(running, load, correlation) | {"forge": True})
        (answer,) = asked["answers"]
        assert answer["status"] == 401
        assert json.loads(answer["body"])["reason"] == "signature_wrong"
        assert await peers.answer(SHOP, correlation, 1) is None

    running.drive(work)


def test_an_unknown_and_an_expired_locator_are_answered_like_a_person_who_never_comes(running: Running) -> None:
    """Same members, same values but ids, and the same time: whoever asks cannot tell who is known."""

    async def work(load: Load, peers: Peers) -> None:
        await load.enrol((NOBODY,))
        known = _order(running, load, str(uuid4()), NOBODY)
        unknown = known | {"correlation": str(uuid4()), "locator": "nobody-has-this-locator"}
        expired = known | {"correlation": str(uuid4()), "locator": await _expired_locator(running)}
        began = time.time()
        orders = (known, unknown, expired)
        await asyncio.gather(*(peers.ask(SHOP, order) for order in orders))
        answers = await asyncio.gather(
            *(peers.answer(SHOP, order["correlation"], VERIFICATION_SECONDS + 10) for order in orders)
        )
        bodies, took = [], []
        for order, answer in zip(orders, answers, strict=True):
            assert answer is not None, order
            body = answer["body"]
            assert body.pop("Request") == order["correlation"]
            assert body.pop("Locator") == order["locator"]
            assert len(body.pop("Nonce")) == len("RandomOfSixteenBytes__")
            assert body.pop("Expires")
            bodies.append(body)
            took.append(answer["received_at"] - began)
        assert bodies == [{"Result": "FAILURE"}] * 3
        assert max(took) - min(took) < 1.5, took

    running.drive(work)


def test_an_event_of_another_system_starts_a_verification_and_its_verdict_is_an_event(running: Running) -> None:
    """Published in structured mode by a foreign producer; nobody is sent an answer, for nobody asked by message."""

    async def work(load: Load, peers: Peers) -> None:
        await load.enrol((SUCCESS,))
        verification_id = str(uuid4())
        event = {
            "specversion": "1.0",
            "id": "till-7/42",
            "source": "//bank.example/till",
            "type": VerificationRequested.type,
            "data": {"verification_id": verification_id, "locator": load.locator(SUCCESS)},
        }
        async with (
            AIOKafkaConsumer(VerdictReached.topic, bootstrap_servers=running.demo.kafka) as verdicts,
            AIOKafkaProducer(bootstrap_servers=running.demo.kafka) as producer,
        ):
            await verdicts.seek_to_end()
            await producer.send_and_wait(
                VerificationRequested.topic,
                json.dumps(event).encode(),
                key=verification_id.encode(),
                headers=[("content-type", b"application/cloudevents+json; charset=UTF-8")],
            )
            async with asyncio.timeout(30):
                async for record in verdicts:
                    verdict = VerdictReached.model_validate_json(parse_record(record.headers, record.value).data)
                    if verdict.verification_id == verification_id:
                        break
        assert verdict.outcome == "success"
        assert not [m for m in await peers.messages(SHOP) if verification_id in json.dumps(m)]

    running.drive(work)


def test_what_does_not_leave_does_not_leave(running: Running) -> None:
    """An answer has the request, the locator and the result; no score, no reason, no picture (rule 9)."""

    async def work(load: Load, peers: Peers) -> None:
        await load.enrol(MIXED)
        verified = await load.run(5, 5, MIXED)
        for one in verified:
            (answer,) = one.answers
            assert set(answer["message"]["Body"]) == {"Request", "Locator", "Result", "Nonce", "Expires"}
        # The pop-ups are closed by messages of their own, which may come after the answers.
        mine = {one.verification_id for one in verified}
        async with asyncio.timeout(20):
            while True:
                popups = [popup for popup in await peers.popups(WALLET) if popup["popup"] in mine]
                if all(popup["closed_at"] for popup in popups):
                    break
                await asyncio.sleep(0.1)
        assert len(popups) == len(verified)
        assert not [popup["problem"] for popup in popups if popup["problem"]]

    running.drive(work)


def test_a_throttling_provider_delays_and_denies_nobody_and_keeps_no_session(running: Running) -> None:
    """Its "later" is waited for, at the session's creation and at its result; what has served is erased there."""

    async def work(load: Load, _peers: Peers) -> None:
        await load.enrol((SUCCESS, WRONG_PERSON))
        _throttle(running, 4)
        verified = await load.run(4, 5, (SUCCESS, WRONG_PERSON))
        assert [one.results for one in verified] == [[one.role.expected] for one in verified]

    running.drive(work)
    azure = running.workbench.system.azure
    # What Rekognition has is gone three minutes later by itself.
    until = time.monotonic() + 20
    while azure and side_door(azure, "sessions")[1]:
        assert time.monotonic() < until, "sessions are left at the provider"
        time.sleep(0.2)


def _throttle(running: Running, count: int) -> None:
    """Let the provider refuse the next creations, and results."""
    system = running.workbench.system
    if system.azure:
        orders = [{"operation": name, "status": 429, "count": count} for name in ("create", "get", "quicklink")]
    else:
        operations = ("CreateFaceLivenessSession", "GetFaceLivenessSessionResults")
        orders = [{"operation": name, "error": "ThrottlingException", "count": count} for name in operations]
    for order in orders:
        assert side_door(system.azure or system.aws, "errors", order)[0] == 200


def _order(running: Running, load: Load, correlation: str, role: Role = SUCCESS) -> dict[str, Any]:
    return {
        "inbox": running.demo.inbox,
        "to": running.demo.domain,
        "locator": load.locator(role),
        "correlation": correlation,
    }


def _answers(messages: list[dict[str, Any]], correlation: str) -> list[dict[str, Any]]:
    return [m for m in messages if m["verified"] and m["message"]["Body"].get("Request") == correlation]


async def _expired_locator(running: Running) -> str:
    locator = f"expired-{uuid4().hex}"
    people = People(Tables(running.demo.aws, running.demo.stores))
    await people.issue(locator, "somebody", datetime.now(UTC) - timedelta(seconds=1))
    return locator


# -- the newer generation: a broker's chat and a hosted function

CONTEXT = {"Device": "the device's own name", "Country": "PT", "Location": {"Latitude": 38.7223, "Longitude": -9.1393}}


async def invited(running: Running, load: Load, role: Role, **more: Any) -> dict[str, Any]:
    """Let the wallet's broker invite this Identity into a chat with somebody."""
    locator = load.locator(role)
    order = {"inbox": running.demo.inbox, "to": running.demo.domain, "biostamp": locator, "wallet": load.wallet(role)}
    return await post(running.demo.peers, f"{WALLET}/invite", order | more)


async def post(peers: str, path: str, order: dict[str, Any]) -> dict[str, Any]:
    """Give an order to the peers at a base URL."""
    async with aiohttp.ClientSession() as http, http.post(f"{peers}/{path}", json=order) as answer:
        assert answer.status == 200, await answer.text()
        found: dict[str, Any] = await answer.json()
        return found


async def awaited(running: Running, path: str, seconds: float = 30) -> dict[str, Any]:
    url = f"{running.demo.peers}/{path}?wait_seconds={seconds}"
    async with aiohttp.ClientSession() as http, http.get(url) as answer:
        assert answer.status == 200, await answer.text()
        found: dict[str, Any] = await answer.json()
        return found


def test_a_broker_s_invitation_prompts_the_wallet_in_its_chat_and_is_answered(running: Running) -> None:
    """Prompt@Broker shows neither address nor asker; Prompted@Host is served once; each gets the right answer."""

    async def work(load: Load, peers: Peers) -> None:
        await load.enrol((SUCCESS, WRONG_PERSON), persons_each=1)
        for role in (SUCCESS, WRONG_PERSON):
            asked = await invited(running, load, role, purpose="to open an account", context=CONTEXT)
            assert asked["status"] == 200
            answer = await awaited(running, f"{WALLET}/answer/{asked['correlation']}")
            assert answer["body"]["Result"] == role.expected
            (prompt,) = [
                received["message"]["Body"]
                for received in await peers.messages(WALLET)
                if received["verified"] and received["message"]["Body"].get("Chat") == asked["chat"]
            ]
            assert set(prompt) == {"Prompt", "Chat", "Expires", "Format", "Emoji"}
            (popup,) = [one for one in await peers.popups(WALLET) if one["popup"] == prompt["Prompt"]]
            assert popup["problem"] is None
            assert popup["purpose"] == f"{WALLET} asks whether it is you: to open an account"

    running.drive(work)


def test_a_hosted_function_gets_the_page_and_then_the_result_by_its_second_hook(running: Running) -> None:
    async def work(load: Load, _peers: Peers) -> None:
        await load.enrol((SUCCESS, WRONG_PERSON), persons_each=1)
        for role in (SUCCESS, WRONG_PERSON):
            assert await _called(running, load.locator(role), load.wallet(role)) == role.expected

    running.drive(work)


def test_a_hosted_function_is_answered_for_nobody_s_locator_as_for_a_wrong_person(running: Running) -> None:
    """The page, the session and the answer are the same, and not much sooner or later."""

    async def work(load: Load, _peers: Peers) -> None:
        await load.enrol((SUCCESS, WRONG_PERSON), persons_each=1)
        began = time.monotonic()
        assert await _called(running, load.locator(WRONG_PERSON), load.wallet(WRONG_PERSON)) == "FAILURE"
        known = time.monotonic() - began
        began = time.monotonic()
        assert await _called(running, f"nobody-has-{uuid4()}", load.wallet(SUCCESS)) == "FAILURE"
        unknown = time.monotonic() - began
        assert abs(unknown - known) < VERIFICATION_SECONDS / 2, (known, unknown)

    running.drive(work)


async def _called(running: Running, locator: str, wallet: str) -> str:
    order = {"inbox": running.demo.inbox, "to": running.demo.domain, "citizen": locator}
    called = await post(running.demo.peers, f"{SHOP}/call", order)
    assert called["answer"]["status"] == 200, called
    first = (await awaited(running, f"{SHOP}/handled/{called['hook']}"))["body"]["Response"]
    assert set(first) == {"URL", "Hook"}
    await post(running.demo.peers, f"{WALLET}/visit", {"url": first["URL"], "wallet": wallet})
    result = (await awaited(running, f"{SHOP}/handled/{first['Hook']}"))["body"]
    assert set(result) == {"Hook", "Response"}
    return str(result["Response"])
