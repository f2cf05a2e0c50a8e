"""What the policy asks of a person, from a message to the answer: less, more, the other factor, nothing any more."""

import asyncio
import hashlib
import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import aiohttp
import pytest

from bench.load import Load
from cli.peers import SHOP, Peers, start_peers
from cli.supervisor import Supervisor
from emulators.pictures import make_picture
from tests.e2e.conftest import Running, start_system
from tests.e2e.somebody import somebody
from tests.e2e.test_loop import post

PHONE = {"Device": "her phone", "Country": "PT", "Location": {"Latitude": 38.7223, "Longitude": -9.1393}}
LAPTOP = {**PHONE, "Device": "her new laptop"}
STRANGER = "stranger.example"
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


def test_any_other_domain_s_picture_is_refused_and_gets_no_address(running: Running) -> None:
    async def work(_load: Load, peers: Peers) -> None:
        she = await somebody(running, peers)
        body = {"Locator": she.locator, "Bytes": 1000, "Sha256": "0" * 64}
        with Supervisor() as processes:
            url = start_peers(processes, running.workbench.system, domains=(STRANGER,), wallets=())
            async with Peers(url) as others:
                said = await say(running, STRANGER, "UploadPicture@Identity", body, peers=url)
                refused = await told(others, STRANGER, "PictureUpload@Domain", said)
        assert refused == {"Request": said, "Result": "REFUSED"}

    running.drive(work)


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


async def say(running: Running, domain: str, subject: str, body: dict[str, Any], *, peers: str = "") -> str:
    """Let a domain send a signed message, one of the running system's peers or of others; return its Correlation."""
    order = {"inbox": running.demo.inbox, "to": running.demo.domain, "subject": subject, "body": body}
    said = await post(peers or running.demo.peers, f"{domain}/say", order)
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
