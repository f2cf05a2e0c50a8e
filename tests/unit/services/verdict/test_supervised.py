"""Supervised matches: a trusted domain's picture comes by a one-time upload, is matched, and is gone."""

import hashlib
import urllib.error
import urllib.request
import uuid
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from emulators.pictures import make_picture
from services.verdict.comparison import RekognitionFaces
from services.verdict.supervised import Supervised, Uploads
from services.verdict.terms import TermsTable
from shared.errors import UnavailableError, UnprocessableError
from shared.events import MatchRequested, Outcome, PostRequested, Requester
from shared.generation import Generation
from shared.locators import new_locator
from tests.support.received import received
from tests.unit.services.verdict.scene import Scene

GATE = "gate.example"


@dataclass
class Gate:
    """A trusted domain with a camera."""

    scene: Scene
    locator: str = field(default_factory=new_locator)
    upload: str = field(default_factory=lambda: str(uuid.uuid4()))

    async def say(self, action: str, asker: str = GATE, **fields: Any) -> None:
        emulated, scene = self.scene.emulated, self.scene
        supervised = Supervised(
            people=emulated.people,
            verifications=scene.verifications,
            uploads=Uploads(emulated.aws, emulated.settings.bucket),
            faces=RekognitionFaces(emulated.aws, emulated.photos),
            terms=TermsTable((), least_confidence_percent=80.0, least_similarity_percent=99.0),
            announcing=scene.announcing(scene.publisher),
            publisher=scene.publisher,
            supervisors=frozenset([GATE, "embassy.example"]),
            upload_seconds=120.0,
            offer_subject="PictureUpload@Domain",
            clock=scene.clock,
        )
        requester = Requester(domain=asker, generation=Generation.NLWEB, correlation="c-1") if asker else None
        data: dict[str, Any] = {"upload": self.upload, "action": action, "requester": requester, **fields}
        await supervised.on_requested(received(MatchRequested.model_validate(data)))

    async def offered(self, picture: bytes, asker: str = GATE) -> dict[str, Any]:
        """Ask for an upload of this picture and return the answer."""
        digest = hashlib.sha256(picture).hexdigest()
        await self.say("upload", asker, locator=self.locator, sha256=digest, size=len(picture))
        return self.answer()

    async def matched(self, person: str, **picture: Any) -> dict[str, Any]:
        """Upload a picture of a person, ask for the match, and return the answer."""
        data = make_picture(person, variant=9, **picture)
        assert put(await self.offered(data), data) == 200
        assert len(self.held()) == 1
        await self.say("match")
        return self.answer("LocatorVerified@Domain")

    def answer(self, subject: str = "PictureUpload@Domain") -> dict[str, Any]:
        posts = [sent.data for sent in self.scene.publisher.of(PostRequested)]
        bodies = [post.body for post in posts if isinstance(post, PostRequested) and post.subject == subject]
        return bodies[-1]

    def held(self) -> list[str]:
        return self.scene.emulated.evidence(self.upload)


def put(offer: dict[str, Any], picture: bytes) -> int:
    """Put a picture where the offer says; the HTTP status."""
    request = urllib.request.Request(offer["Url"], data=picture, headers=offer["Headers"], method="PUT")
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            status: int = answer.status
            return status
    except urllib.error.HTTPError as error:
        print(error.read())
        return error.code


@pytest.fixture
async def gate(scene: Scene) -> Gate:
    gate = Gate(scene)
    await scene.emulated.enrol("traveller", gate.locator)
    return gate


@pytest.mark.parametrize(("person", "result"), [("traveller", "SUCCESS"), ("impostor", "FAILURE")])
async def test_a_trusted_domain_s_picture_is_matched_and_no_version_of_it_is_left(
    gate: Gate, person: str, result: str
) -> None:
    body = await gate.matched(person)
    assert set(body) == {"Request", "Locator", "Result", "Nonce", "Expires"}
    assert (body["Request"], body["Locator"], body["Result"]) == ("c-1", gate.locator, result)
    assert gate.held() == []


@pytest.mark.parametrize("picture", [{"faces": 0}, {"faces": 2}])
async def test_a_picture_without_one_face_is_no_match_and_is_gone_too(gate: Gate, picture: dict[str, Any]) -> None:
    assert (await gate.matched("traveller", **picture))["Result"] == "FAILURE"
    assert gate.held() == []


async def test_a_locator_that_leads_nowhere_is_answered_like_a_picture_of_somebody_else(gate: Gate) -> None:
    gate.locator = new_locator()
    assert (await gate.matched("traveller"))["Result"] == "FAILURE"
    assert gate.held() == []


async def test_any_other_domain_is_refused_and_gets_no_upload(gate: Gate) -> None:
    offer = await gate.offered(make_picture("traveller"), "shop.example")
    assert offer == {"Request": "c-1", "Result": "REFUSED"}
    assert await gate.scene.verifications.get(gate.upload) is None


async def test_another_trusted_domain_cannot_match_this_one_s_upload(gate: Gate) -> None:
    data = make_picture("traveller")
    put(await gate.offered(data), data)
    await gate.say("match", "embassy.example")
    assert gate.answer() == {"Request": "c-1", "Result": "REFUSED"}
    assert gate.scene.outcomes() == []
    await gate.say("match")
    assert gate.scene.outcomes() == [Outcome.SUCCESS]


async def test_a_verification_of_a_person_is_no_upload(gate: Gate) -> None:
    verification = await gate.scene.requested(requester=GATE)
    gate.upload = verification.verification_id
    await gate.say("match")
    assert gate.answer()["Result"] == "REFUSED"
    assert (await gate.scene.record(verification)).outcome == ""


async def test_an_event_without_a_requester_starts_nothing(gate: Gate) -> None:
    for action in ("upload", "match"):
        with pytest.raises(UnprocessableError):
            await gate.say(action, "")


async def test_a_repeated_match_has_the_same_answer_and_needs_no_picture(gate: Gate) -> None:
    first = await gate.matched("traveller")
    await gate.say("match")
    assert gate.answer("LocatorVerified@Domain") == first
    assert gate.scene.outcomes() == [Outcome.SUCCESS]


async def test_a_match_before_the_upload_is_the_sender_s_mistake(gate: Gate) -> None:
    await gate.offered(make_picture("traveller"))
    with pytest.raises(UnprocessableError):
        await gate.say("match")


async def test_a_picture_that_nobody_asks_about_is_removed_and_the_match_ends_without_an_answer(gate: Gate) -> None:
    data = make_picture("traveller")
    assert put(await gate.offered(data), data) == 200
    (expiry,) = [sent for sent in gate.scene.publisher.of(MatchRequested) if sent.due]
    assert expiry.due is not None
    assert 110 < expiry.due - gate.scene.clock().timestamp() < 121
    gate.scene.ahead = timedelta(seconds=121)
    await gate.say("expire", "")
    assert gate.held() == []
    assert gate.scene.outcomes() == [Outcome.ERROR]


async def test_in_an_outage_the_picture_waits_for_its_match_and_nothing_is_decided(gate: Gate) -> None:
    data = make_picture("impostor")
    put(await gate.offered(data), data)
    gate.scene.emulated.fail("CompareFaces", 1)
    with pytest.raises(UnavailableError):
        await gate.say("match")
    assert gate.scene.outcomes() == []
    await gate.say("match")
    assert gate.scene.outcomes() == [Outcome.FAILURE]
    assert gate.held() == []


async def test_an_upload_takes_one_picture_once(gate: Gate) -> None:
    data = make_picture("traveller")
    offer = await gate.offered(data)
    assert put(offer, data) == 200
    assert put(offer, data) == 412


async def test_no_picture_is_in_any_event_or_message(gate: Gate) -> None:
    await gate.matched("traveller")
    everything = b"".join((sent.value or b"") for sent in gate.scene.publisher.sent)
    assert b"PNG" not in everything
    assert len(everything) < 20_000
