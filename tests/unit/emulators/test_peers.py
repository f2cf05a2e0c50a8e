from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from emulators.envelopes import read_envelope, verify
from emulators.world import World
from tests.unit.emulators.clients import rekognition_client
from tests.unit.emulators.identity import Identity, running_identity
from tests.unit.emulators.processes import free_port, running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def peers_url(world_folder: Path, dns_address: str, aws_url: str) -> Iterator[str]:
    names = ["--domain", "shop2.example", "--rsa-domain", "bank.example", "--wallet", "wallet.example"]
    with running(
        "emulators.peers",
        *("--world", str(world_folder), "--dns", dns_address, "--aws", aws_url, "--port", str(free_port()), *names),
    ) as (_, address):
        yield f"http://{address}"


@pytest.fixture
async def identity(world_folder: Path, aws_url: str) -> AsyncIterator[Identity]:
    async for running_one in running_identity(world_folder, aws_url):
        yield running_one


async def order(identity: Identity, url: str, fields: dict[str, Any]) -> Any:
    async with identity.http.post(url, data=orjson.dumps(fields)) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()


async def listing(identity: Identity, url: str) -> Any:
    async with identity.http.get(url) as answer:
        return await answer.json()


def open_popup(identity: Identity, wallet: str, **change: Any) -> dict[str, Any]:
    body = {
        "Wallet": wallet,
        "Popup": str(uuid.uuid4()),
        "Url": f"{identity.url}/scan/t/",
        "Expires": "2100-01-01T00:00:00.000Z",
        "Requester": "shop2.example",
        "Purpose": "to buy a drill",
    }
    return identity.message("wallet.example", "OpenPopup@Wallet", body | change)


async def story(identity: Identity, peers_url: str, wallet: str) -> dict[str, Any]:
    """The wallet's pop-up once its person is done or has a problem."""
    for _ in range(100):
        for popup in await listing(identity, f"{peers_url}/wallet.example/popups"):
            if popup["wallet"] == wallet and (popup["done_at"] or popup["problem"]):
                return dict(popup)
        await asyncio.sleep(0.05)
    raise AssertionError(f"nothing happened to the pop-up of {wallet}")


async def test_the_process_is_healthy_and_its_domains_are_in_the_world(
    identity: Identity, peers_url: str, world_folder: Path
) -> None:
    health = await listing(identity, f"{peers_url}/healthz")
    assert health == {"domains": ["bank.example", "shop2.example"], "wallets": ["wallet.example"]}
    domain = World(world_folder).domain("bank.example")
    assert domain is not None
    assert domain.keys["pw1"].startswith("v=DKIM1;k=rsa;")
    assert domain.inbox == f"{peers_url}/bank.example/inbox"


@pytest.mark.parametrize("generation", ["nlweb", "pollyweb"])
@pytest.mark.parametrize("domain", ["shop2.example", "bank.example"])
async def test_a_domain_asks_with_a_message_that_verifies(
    identity: Identity, peers_url: str, world_folder: Path, domain: str, generation: str
) -> None:
    fields = {"inbox": f"{identity.url}/inbox", "to": "id.example", "locator": "abc", "generation": generation}
    asked = await order(identity, f"{peers_url}/{domain}/ask", fields | {"purpose": "to buy", "copies": 3})
    assert [answer["status"] for answer in asked["answers"]] == [200] * 3
    assert len(identity.received) == 3
    assert len(set(identity.received)) == 1
    message = orjson.loads(identity.received[0])
    record = World(world_folder).domain(domain)
    assert record is not None
    verify(message, record.keys["pw1"])
    envelope = read_envelope(message)
    assert (envelope.subject, envelope.body) == ("VerifyLocator@Identity", {"Locator": "abc", "Purpose": "to buy"})
    assert envelope.correlation == asked["correlation"]


async def test_a_forged_request_differs_from_what_was_signed(identity: Identity, peers_url: str) -> None:
    fields = {"inbox": f"{identity.url}/inbox", "to": "id.example", "locator": "abc", "forge": True}
    await order(identity, f"{peers_url}/shop2.example/ask", fields)
    assert orjson.loads(identity.received[0])["Body"] == {"Locator": "abx"}


async def test_an_inbox_that_cannot_be_reached_is_an_answer_with_status_0(identity: Identity, peers_url: str) -> None:
    fields = {"inbox": f"http://127.0.0.1:{free_port()}/inbox", "to": "id.example", "locator": "abc"}
    asked = await order(identity, f"{peers_url}/shop2.example/ask", fields)
    assert asked["answers"][0]["status"] == 0


@pytest.mark.parametrize("generation", ["nlweb", "pollyweb"])
async def test_an_answer_wakes_who_waits_for_it(identity: Identity, peers_url: str, generation: str) -> None:
    request = str(uuid.uuid4())
    waiting = asyncio.create_task(
        listing(identity, f"{peers_url}/shop2.example/answer/{request.upper()}?wait_seconds=10")
    )
    await asyncio.sleep(0.1)
    body = {"Request": request, "Locator": "abc", "Result": "SUCCESS"}
    message = identity.message("shop2.example", "LocatorVerified@Domain", body, generation=generation)
    assert (await identity.post(f"{peers_url}/shop2.example/inbox", message))[0] == 200
    answer = await waiting
    assert (answer["body"], answer["from"]) == (body, "id.example")
    assert await listing(identity, f"{peers_url}/shop2.example/answer/{request}") == answer


async def test_who_waits_in_vain_is_told_so(identity: Identity, peers_url: str) -> None:
    async with identity.http.get(f"{peers_url}/shop2.example/answer/{uuid.uuid4()}?wait_seconds=0.1") as answer:
        assert answer.status == 404


async def test_a_copy_is_answered_200_and_marked_as_duplicate(identity: Identity, peers_url: str) -> None:
    message = identity.message("shop2.example", "LocatorVerified@Domain", {})
    for _ in range(2):
        assert (await identity.post(f"{peers_url}/shop2.example/inbox", message))[0] == 200
    received = await listing(identity, f"{peers_url}/shop2.example/messages")
    mine = [one for one in received if one["message"] == message]
    assert [(one["verified"], one["duplicate"]) for one in mine] == [(True, False), (True, True)]


async def test_what_is_not_true_is_refused_with_the_protocols_status(identity: Identity, peers_url: str) -> None:
    inbox = f"{peers_url}/shop2.example/inbox"
    good = identity.message("shop2.example", "X@Domain", {"a": 1})
    refused = {
        401: [
            good | {"Body": {"a": 2}},
            good | {"Header": good["Header"] | {"From": "nobody.example"}},
            good | {"Header": good["Header"] | {"DKIM": "pw77"}},
        ],
        422: [
            {},
            good | {"🤝": "nlweb.org/MSG:9"},
            identity.message("other.example", "X@Domain", {}),
            identity.message("shop2.example", "X@Domain", {}, age_seconds=301),
            identity.message("shop2.example", "X@Domain", {}, age_seconds=-301),
        ],
    }
    for status, messages in refused.items():
        for message in messages:
            assert (await identity.post(inbox, message))[0] == status
    received = await listing(identity, f"{peers_url}/shop2.example/messages")
    assert all(one["problem"] and not one["verified"] for one in received[-8:])


async def test_an_inbox_answers_as_ordered_and_then_as_usual(identity: Identity, peers_url: str) -> None:
    await order(identity, f"{peers_url}/bank.example/respond", {"status": 503, "count": 2, "retry_after": 7})
    message = identity.message("bank.example", "LocatorVerified@Domain", {})
    answers = [await identity.post(f"{peers_url}/bank.example/inbox", message) for _ in range(3)]
    assert [status for status, _ in answers] == [503, 503, 200]
    assert answers[0][1]["Retry-After"] == "7"
    received = (await listing(identity, f"{peers_url}/bank.example/messages"))[-3:]
    assert [one["duplicate"] for one in received] == [False, False, False]
    assert [one["verified"] for one in received] == [True, True, True]


async def test_a_person_who_shows_up_is_scanned(identity: Identity, peers_url: str, aws_url: str) -> None:
    behaviour = {"wallet": "w-alice", "shows_up": True, "face": "alice", "confidence": 91.5, "think_seconds": 0.1}
    await order(identity, f"{peers_url}/wallet.example/behave", behaviour)
    message = open_popup(identity, "w-alice")
    assert (await identity.post(f"{peers_url}/wallet.example/inbox", message))[0] == 200
    popup = await story(identity, peers_url, "w-alice")
    assert popup["problem"] is None
    assert (popup["requester"], popup["purpose"]) == ("shop2.example", "to buy a drill")
    assert popup["received_at"] <= popup["page_fetched_at"] <= popup["started_at"] <= popup["captured_at"]
    assert set(popup["seconds"]) == {"page", "start", "camera", "done"}
    assert identity.done == [{"visit": "42"}]
    result = rekognition_client(aws_url).get_face_liveness_session_results(SessionId=popup["session_id"])
    assert (result["Status"], result["Confidence"]) == ("SUCCEEDED", 91.5)
    body = {"Wallet": "w-alice", "Popup": popup["popup"]}
    await identity.post(
        f"{peers_url}/wallet.example/inbox", identity.message("wallet.example", "ClosePopup@Wallet", body)
    )
    popups = await listing(identity, f"{peers_url}/wallet.example/popups")
    assert [one["closed_at"] is not None for one in popups if one["wallet"] == "w-alice"] == [True]


async def test_without_an_order_nobody_shows_up(identity: Identity, peers_url: str) -> None:
    await identity.post(f"{peers_url}/wallet.example/inbox", open_popup(identity, "w-nobody"))
    await asyncio.sleep(0.2)
    popups = await listing(identity, f"{peers_url}/wallet.example/popups")
    assert [one["page_fetched_at"] for one in popups if one["wallet"] == "w-nobody"] == [None]


@pytest.mark.parametrize(
    ("problem", "change"),
    [
        ("answered 500", {"page_status": 500}),
        ("names no liveness session", {"start_page": "<p>sorry"}),
        ("the camera answered 404", {"start_page": '<i data-session-id="gone"></i>{session:.0}'}),
        ("no form of method post and id done", {"start_page": '<i data-session-id="{session}"></i>'}),
    ],
)
async def test_a_page_that_does_not_work_is_noted(
    identity: Identity, peers_url: str, problem: str, change: dict[str, Any]
) -> None:
    for name, value in change.items():
        setattr(identity, name, value)
    wallet = f"w-{uuid.uuid4()}"
    await order(identity, f"{peers_url}/wallet.example/behave", {"wallet": wallet, "face": "alice"})
    await identity.post(f"{peers_url}/wallet.example/inbox", open_popup(identity, wallet))
    assert problem in (await story(identity, peers_url, wallet))["problem"]


@pytest.mark.parametrize("change", [{"Url": None}, {"Url": "ftp://x/"}, {"Requester": 5}])
async def test_a_malformed_pop_up_is_noted(identity: Identity, peers_url: str, change: dict[str, Any]) -> None:
    wallet = f"w-{uuid.uuid4()}"
    await order(identity, f"{peers_url}/wallet.example/behave", {"wallet": wallet})
    await identity.post(f"{peers_url}/wallet.example/inbox", open_popup(identity, wallet, **change))
    assert (await story(identity, peers_url, wallet))["problem"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("shop2.example/ask", b"{}"),
        ("shop2.example/ask", b"nonsense"),
        ("shop2.example/respond", b'{"status": 99}'),
        ("wallet.example/behave", b'{"wallet": "w", "confidence": 200}'),
        ("wallet.example/ask", b"{}"),
        ("nobody.example/inbox", b"{}"),
    ],
)
async def test_a_bad_order_is_explained_in_one_line(identity: Identity, peers_url: str, path: str, body: bytes) -> None:
    async with identity.http.post(f"{peers_url}/{path}", data=body) as answer:
        assert answer.status in {400, 404}
        assert "\n" not in (await answer.json())["error"]
