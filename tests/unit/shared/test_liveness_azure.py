"""Azure behind the port, over real HTTP against its stand-in, and what its answers mean."""

import json
import logging
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest

from emulators.pictures import make_picture
from shared.liveness import Finding, ProviderTroubleError, Result, SessionOrder
from shared.liveness_azure import AzureProvider, judged
from shared.liveness_settings import LivenessSettings
from shared.settings import load
from shared.stores import Aws
from shared.verification import Attempt, LegalPhoto
from tests.unit.emulators.processes import free_port, running

KEY = "the-key-of-the-resource"
BACK = "https://scan.id.example/check/v-1?returned"
PHOTO = LegalPhoto("persons/alice/legal-photo", "v1", "00")


class Photos:
    """Gives each person's picture."""

    def __init__(self, faces: int = 1) -> None:
        self.faces = faces

    async def read(self, person: str, _photo: LegalPhoto) -> bytes:
        return make_picture(person, self.faces)


class Azure:
    """A provider, its stand-in, and the person's browser."""

    def __init__(self, url: str, aws: Aws, http: aiohttp.ClientSession) -> None:
        self.url, self._aws, self._http = url, aws, http
        self.provider = self.make()

    def make(self, *, faces: int = 1, **more: str) -> AzureProvider:
        values = {
            "FACESCAN_KAFKA_BOOTSTRAP": "localhost:9092",
            "FACESCAN_DOMAIN": "id.example",
            "FACESCAN_ENVIRONMENT": "development",
            "FACESCAN_LIVENESS_PROVIDER": "azure",
            "FACESCAN_AZURE_ENDPOINT": self.url,
            "FACESCAN_AZURE_QUICK_LINK": self.url,
            "FACESCAN_AZURE_KEY": KEY,
        } | more
        settings = load(LivenessSettings, {name: value for name, value in values.items() if value})
        return AzureProvider(settings, self._aws, Photos(faces))  # type: ignore[arg-type] # reads photos, and so do they

    async def create(self, provider: AzureProvider | None = None) -> Attempt:
        order = SessionOrder(f"{uuid.uuid4()}-1", "alice", PHOTO)
        session = await (provider or self.provider).create(order)
        return Attempt("v-1", 1, "azure", session, 0, 0, "alice", PHOTO.key, PHOTO.version, PHOTO.sha256)

    async def link(self, attempt: Attempt, provider: AzureProvider | None = None) -> str:
        return (await (provider or self.provider).access(attempt, BACK)).url

    async def film(self, link: str, person: str = "alice", **more: str) -> str:
        """Stand before the camera of the hosted page; return where it leads back to."""
        (name,) = parse_qs(urlsplit(link).query)["s"]
        await self.door("camera", {"link": name, "person": person, **more})
        async with self._http.get(link) as page:
            assert page.status == 200
        form = {"s": name, "callbackUrl": BACK}
        async with self._http.post(f"{self.url}/film", data=form, allow_redirects=False) as answer:
            assert answer.status == 303
            return answer.headers["location"]

    async def result(self, attempt: Attempt) -> Result:
        return await self.provider.result(attempt.provider_session_id, 80.0)

    async def door(self, name: str, order: dict[str, Any] | None = None) -> Any:
        method = "GET" if order is None else "POST"
        async with self._http.request(method, f"{self.url}/_emulator/{name}", json=order) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()

    async def fail(self, operation: str, status: int, count: int) -> None:
        await self.door("errors", {"operation": operation, "status": status, "count": count})

    async def known(self, attempt: Attempt) -> bool:
        return attempt.provider_session_id in [one["session_id"] for one in await self.door("sessions")]


@pytest.fixture(scope="module")
def azure_url() -> Iterator[str]:
    with running("emulators.azure_face", "--key", KEY) as (_, address):
        yield f"http://{address}"


@pytest.fixture
async def azure(azure_url: str, aws: Aws) -> AsyncIterator[Azure]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as http:
        azure = Azure(azure_url, aws, http)
        yield azure
        await azure.provider.close()


@pytest.mark.parametrize(
    ("person", "more", "result"),
    [
        ("alice", {}, Result(Finding.LIVE, same_person=True)),
        ("mallory", {}, Result(Finding.LIVE, same_person=False)),
        ("alice", {"decision": "spoofface"}, Result(Finding.NOT_LIVE)),
        ("alice", {"decision": "uncertain"}, Result(Finding.UNDECIDED)),
        ("alice", {"status": "Failed"}, Result(Finding.UNDECIDED)),
        ("alice", {"status": "Running"}, Result(Finding.RUNNING)),
    ],
)
async def test_a_session_is_created_filmed_on_the_hosted_page_and_found(
    azure: Azure, person: str, more: dict[str, str], result: Result
) -> None:
    attempt = await azure.create()
    assert await azure.result(attempt) == Result(Finding.RUNNING)
    assert await azure.film(await azure.link(attempt), person, **more) == BACK
    assert await azure.result(attempt) == result


async def test_nobody_s_check_looks_like_any_other_and_a_living_person_is_not_them(azure: Azure) -> None:
    session = await azure.provider.create(SessionOrder(f"{uuid.uuid4()}-1", "", LegalPhoto("", "", "")))
    attempt = Attempt("v-1", 1, "azure", session, 0, 0, "", "", "", "")
    assert await azure.film(await azure.link(attempt, azure.make())) == BACK
    assert await azure.result(attempt) == Result(Finding.LIVE, same_person=False)
    await azure.provider.erase(session)
    assert (await azure.result(attempt)).finding is Finding.EXPIRED


async def test_an_erased_session_is_gone_and_erasing_it_again_is_no_error(azure: Azure) -> None:
    attempt = await azure.create()
    await azure.film(await azure.link(attempt))
    await azure.provider.erase(attempt.provider_session_id)
    assert not await azure.known(attempt)
    assert (await azure.result(attempt)).finding is Finding.EXPIRED
    await azure.provider.erase(attempt.provider_session_id)


async def test_a_link_works_once_and_another_replica_can_make_one(azure: Azure) -> None:
    attempt = await azure.create()
    link = await azure.link(attempt, azure.make())
    await azure.film(link)
    with pytest.raises(AssertionError):
        await azure.film(link)


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_trouble_that_passes_is_not_seen_and_one_that_stays_is_trouble_and_no_finding(
    azure: Azure, status: int
) -> None:
    attempt = await azure.create()
    await azure.fail("get", status, 1)
    assert (await azure.result(attempt)).finding is Finding.RUNNING
    await azure.fail("get", status, 3)
    with pytest.raises(ProviderTroubleError, match=f"azure.get: HTTP {status}"):
        await azure.result(attempt)


async def test_a_provider_that_is_not_there_is_trouble(azure: Azure) -> None:
    away = azure.make(FACESCAN_AZURE_ENDPOINT=f"http://127.0.0.1:{free_port()}")
    with pytest.raises(ProviderTroubleError, match=r"azure\.create: connect"):
        await azure.create(away)


async def test_a_photo_that_azure_does_not_take_is_our_trouble_and_says_azure_s_word(azure: Azure) -> None:
    with pytest.raises(ProviderTroubleError, match="HTTP 400 InvalidVerifyImage"):
        await azure.create(azure.make(faces=2))


async def test_a_wrong_key_is_trouble_and_stands_in_no_message(azure: Azure, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(ProviderTroubleError, match="HTTP 401") as raised:
        await azure.create(azure.make(FACESCAN_AZURE_KEY="not-the-key-at-all"))
    assert "not-the-key" not in str(raised.value) + caplog.text


async def test_a_key_in_secrets_manager_is_read_again_when_it_was_changed(azure: Azure, aws: Aws) -> None:
    name = f"azure/{uuid.uuid4().hex}"
    secrets = aws.client("secretsmanager")
    secrets.create_secret(Name=name, SecretString="the-key-of-last-year")
    provider = azure.make(FACESCAN_AZURE_KEY="", FACESCAN_AZURE_KEY_SECRET=name)
    with pytest.raises(ProviderTroubleError, match="HTTP 401"):
        await azure.create(provider)
    secrets.put_secret_value(SecretId=name, SecretString=f"{KEY}\n")
    attempt = await azure.create(provider)
    assert await azure.known(attempt)


# -- what an answer means --------------------------------------------------------------------------------------------


def answer(*attempts: dict[str, Any], status: str = "NotStarted") -> dict[str, Any]:
    return {"status": status, "results": {"attempts": list(attempts)}}


def succeeded(decision: str = "realface", number: int = 1, **comparison: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"livenessDecision": decision}
    if comparison:
        found["verifyResult"] = comparison
    return {"attemptId": number, "attemptStatus": "Succeeded", "result": found}


SAME: dict[str, Any] = {"matchConfidence": 0.9, "isIdentical": True}


@pytest.mark.parametrize(
    ("given", "result"),
    [
        (answer(), Result(Finding.RUNNING)),
        (answer(status="Canceled"), Result(Finding.UNDECIDED)),
        (answer(succeeded("RealFace", **SAME)), Result(Finding.LIVE, same_person=True)),
        (answer(succeeded(matchConfidence=0.9, isIdentical=False)), Result(Finding.LIVE, same_person=False)),
        (answer(succeeded(matchConfidence=0.69, isIdentical=True)), Result(Finding.LIVE, same_person=False)),
        (answer(succeeded(matchConfidence=0.9)), Result(Finding.LIVE, same_person=False)),
        (answer(succeeded(matchConfidence=0.9, isIdentical="true")), Result(Finding.LIVE, same_person=False)),
        (answer(succeeded()), Result(Finding.UNDECIDED)),
        (answer(succeeded("spoofface", **SAME)), Result(Finding.NOT_LIVE)),
        (answer(succeeded("uncertain", **SAME)), Result(Finding.UNDECIDED)),
        # Only the newest attempt counts, wherever it stands.
        (answer(succeeded("spoofface", 2), succeeded("realface", 1, **SAME)), Result(Finding.NOT_LIVE)),
        (answer(succeeded("realface", 1, **SAME), succeeded("spoofface", 2)), Result(Finding.NOT_LIVE)),
        (answer({"attemptId": 2, "attemptStatus": "Running"}, succeeded(**SAME)), Result(Finding.RUNNING)),
    ],
)
def test_only_a_real_face_that_is_identical_and_sure_is_the_person(given: dict[str, Any], result: Result) -> None:
    assert judged(given, 0.7) == result


@pytest.mark.parametrize(
    "given",
    [
        {}, answer(status="Done"), answer(succeeded("fakeface", **SAME)), answer(status="Succeeded"),
        {"status": None, "results": []},
    ],
    ids=json.dumps,
)  # fmt: skip
def test_what_nobody_has_heard_of_is_trouble_and_no_finding(given: dict[str, Any]) -> None:
    with pytest.raises(ProviderTroubleError):
        judged(given, 0.7)
