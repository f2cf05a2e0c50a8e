"""The scan page over real HTTP, on real tables and sessions of the emulated AWS."""

import asyncio
import re
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from html import unescape

import aiohttp
import pytest

from services.session.admission import Admission
from services.session.attempts import Attempts
from services.session.context import Fingerprints
from services.session.scan_page import ScanPage
from services.session.tokens import Tokens
from services.session.turns import Turns
from shared.events import CaptureCompleted, DeadlinePassed, Outcome, ProofGiven, SessionCreated
from shared.failure_tallies import KnownBlocks
from shared.liveness import SessionOrder
from shared.liveness_providers import only
from shared.liveness_rekognition import RekognitionProvider
from shared.verification import State, Verification
from shared.verifications import Verifications
from tests.support.answering import answers
from tests.support.asgi import serving
from tests.support.emulated_aws import Emulated
from tests.support.recording import RecordingPublisher

SECRET = "a secret of thirty-two characters"


@dataclass
class Page:
    """The page of one verification as a browser sees it; ``ahead`` moves the service's clock."""

    emulated: Emulated
    publisher: RecordingPublisher
    http: aiohttp.ClientSession
    url: str = ""
    ahead: timedelta = timedelta()
    tokens: Tokens = field(default_factory=lambda: Tokens(SECRET))
    verification: Verification = field(
        default_factory=lambda: Verification(
            verification_id=str(uuid.uuid4()),
            state=State.PROMPTED,
            locator="loc-1",
            expires_at=int(time.time()) + 600,
            created_at=int(time.time()),
            requester="shop.example",
            purpose="to <b>buy</b>",
            person="alice",
            wallet_domain="wallet.example",
            wallet_id="w-1",
            photo_key="persons/alice/legal-photo",
            photo_version="v-1",
            photo_sha256="00",
        )
    )

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def __post_init__(self) -> None:
        self.key = self.tokens.new_key(self.identifier)

    @property
    def verifications(self) -> Verifications:
        return Verifications(self.emulated.tables)

    @property
    def identifier(self) -> str:
        return self.verification.verification_id

    async def enter(self, token: str | None = None) -> tuple[int, str, dict[str, str]]:
        """Open the address and follow it nowhere."""
        return await self.ask("GET", f"/scan/{token or self.tokens.make(self.identifier)}")

    async def request(
        self, method: str, path: str = "", *, form: bool = True, **fields: str
    ) -> tuple[int, str, dict[str, str]]:
        """Do something on the page with this browser's cookie, its form token too unless told otherwise."""
        key = self.key
        headers = {"Cookie": f"scan-{self.identifier}={self.tokens.write_key(key)}"}
        data = {"form_token": self.tokens.form_token(key), **fields} if form and method == "POST" else None
        return await self.ask(method, f"/check/{self.identifier}{path}", headers, data)

    async def ask(
        self, method: str, path: str, sent: dict[str, str] | None = None, data: dict[str, str] | None = None
    ) -> tuple[int, str, dict[str, str]]:
        async with self.http.request(method, self.url + path, headers=sent, data=data, allow_redirects=False) as answer:
            headers = {name.lower(): value for name, value in answer.headers.items()}
            return answer.status, await answer.text(), headers

    async def shown(self) -> str:
        """Return the heading of what a look shows."""
        status, html, _ = await self.request("GET")
        assert status == 200
        return heading(html)

    async def start(self) -> str:
        """Press start and return the session's id."""
        if not (await self.record()).browser:
            await self.request("GET")
        status, html, _ = await self.request("POST", "/start")
        assert status == 200, html
        return session_of(html)

    async def record(self) -> Verification:
        record = await self.verifications.get(self.identifier)
        assert record is not None
        return record

    async def end_attempt(self) -> None:
        record = await self.record()
        await self.verifications.end_attempt(self.identifier, record.attempt, trouble=False)


def heading(html: str) -> str:
    match = re.search("<h1>(.*)</h1>", html)
    assert match
    return match[1]


def session_of(html: str) -> str:
    match = re.search('data-session-id="([^"]+)"', html)
    assert match, html
    return match[1]


@pytest.fixture
async def page(emulated: Emulated, publisher: RecordingPublisher) -> AsyncIterator[Page]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as http:
        page = Page(emulated, publisher, http)
        await page.verifications.create(page.verification)
        providers = only(RekognitionProvider(emulated.aws, sessions_per_second=0, endpoint="wss://127.0.0.1"))
        attempts = Attempts(
            verifications=page.verifications,
            publisher=publisher,
            providers=providers,
            turns=Turns(tables=emulated.tables, verifications=page.verifications, clock=page.now),
            blocks=KnownBlocks(emulated.tables),
            fingerprints=Fingerprints("a secret of thirty-two characters"),
            attempt_seconds=165.0,
            clock=page.now,
        )
        application = ScanPage(
            verifications=page.verifications,
            attempts=attempts,
            answers=answers(emulated, publisher, page.now),
            providers=providers,
            admission=Admission(page.tokens, "http://127.0.0.1"),
            most_attempts=3,
            clock=page.now,
        ).application()
        async with serving(application) as url:
            page.url = url
            yield page


async def test_looking_at_the_page_creates_no_session(page: Page) -> None:
    before = page.emulated.sessions()
    for _ in range(3):
        assert await page.shown() == "Show that it is you"
    assert page.emulated.sessions() == before
    assert (await page.record()).state is State.OPENED
    assert page.publisher.sent == []


async def test_a_head_request_creates_no_session(page: Page) -> None:
    before = page.emulated.sessions()
    status, _, _ = await page.request("HEAD")
    assert status == 200
    assert page.emulated.sessions() == before


async def test_the_page_says_who_asks_and_why_as_text(page: Page) -> None:
    _, html, _ = await page.request("GET")
    assert "shop.example" in html
    assert "Purpose: to <b>buy</b>" in unescape(html)
    assert "<b>" not in html


async def test_nobody_s_name_locator_or_photo_is_on_the_page(page: Page) -> None:
    _, start, _ = await page.request("GET")
    _, check, _ = await page.request("POST", "/start")
    for html in (start, check):
        assert not any(word in html for word in ("alice", "loc-1", "w-1", "legal-photo", "wallet.example"))


async def test_the_click_creates_one_session_and_announces_it(page: Page) -> None:
    before = page.emulated.sessions()
    session = await page.start()
    assert page.emulated.sessions() == before + 1
    (created,) = page.publisher.of(SessionCreated)
    (deadline,) = page.publisher.of(DeadlinePassed)
    assert isinstance(created.data, SessionCreated)
    assert (created.data.attempt, created.data.provider) == (1, "rekognition")
    assert deadline.due == pytest.approx(time.time() + 165, abs=3)
    attempt = await page.verifications.attempt(page.identifier, 1)
    assert attempt is not None
    assert attempt.provider_session_id == session
    assert (attempt.person, attempt.photo) == ("alice", page.verification.photo)
    assert (attempt.requester, attempt.locator) == ("shop.example", "loc-1")
    assert session not in str([sent.value for sent in page.publisher.sent])


async def test_a_second_click_and_a_reload_show_the_same_session_under_the_same_event_ids(page: Page) -> None:
    before = page.emulated.sessions()
    session = await page.start()
    ids = {sent.event.id for sent in page.publisher.sent}
    assert await page.start() == session
    _, html, _ = await page.request("GET")
    assert session_of(html) == session
    assert page.emulated.sessions() == before + 1
    assert {sent.event.id for sent in page.publisher.sent} == ids


async def test_many_tabs_that_click_at_once_share_one_attempt(page: Page) -> None:
    before = page.emulated.sessions()
    sessions = await asyncio.gather(*(page.start() for _ in range(8)))
    assert len(set(sessions)) == 1
    assert page.emulated.sessions() == before + 1
    assert len({sent.event.id for sent in page.publisher.of(SessionCreated)}) == 1
    assert (await page.record()).attempt == 1


async def test_a_click_after_a_crash_between_session_and_record_gets_the_same_session(page: Page) -> None:
    """The provider knows the attempt by its token, so what a dead process created is found again."""
    order = SessionOrder(f"{page.identifier}-1", "alice", page.verification.photo)
    lost = await RekognitionProvider(page.emulated.aws).create(order)
    assert await page.start() == lost


async def test_done_is_announced_once_and_leads_back_to_the_page(page: Page) -> None:
    await page.start()
    for _ in range(2):
        status, _, headers = await page.request("POST", "/done")
        assert (status, headers["location"]) == (303, f"/check/{page.identifier}")
    sent = page.publisher.of(CaptureCompleted)
    assert len({one.event.id for one in sent}) == 1
    assert {one.value for one in sent} == {sent[0].value}
    assert (await page.record()).state is State.CAPTURED
    assert await page.shown() == "One moment"


async def test_done_before_the_click_says_nothing(page: Page) -> None:
    await page.request("GET")
    status, _, _ = await page.request("POST", "/done")
    assert status == 303
    assert page.publisher.sent == []
    assert await page.shown() == "Show that it is you"


async def test_a_click_after_done_makes_no_new_session(page: Page) -> None:
    await page.start()
    await page.request("POST", "/done")
    before = page.emulated.sessions()
    status, _, _ = await page.request("POST", "/start")
    assert (status, page.emulated.sessions()) == (303, before)


async def test_an_attempt_without_a_result_may_be_repeated_with_a_session_of_its_own(page: Page) -> None:
    first = await page.start()
    await page.end_attempt()
    _, html, _ = await page.request("GET")
    assert "The last try gave no result" in html
    assert await page.start() != first
    assert (await page.record()).attempt == 2


async def test_after_the_last_try_there_is_no_other(page: Page) -> None:
    for _ in range(3):
        await page.start()
        await page.end_attempt()
    before = page.emulated.sessions()
    assert await page.shown() == "No more tries"
    status, _, _ = await page.request("POST", "/start")
    assert (status, page.emulated.sessions()) == (303, before)


@pytest.mark.parametrize("outcome", Outcome)
async def test_the_end_is_the_same_page_whatever_was_decided(page: Page, outcome: Outcome) -> None:
    await page.start()
    await page.verifications.decide(await page.record(), outcome, page.now())
    page.publisher.sent.clear()
    status, html, _ = await page.request("GET")
    assert (status, heading(html)) == (200, "Done")
    assert not any(word in html.lower() for word in Outcome)
    for path in ("/start", "/done"):
        assert (await page.request("POST", path))[0] == 303
    assert page.publisher.sent == []


async def test_when_the_time_is_over_the_page_is_gone_and_starts_nothing(page: Page) -> None:
    before = page.emulated.sessions()
    page.ahead = timedelta(seconds=601)
    status, html, _ = await page.request("GET")
    assert (status, heading(html)) == (410, "Too late")
    status, _, headers = await page.request("POST", "/start")
    assert (status, page.emulated.sessions()) == (303, before)
    assert headers["location"].startswith("/check/")


async def test_an_attempt_late_in_the_verification_ends_with_it(page: Page) -> None:
    page.ahead = timedelta(seconds=540)
    await page.start()
    (deadline,) = page.publisher.of(DeadlinePassed)
    assert deadline.due == page.verification.expires_at


async def test_an_address_that_was_not_made_here_is_unknown(page: Page) -> None:
    forged = Tokens("another secret of the same length").make(page.identifier)
    for token in (forged, "x", "%00", "%ff%fe", "A" * 48, "é" * 48):
        status, html, headers = await page.enter(token)
        assert (status, heading(html)) == (404, "No such check")
        assert "set-cookie" not in headers


async def test_the_token_is_exchanged_for_a_cookie_that_scripts_and_other_sites_cannot_use(page: Page) -> None:
    status, _, headers = await page.enter()
    assert (status, headers["location"]) == (303, f"/check/{page.identifier}")
    cookie = headers["set-cookie"].lower()
    assert all(word in cookie for word in ("httponly", "secure", "samesite=lax", "path=/", "max-age="))
    assert page.tokens.make(page.identifier) not in headers["set-cookie"]
    value = headers["set-cookie"].partition("=")[2].partition(";")[0]
    key = page.tokens.read_key(value)
    assert key is not None
    assert len(key.nonce) * 8 >= 128


async def test_a_token_opens_one_browser_the_first_whose_cookie_came_back(page: Page) -> None:
    """A look-ahead of the link uses nothing up; after the first look every other browser is refused."""
    for _ in range(3):
        await page.enter()
    assert (await page.record()).browser == ""
    assert await page.shown() == "Show that it is you"
    first, page.key = page.key, page.tokens.new_key(page.identifier)
    for method, path in (("GET", ""), ("POST", "/start"), ("POST", "/done")):
        status, html, _ = await page.request(method, path)
        assert (status, heading(html)) == (403, "Open somewhere else")
    page.key = first
    await page.start()


async def test_without_a_cookie_or_with_that_of_another_verification_nothing_is_shown(page: Page) -> None:
    other = page.tokens.write_key(page.tokens.new_key(str(uuid.uuid4())))
    for sent in ({}, {"Cookie": f"scan-{page.identifier}={other}"}, {"Cookie": f"scan-{page.identifier}=x"}):
        status, html, _ = await page.ask("GET", f"/check/{page.identifier}", sent)
        assert (status, heading(html)) == (403, "Open somewhere else")
    assert (await page.record()).state is State.PROMPTED


async def test_session_fixation_a_key_that_was_not_made_here_is_no_key(page: Page) -> None:
    forger = Tokens("another secret of the same length")
    sent = {"Cookie": f"scan-{page.identifier}={forger.write_key(forger.new_key(page.identifier))}"}
    assert (await page.ask("GET", f"/check/{page.identifier}", sent))[0] == 403


@pytest.mark.parametrize("path", ["/start", "/done"])
async def test_a_form_of_another_site_does_nothing_though_the_browser_sends_its_cookie(page: Page, path: str) -> None:
    await page.request("GET")
    before = page.emulated.sessions()
    assert (await page.request("POST", path, form=False))[0] == 403
    assert page.emulated.sessions() == before
    assert page.publisher.sent == []


async def test_who_comes_when_all_is_over_is_told_so_and_not_that_it_is_open_elsewhere(page: Page) -> None:
    page.ahead = timedelta(seconds=601)
    await page.verifications.decide(await page.record(), Outcome.FAILURE, page.now())
    assert await page.shown() == "Done"


async def test_every_answer_is_kept_private(page: Page) -> None:
    answers = [
        await page.request("GET"), await page.request("POST", "/start"), await page.request("POST", "/done"),
        await page.request("GET"), await page.enter("x"),
    ]  # fmt: skip
    for _, _, headers in answers:
        assert headers["cache-control"] == "no-store"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["x-content-type-options"] == "nosniff"
        policy = headers["content-security-policy"]
        for rule in ("default-src 'none'", "form-action 'self'", "base-uri 'none'", "frame-ancestors 'none'"):
            assert rule in policy
        assert "unsafe" not in policy
        assert "set-cookie" not in headers
        assert "server" not in headers


async def test_a_throttled_provider_is_answered_by_a_page_that_comes_back(page: Page) -> None:
    await page.request("GET")
    page.emulated.fail("CreateFaceLivenessSession", 1)
    status, html, _ = await page.request("POST", "/start")
    assert (status, heading(html)) == (503, "Please wait")
    refresh = re.search('http-equiv="refresh" content="[0-9]+; url=([^"]+)"', html)
    assert refresh
    assert refresh[1] == f"/check/{page.identifier}"
    assert page.publisher.sent == []
    assert await page.shown() == "Show that it is you"
    await page.start()


async def test_a_broker_that_is_away_is_answered_by_the_waiting_page_and_the_next_click_goes_on(page: Page) -> None:
    await page.request("GET")
    page.publisher.refusals = 2
    status, _, _ = await page.request("POST", "/start")
    assert status == 503
    before = page.emulated.sessions()
    await page.start()
    assert page.emulated.sessions() == before
    assert len(page.publisher.of(SessionCreated)) == len(page.publisher.of(DeadlinePassed)) == 1


async def test_a_done_that_could_not_be_announced_is_announced_by_the_next(page: Page) -> None:
    await page.start()
    page.publisher.refusals = 1
    assert (await page.request("POST", "/done"))[0] == 503
    assert (await page.request("POST", "/done"))[0] == 303
    assert len(page.publisher.of(CaptureCompleted)) == 1


async def test_the_actions_are_posts(page: Page) -> None:
    before = page.emulated.sessions()
    for path in ("/start", "/done"):
        assert (await page.request("GET", path))[0] == 405
    assert (await page.request("POST"))[0] == 405
    assert page.emulated.sessions() == before


async def test_the_style_sheet_is_served(page: Page) -> None:
    async with page.http.get(f"{page.url}/scan.css") as answer:
        assert (answer.status, answer.content_type) == (200, "text/css")


async def test_what_is_asked_besides_the_check_is_a_form_without_any_script(page: Page) -> None:
    await page.start()
    attempt = await page.verifications.attempt(page.identifier, 1)
    assert attempt is not None
    await page.verifications.ask(await page.record(), attempt, "question first-pet", page.now(), refused=[])
    _, html, _ = await page.request("GET")
    assert heading(html) == "One more question"
    assert '<label for="given">What was the name of your first pet?</label>' in html
    assert "not right" not in html
    status, _, headers = await page.request("POST", "/answers", answer=" Rex ")
    assert (status, headers["location"]) == (303, f"/check/{page.identifier}")
    record = await page.record()
    assert record.state is State.ANSWERED
    assert await page.shown() == "One moment"
    assert len(page.publisher.of(ProofGiven)) == 1
    await page.verifications.settle_answer(record, {"state": State.ASKED, "wrong_answers": 1, "asks": "code"})
    _, html, _ = await page.request("GET")
    assert 'inputmode="numeric"' in html
    assert "not right" in html
    await page.request("POST", "/answers", answer="  ")
    assert (await page.record()).state is State.ASKED
