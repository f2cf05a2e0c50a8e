"""What the policy asks of a person, from a message to the answer: less, more, the other factor, nothing any more."""

import asyncio
import hashlib
import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import aiohttp
import pytest

from bench.load import Load
from cli.enrolment import Enrolment
from cli.peers import SHOP, WALLET, Peers
from emulators.pictures import make_picture
from shared.enrolled_factors import EnrolledFactors
from shared.factors import enrolment_uri
from shared.person_keys import PersonKeys
from shared.queries import Queries
from shared.stores import Tables
from tests.e2e.conftest import Running, start_system
from tests.e2e.test_loop import awaited, post

PHONE = {"Device": "her phone", "Country": "PT", "Location": {"Latitude": 38.7223, "Longitude": -9.1393}}
LAPTOP = {**PHONE, "Device": "her new laptop"}
RULES = [
    {"purpose": "by code", "least_proof": "scan and code"},
    {"purpose": "by question", "least_proof": "scan and question"},
    {"purpose": "the most", "least_proof": "scan twice and code"},
]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    directory = tmp_path_factory.mktemp("policy")
    terms = directory / "terms.json"
    terms.write_text(json.dumps({"rules": RULES}))
    settings = {
        "FACESCAN_VERIFICATION_SECONDS": "60", "FACESCAN_VERDICT_TERMS": str(terms), "FACESCAN_SKIP_SECONDS": "600",
        "FACESCAN_LOCK_OUT_FAILURES": "2", "FACESCAN_PERSON_FAILURES": "0", "FACESCAN_SUPERVISORS": SHOP,
    }  # fmt: skip
    with ExitStack() as open_parts:
        yield start_system(directory / "system", open_parts, kafka=None, settings=settings)


@dataclass
class Somebody:
    """An enrolled person with a wallet of the same name."""

    running: Running
    peers: Peers
    name: str = field(default_factory=lambda: f"p-{uuid4().hex[:12]}")

    @property
    def locator(self) -> str:
        return f"locator-{self.name}"

    async def enrol(self) -> None:
        demo = self.running.demo
        await Enrolment(demo.aws, Tables(demo.aws, demo.stores), demo.stores).enrol(
            person=self.name, photo=make_picture(self.name), photo_name="photo", wallet_domain=WALLET,
            wallet_id=self.name, locator=self.locator, expires_at=datetime.now(UTC) + timedelta(days=1),
        )  # fmt: skip

    @property
    def factors(self) -> EnrolledFactors:
        demo = self.running.demo
        tables = Tables(demo.aws, demo.stores)
        return EnrolledFactors(tables, Queries(demo.aws, demo.stores), PersonKeys(demo.aws, tables, demo.stores))

    async def authenticator(self) -> str:
        """Enrol one-time passwords and return what the authenticator has read of the address."""
        address = enrolment_uri(await self.factors.enrol_code(self.name), "id.example", "identity")
        return parse_qs(urlsplit(address).query)["secret"][0]

    async def behave(self, **behaviour: Any) -> None:
        order = {"wallet": self.name, "shows_up": True, "face": self.name, "steps": 5}
        await self.peers.behave(WALLET, {**order, **behaviour})

    async def asked(self, purpose: str) -> tuple[str, dict[str, Any]]:
        """Be asked for by the shop; return the answer and the story of the pop-up."""
        correlation, demo = str(uuid4()), self.running.demo
        before = {one["popup"] for one in await self.peers.popups(WALLET)}
        order = {"inbox": demo.inbox, "to": demo.domain, "locator": self.locator, "purpose": purpose}
        await self.peers.ask(SHOP, {**order, "correlation": correlation})
        answer = await self.peers.answer(SHOP, correlation, 40)
        assert answer is not None
        assert set(answer["body"]) == {"Request", "Locator", "Result", "Nonce", "Expires"}
        return answer["body"]["Result"], await self._popup(before)

    async def invited(self, context: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Be asked for in a chat whose wallet says where and on what; return as above."""
        demo = self.running.demo
        before = {one["popup"] for one in await self.peers.popups(WALLET)}
        order = {"inbox": demo.inbox, "to": demo.domain, "biostamp": self.locator, "wallet": self.name}
        invited = await post(self.running, f"{WALLET}/invite", {**order, "context": context})
        answer = await awaited(self.running, f"{WALLET}/answer/{invited['correlation']}", 40)
        return answer["body"]["Result"], await self._popup(before)

    async def _popup(self, before: set[str]) -> dict[str, Any]:
        popups = await self.peers.popups(WALLET)
        (popup,) = (one for one in popups if one["wallet"] == self.name and one["popup"] not in before)
        assert popup["problem"] is None
        return popup


async def somebody(running: Running, peers: Peers, **behaviour: Any) -> Somebody:
    one = Somebody(running, peers)
    await one.enrol()
    await one.behave(**behaviour)
    return one


def test_soon_after_a_success_on_the_same_device_no_scan_is_done_and_on_another_one_two_are(running: Running) -> None:
    async def work(_load: Load, peers: Peers) -> None:
        she = await somebody(running, peers)
        result, popup = await she.invited(PHONE)
        assert (result, popup["checks"]) == ("SUCCESS", 1)
        await she.behave(reads_seconds=4)
        result, popup = await she.invited(PHONE)
        assert (result, popup["checks"], popup["started_at"]) == ("SUCCESS", 0, None)
        await she.behave()
        result, popup = await she.invited(LAPTOP)
        assert (result, popup["checks"], popup["asked"]) == ("SUCCESS", 2, 0)

    running.drive(work)


def test_after_too_many_failures_even_the_right_face_is_a_failure(running: Running) -> None:
    async def work(_load: Load, peers: Peers) -> None:
        she = await somebody(running, peers, face="somebody-else")
        for _ in range(2):
            assert (await she.asked("to buy"))[0] == "FAILURE"
        await she.behave()
        assert (await she.asked("to buy"))[0] == "FAILURE"

    running.drive(work)


def test_a_one_time_password_is_asked_for_after_the_scan_and_decides_with_it(running: Running) -> None:
    """Right: success. Wrong to the last: failure. Right after another's face: failure. And with two scans."""

    async def work(_load: Load, peers: Peers) -> None:
        four = [await somebody(running, peers) for _ in range(4)]
        secrets = [await one.authenticator() for one in four]
        await four[0].behave(authenticator=secrets[0])
        await four[1].behave(knows="000000")
        await four[2].behave(authenticator=secrets[2], face="somebody-else")
        await four[3].behave(authenticator=secrets[3])
        purposes = ["by code", "by code", "by code", "the most"]
        ended = await asyncio.gather(*(one.asked(purpose) for one, purpose in zip(four, purposes, strict=True)))
        assert [result for result, _ in ended] == ["SUCCESS", "FAILURE", "FAILURE", "SUCCESS"]
        assert [(popup["checks"], popup["asked"]) for _, popup in ended] == [(1, 1), (1, 3), (1, 1), (2, 1)]

    running.drive(work)


def test_the_security_question_is_asked_of_whom_has_one_and_a_second_scan_of_whom_has_none(running: Running) -> None:
    async def work(_load: Load, peers: Peers) -> None:
        she, he = await somebody(running, peers, knows="REX!"), await somebody(running, peers)
        await she.factors.enrol_question(she.name, "first-pet", "Rex")
        ended = await asyncio.gather(she.asked("by question"), he.asked("by question"))
        assert [(result, popup["checks"], popup["asked"]) for result, popup in ended] == [
            ("SUCCESS", 1, 1), ("SUCCESS", 2, 0),
        ]  # fmt: skip

    running.drive(work)


def test_a_trusted_domain_s_own_picture_is_matched_and_no_version_of_it_is_left(running: Running) -> None:
    async def work(_load: Load, peers: Peers) -> None:
        she = await somebody(running, peers)
        for picture, result in ((she.name, "SUCCESS"), ("somebody-else", "FAILURE")):
            assert await supervised(running, peers, she.locator, make_picture(picture)) == result

    running.drive(work)
    client, bucket = running.demo.aws.client("s3"), running.demo.stores.bucket
    versions = client.list_object_versions(Bucket=bucket, Prefix="evidence/")
    assert not [one["Key"] for one in versions.get("Versions", []) if one["Key"].endswith("/upload")]


async def supervised(running: Running, peers: Peers, locator: str, picture: bytes) -> str:
    """Announce, upload and match a picture as the shop; return the answer's result."""
    body = {"Locator": locator, "Bytes": len(picture), "Sha256": hashlib.sha256(picture).hexdigest()}
    first = await say(running, SHOP, "UploadPicture@Identity", body)
    offer = await told(peers, SHOP, "PictureUpload@Domain", first)
    assert offer["Result"] == "OFFERED"
    headers = offer["Headers"]
    async with aiohttp.ClientSession() as http, http.put(offer["Url"], data=picture, headers=headers) as put:
        assert put.status == 200, await put.text()
    await say(running, SHOP, "MatchPicture@Identity", {"Upload": offer["Upload"]})
    answer = await peers.answer(SHOP, first, 30)
    assert answer is not None
    return str(answer["body"]["Result"])


async def say(running: Running, domain: str, subject: str, body: dict[str, Any]) -> str:
    """Let a domain send a signed message; return its Correlation."""
    order = {"inbox": running.demo.inbox, "to": running.demo.domain, "subject": subject, "body": body}
    said = await post(running, f"{domain}/say", order)
    assert said["answer"]["status"] == 200, said
    return str(said["correlation"])


async def told(peers: Peers, domain: str, subject: str, request: str) -> dict[str, Any]:
    """Wait for the message that answers a request."""
    async with asyncio.timeout(30):
        while True:
            for one in await peers.messages(domain):
                message = one["message"]
                if one["verified"] and message["Header"]["Subject"] == subject:
                    body: dict[str, Any] = message["Body"]
                    if body["Request"] == request:
                        return body
            await asyncio.sleep(0.2)
