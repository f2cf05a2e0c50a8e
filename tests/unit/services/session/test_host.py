"""The Host's side of a chat: what a wallet's signed messages get, on tables of the emulated AWS."""

import asyncio
import json
import logging
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest

from emulators.envelopes import PrivateKey, public_key_txt, sign_as_anonymous
from emulators.world import make_key
from services.session.attempts import Attempts
from services.session.context import Fingerprints
from services.session.host import Host, NoPromptError
from services.session.host_http import host_application
from services.session.tokens import Tokens
from services.session.turns import Turns
from shared.events import CaptureCompleted, Context, DeadlinePassed, Outcome, VerificationOpened, utc_text
from shared.failure_tallies import KnownBlocks
from shared.liveness_providers import only
from shared.liveness_rekognition import RekognitionProvider
from shared.verification import State, Verification
from shared.verifications import Verifications
from tests.support.asgi import serving
from tests.support.emulated_aws import Emulated
from tests.support.recording import RecordingPublisher

DOMAIN = "identity.example"
KEY = make_key()
SECRET = "a secret of thirty-two characters"
BROWSER = "a browser's fingerprint"


def said(
    subject: str, prompt: str, *, key: PrivateKey = KEY, to: str = DOMAIN, correlation: str = "", **body: Any
) -> bytes:
    """Return a wallet's message in a chat."""
    header = {
        "From": "Anonymous",
        "To": to,
        "Correlation": correlation or str(uuid.uuid4()),
        "Timestamp": utc_text(datetime.now(UTC)),
        "Subject": subject,
    }
    return json.dumps(sign_as_anonymous(header, {"Prompt": prompt, **body}, key)).encode()


class Scene:
    """One verification in a chat, and the Host."""

    def __init__(self, emulated: Emulated, publisher: RecordingPublisher) -> None:
        self.verifications = Verifications(emulated.tables)
        self.publisher = publisher
        self.tokens = Tokens(SECRET)
        self.ahead = timedelta()
        self.attempts = Attempts(
            verifications=self.verifications, publisher=publisher, providers=only(RekognitionProvider(emulated.aws)),
            turns=Turns(tables=emulated.tables, verifications=self.verifications, clock=self.now),
            blocks=KnownBlocks(emulated.tables),
            fingerprints=Fingerprints("a secret of thirty-two characters"), attempt_seconds=165.0, clock=self.now,
        )  # fmt: skip
        self.host = Host(
            verifications=self.verifications, attempts=self.attempts, tokens=self.tokens,
            fingerprints=Fingerprints(SECRET), domain=DOMAIN, public_url="https://scan.identity.example",
            clock=self.now,
        )  # fmt: skip

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    async def prepare(self, **more: Any) -> str:
        now = int(self.now().timestamp())
        fields: dict[str, Any] = {
            "requester": "broker.example", "purpose": "to buy", "person": "alice", "wallet_domain": "broker.example",
            "chat": str(uuid.uuid4()), "chat_key": public_key_txt(KEY),
        }  # fmt: skip
        record = Verification(
            str(uuid.uuid4()), State.PROMPTED, "loc-1", expires_at=now + 600, created_at=now, **fields | more
        )
        await self.verifications.create(record)
        return record.verification_id

    async def record(self, identifier: str) -> Verification:
        record = await self.verifications.get(identifier)
        assert record is not None
        return record


@pytest.fixture
def scene(emulated: Emulated, publisher: RecordingPublisher) -> Scene:
    return Scene(emulated, publisher)


async def test_the_content_has_the_text_and_the_page_s_address(scene: Scene) -> None:
    identifier = await scene.prepare()
    content = await scene.host.prompted(said("Prompted@Host", identifier))
    assert (content["Format"], content["Text"]) == ("WEB", "broker.example asks whether it is you: to buy")
    assert scene.tokens.read(content["URL"].rpartition("/")[2]) == identifier


async def test_the_content_is_served_once_and_again_to_a_repeat_of_the_same_message_alone(scene: Scene) -> None:
    identifier = await scene.prepare()
    first = said("Prompted@Host", identifier)
    answers = [scene.host.prompted(said("Prompted@Host", identifier)) for _ in range(5)]
    content = await scene.host.prompted(first)
    assert await scene.host.prompted(first) == content
    for answer in answers:
        with pytest.raises(NoPromptError):
            await answer


async def test_of_many_that_ask_at_once_one_is_served(scene: Scene) -> None:
    identifier = await scene.prepare()
    asked = [scene.host.prompted(said("Prompted@Host", identifier)) for _ in range(8)]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert sum(isinstance(answer, dict) for answer in answers) == 1
    assert sum(isinstance(answer, NoPromptError) for answer in answers) == 7


@pytest.mark.parametrize(
    "forgery",
    [
        {"key": make_key()},
        {"to": "other.example"},
        {"Chat": str(uuid.uuid4())},
        {"prompt": str(uuid.uuid4())},
        {"prompt": "../../etc"},
    ],
    ids=["another key", "another receiver", "another chat", "unknown prompt", "no prompt"],
)
@pytest.mark.parametrize("subject", ["Prompted@Host", "Reply@Host"])
async def test_who_has_not_the_chat_s_key_is_told_nothing_and_changes_nothing(
    scene: Scene, forgery: dict[str, Any], subject: str
) -> None:
    identifier = await scene.prepare()
    message = said(subject, **{"prompt": identifier, "Result": "CANCEL", **forgery})
    with pytest.raises(NoPromptError) as caught:
        await (scene.host.prompted if subject == "Prompted@Host" else scene.host.replied)(message)
    assert str(caught.value) == "there is no such prompt for the sender of this message"
    assert (await scene.record(identifier)).fetched_by == ""
    assert scene.publisher.sent == []


async def test_a_changed_body_proves_nothing(scene: Scene) -> None:
    document = json.loads(said("Reply@Host", await scene.prepare(), Result="OK"))
    document["Body"]["Result"] = "CANCEL"
    with pytest.raises(NoPromptError):
        await scene.host.replied(json.dumps(document).encode())


@pytest.mark.parametrize("change", [{"chat": "", "chat_key": ""}, {"person": ""}], ids=["no chat", "nobody's"])
async def test_a_verification_without_a_chat_or_a_person_has_no_prompt(scene: Scene, change: dict[str, str]) -> None:
    with pytest.raises(NoPromptError):
        await scene.host.prompted(said("Prompted@Host", await scene.prepare(**change)))


async def test_when_it_has_expired_or_ended_nothing_is_served(scene: Scene) -> None:
    first, second = await scene.prepare(), await scene.prepare()
    await scene.verifications.decide(await scene.record(first), Outcome.SUCCESS, scene.now())
    with pytest.raises(NoPromptError):
        await scene.host.prompted(said("Prompted@Host", first))
    scene.ahead = timedelta(seconds=601)
    with pytest.raises(NoPromptError):
        await scene.host.prompted(said("Prompted@Host", second))


async def test_a_reply_is_a_hint_that_decides_nothing(scene: Scene) -> None:
    """OK before a session says nothing; while one runs it is the page's done; it never is an outcome."""
    identifier = await scene.prepare()
    await scene.host.replied(said("Reply@Host", identifier, Result="OK"))
    assert scene.publisher.sent == []
    opened = await scene.verifications.open(identifier, BROWSER)
    assert opened is not None
    await scene.attempts.begin(opened)
    await scene.host.replied(said("Reply@Host", identifier, Result="YES"))
    record = await scene.record(identifier)
    assert (record.state, record.outcome) == (State.CAPTURED, "")
    assert len(scene.publisher.of(CaptureCompleted)) == 1


async def test_a_cancelled_prompt_ends_early_as_a_declined_page_does(scene: Scene) -> None:
    identifier = await scene.prepare()
    await scene.host.replied(said("Reply@Host", identifier, Result="CANCEL"))
    (told,) = scene.publisher.of(DeadlinePassed)
    assert told.data == DeadlinePassed(verification_id=identifier, given_up=True)
    with pytest.raises(NoPromptError):
        await scene.host.replied(said("Reply@Host", identifier, Result="PERHAPS"))


async def test_the_context_is_kept_small_and_told_when_the_page_is_opened(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    """A hash for the device and a rounded place are all that is left; neither is in the log."""
    caplog.set_level(logging.DEBUG, "services")
    caplog.set_level(logging.DEBUG, "shared")
    identifier = await scene.prepare()
    told = {"Device": "my-phone-7", "Country": "PT", "Location": {"Latitude": 38.722252, "Longitude": -9.139337}}
    await scene.host.prompted(said("Prompted@Host", identifier, Context=told))
    record = await scene.record(identifier)
    context = Context.model_validate_json(record.context)
    assert (context.country, context.latitude, context.longitude) == ("PT", 38.72, -9.14)
    assert record.device
    assert record.device != context.device
    await scene.attempts.opened(record)
    (event,) = scene.publisher.of(VerificationOpened)
    assert event.data == VerificationOpened(verification_id=identifier, context=context)
    everything = caplog.text + str(record) + str(event.value)
    assert not any(secret in everything for secret in ("my-phone-7", "38.7222", "9.1393"))
    assert not any(kept in caplog.text for kept in (str(context.device), record.device, "38.72"))


@pytest.mark.parametrize(
    "context",
    [{"Device": "x" * 201}, {"Device": 7}, {"Country": "portugal"}, {"Location": {"Latitude": 91, "Longitude": 0}},
     {"Location": {"Latitude": 1}}, "here", ["here"]],
)  # fmt: skip
async def test_a_context_out_of_its_bounds_is_refused_and_serves_nothing(scene: Scene, context: Any) -> None:
    identifier = await scene.prepare()
    with pytest.raises(NoPromptError):
        await scene.host.prompted(said("Prompted@Host", identifier, Context=context))
    assert (await scene.record(identifier)).context == ""


async def test_over_http_a_reply_is_json_a_refusal_422_and_an_outage_503(scene: Scene, emulated: Emulated) -> None:
    identifier = await scene.prepare()
    async with serving(host_application(lambda: scene.host)) as url, aiohttp.ClientSession() as http:
        async with http.post(f"{url}/prompted", data=said("Prompted@Host", identifier)) as answer:
            assert answer.status == 200
            assert (await answer.json())["Format"] == "WEB"
        async with http.post(f"{url}/prompted", data=said("Prompted@Host", identifier)) as answer:
            assert answer.status == 422
        async with http.post(f"{url}/replied", data=said("Reply@Host", identifier)) as answer:
            assert (answer.status, await answer.json()) == (200, {})
        async with http.post(f"{url}/replied", data=b"{") as answer:
            assert answer.status == 422
        scene.publisher.refusals = 1
        async with http.post(f"{url}/replied", data=said("Reply@Host", identifier, Result="CANCEL")) as answer:
            assert answer.status == 503
