"""What the page's program asks: over real HTTP, on tables, sessions and credentials of the emulated AWS."""

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest

from services.session.admission import Admission, Callers
from services.session.attempts import Attempts
from services.session.context import Fingerprints
from services.session.page_api import CONSENT_VERSION, PageApi
from services.session.scan_page import ScanPage
from services.session.tokens import BrowserKey, Tokens
from services.session.turns import Turns
from shared import metrics
from shared.addresses import Addresses
from shared.events import CaptureCompleted, DeadlinePassed, Outcome, ProofGiven, SessionCreated
from shared.failure_tallies import FailureTallies, KnownBlocks
from shared.failures import Bounds, Kind, kind_of
from shared.liveness import ProviderTroubleError, Streaming
from shared.liveness_providers import only
from shared.liveness_rekognition import RekognitionProvider
from shared.tables import FAILURES
from shared.verification import Attempt, State, Verification
from shared.verifications import Verifications
from tests.support.answering import answers
from tests.support.asgi import serving
from tests.support.emulated_aws import Emulated
from tests.support.recording import RecordingPublisher

ROLE = "arn:aws:iam::123456789012:role/streaming"
PAGE = "a-page-made-by-chance"


class Provider(RekognitionProvider):
    """Takes as many sessions as come, until ``hurry`` says how many a second; while ``shut``, lets nobody in."""

    hurry = 0.0
    shut = False

    def __init__(self, emulated: Emulated) -> None:
        super().__init__(emulated.aws, role=ROLE)

    @property
    def sessions_per_second(self) -> float:
        """See LivenessProvider."""
        return self.hurry

    async def access(self, attempt: Attempt, return_url: str) -> Streaming:
        """See LivenessProvider."""
        if self.shut:
            raise ProviderTroubleError("sts.AssumeRole: Throttling")
        return await super().access(attempt, return_url)


class Program:
    """The page's program in one browser; ``ahead`` moves the service's clock."""

    def __init__(self, emulated: Emulated, publisher: RecordingPublisher, http: aiohttp.ClientSession) -> None:
        self.verifications = Verifications(emulated.tables)
        self.emulated, self.publisher, self._http = emulated, publisher, http
        self.tokens = Tokens("a secret of thirty-two characters")
        self.identifier = str(uuid.uuid4())
        self.key = self.tokens.new_key(self.identifier)
        self.ahead = timedelta()
        self.url = ""
        self.provider = Provider(emulated)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    async def prepare(self) -> None:
        now = int(time.time())
        record = Verification(
            self.identifier, State.PROMPTED, "loc-1", expires_at=now + 600, created_at=now, requester="shop.example",
            purpose="to buy", person="alice", wallet_domain="wallet.example", wallet_id="w-1",
            device="a-hash-of-a-device",
        )  # fmt: skip
        await self.verifications.create(record)
        await self.verifications.open(self.identifier, self.key.fingerprint)

    async def call(
        self, path: str, content: Any = None, *, key: BrowserKey | None = None, form: bool = True
    ) -> tuple[int, Any]:
        key = key or self.key
        headers = {"Cookie": f"scan-{self.identifier}={self.tokens.write_key(key)}"}
        if form:
            headers["x-form-token"] = self.tokens.form_token(key)
        data = None if content is None else content if isinstance(content, bytes) else json.dumps(content).encode()
        method = "GET" if content is None else "POST"
        url = f"{self.url}/check/{self.identifier}/{path}"
        async with self._http.request(method, url, headers=headers, data=data) as answer:
            assert answer.headers["cache-control"] == "no-store"
            return answer.status, await answer.json()

    async def begin(self, page: str = PAGE, **more: Any) -> tuple[int, Any]:
        consent = {"version": CONSENT_VERSION, "language": "pt"}
        return await self.call("attempt", {"page": page, "consent": consent, **more})

    async def record(self) -> Verification:
        record = await self.verifications.get(self.identifier)
        assert record is not None
        return record


@pytest.fixture
async def program(emulated: Emulated, publisher: RecordingPublisher) -> AsyncIterator[Program]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as http:
        program = Program(emulated, publisher, http)
        await program.prepare()
        verifications = program.verifications
        prints = Fingerprints("a secret of thirty-two characters")
        admission = Admission(program.tokens, "http://127.0.0.1", Callers(Addresses(()), prints))
        providers = only(program.provider)
        attempts = Attempts(
            verifications=verifications, publisher=publisher, providers=providers,
            turns=Turns(tables=emulated.tables, verifications=verifications, clock=program.now),
            blocks=KnownBlocks(emulated.tables, lambda: program.now().timestamp()),
            fingerprints=prints, attempt_seconds=165.0, clock=program.now,
        )  # fmt: skip
        api = PageApi(
            verifications=verifications, attempts=attempts, admission=admission, most_attempts=3, lights_optional=True,
            answers=answers(emulated, publisher, program.now), providers=providers, clock=program.now,
        )  # fmt: skip
        page = ScanPage(
            verifications=verifications, attempts=attempts, providers=providers, admission=admission, most_attempts=3,
            answers=answers(emulated, publisher, program.now), clock=program.now,
            more_routes=api.routes(),
        )  # fmt: skip
        async with serving(page.application()) as url:
            program.url = url
            yield program


async def test_the_state_says_who_asks_and_nothing_of_the_person_or_the_outcome(program: Program) -> None:
    status, state = await program.call("state")
    assert (status, state["screen"], state["requester"], state["tries_left"]) == (200, "start", "shop.example", 3)
    await program.begin()
    for outcome in Outcome:
        assert not {outcome.value, "alice", "loc-1", "w-1"} & set(json.dumps(state).split('"'))
    await program.verifications.decide(await program.record(), Outcome.FAILURE, program.now())
    _, state = await program.call("state")
    assert state["screen"] == "finished"
    assert "failure" not in json.dumps(state)


async def test_the_click_creates_one_session_and_hands_out_credentials_for_one_action(program: Program) -> None:
    before = program.emulated.sessions()
    status, session = await program.begin()
    assert status == 200, session
    assert program.emulated.sessions() == before + 1
    assert session["endpoint"] is None
    assert session["region"] == "eu-west-1"
    assert 150 < session["seconds"] <= 165
    until = datetime.fromisoformat(session["credentials"]["expiration"]) - datetime.now(UTC)
    assert until <= timedelta(seconds=901)
    attempt = await program.verifications.attempt(program.identifier, 1)
    assert attempt is not None
    assert (attempt.consent_version, attempt.consent_language, attempt.lights) == (CONSENT_VERSION, "pt", True)
    assert len(program.publisher.of(SessionCreated)) == 1
    everything = str([sent.value for sent in program.publisher.sent])
    assert not any(secret in everything for secret in [*session["credentials"].values(), session["session_id"]])


async def test_a_click_repeated_by_the_same_page_gets_the_same_session_and_another_page_none(program: Program) -> None:
    _, first = await program.begin()
    _, again = await program.begin()
    assert again["session_id"] == first["session_id"]
    status, facts = await program.begin("another-page-of-this-browser")
    assert (status, facts["screen"], facts["attempt"]) == (409, "check", 1)
    assert "session_id" not in facts


async def test_pages_that_click_at_once_get_one_session_and_one_of_them_has_it(program: Program) -> None:
    answers = await asyncio.gather(*(program.begin(f"page-number-{number}-of-many") for number in range(6)))
    assert sorted(status for status, _ in answers) == [200, 409, 409, 409, 409, 409]
    assert (await program.record()).attempt == 1


async def test_the_challenge_without_flashing_lights_is_another_session_of_that_kind(program: Program) -> None:
    status, session = await program.begin(lights=False)
    assert status == 200
    program.emulated.film(session["session_id"], "alice")
    result = program.emulated.aws.client("rekognition").get_face_liveness_session_results(
        SessionId=session["session_id"]
    )
    assert result["Challenge"]["Type"] == "FaceMovementChallenge"


async def test_a_try_that_is_given_up_is_ended_early_and_the_next_has_a_session_of_its_own(program: Program) -> None:
    _, first = await program.begin()
    await program.call("ended", {"attempt": 1})
    (told,) = [sent for sent in program.publisher.of(DeadlinePassed) if sent.due is None]
    assert told.data == DeadlinePassed(verification_id=program.identifier, attempt=1, given_up=True)
    await program.verifications.end_attempt(program.identifier, 1, trouble=False)
    _, second = await program.begin("the-same-tab-loaded-again")
    assert second["session_id"] != first["session_id"]
    await program.call("ended", {"attempt": 1})
    assert len([sent for sent in program.publisher.of(DeadlinePassed) if sent.due is None]) == 1


async def test_finished_is_a_hint_for_its_own_attempt_only(program: Program) -> None:
    await program.begin()
    assert (await program.call("finished", {"attempt": 2}))[1]["screen"] == "check"
    assert program.publisher.of(CaptureCompleted) == []
    assert (await program.call("finished", {"attempt": 1}))[1]["screen"] == "wait"
    assert len(program.publisher.of(CaptureCompleted)) == 1


async def test_who_declines_ends_the_verification_now(program: Program) -> None:
    await program.call("declined", {})
    (told,) = program.publisher.of(DeadlinePassed)
    assert told.data == DeadlinePassed(verification_id=program.identifier, given_up=True)


@pytest.mark.parametrize("path", ["attempt", "finished", "ended", "declined"])
async def test_another_site_s_request_and_another_browser_s_are_refused(program: Program, path: str) -> None:
    before = program.emulated.sessions()
    contents: dict[str, dict[str, Any]] = {
        "attempt": {"page": PAGE, "consent": {"version": CONSENT_VERSION, "language": "en"}},
        "finished": {"attempt": 1},
        "ended": {"attempt": 1},
        "declined": {},
    }
    content = contents[path]
    assert await program.call(path, content, form=False) == (403, {"error": "forged"})
    stranger = program.tokens.new_key(program.identifier)
    assert await program.call(path, content, key=stranger) == (403, {"error": "elsewhere"})
    assert (program.emulated.sessions(), program.publisher.sent) == (before, [])


@pytest.mark.parametrize(
    ("content", "where"),
    [
        (b"", "body"), (b"[]", "body"), (b"x" * 3000, "body"), ({"page": "short"}, "page"),
        ({"page": PAGE}, "consent"),
        ({"page": PAGE, "consent": {"version": "old", "language": "en"}}, "consent.version"),
        ({"page": PAGE, "consent": {"version": CONSENT_VERSION, "language": "<b>"}}, "consent.language"),
    ],
)  # fmt: skip
async def test_a_wrong_request_is_told_where_and_starts_nothing(program: Program, content: Any, where: str) -> None:
    before = program.emulated.sessions()
    assert await program.call("attempt", content) == (422, {"error": "wrong", "where": where})
    assert program.emulated.sessions() == before


async def test_a_throttled_provider_is_answered_with_when_to_ask_again(program: Program) -> None:
    program.emulated.fail("CreateFaceLivenessSession", 1)
    status, answer = await program.begin()
    assert (status, answer["error"]) == (503, "busy")
    assert answer["after_seconds"] > 0
    assert (await program.begin())[0] == 200


async def test_stale_session_when_the_time_is_over_nothing_starts(program: Program) -> None:
    program.ahead = timedelta(seconds=601)
    status, facts = await program.begin()
    assert (status, facts["screen"]) == (409, "expired")


async def test_the_credentials_are_temporary_ones_of_the_account(program: Program) -> None:
    _, session = await program.begin()
    given = session["credentials"]
    assert given["accessKeyId"].startswith("ASIA")
    assert given["sessionToken"]


async def test_a_provider_that_creates_no_session_is_our_trouble_should_the_time_be_over_before_it_is_back(
    program: Program,
) -> None:
    program.emulated.fail("CreateFaceLivenessSession", 1)
    assert (await program.begin())[0] == 503
    record = await program.record()
    assert (record.attempt, record.trouble) == (0, True)


async def test_a_session_into_which_nobody_gets_ends_its_attempt_as_our_trouble_and_the_next_is_another(
    program: Program,
) -> None:
    program.provider.shut = True
    assert (await program.begin())[0] == 503
    program.provider.shut = False
    record = await program.record()
    assert (record.attempt, record.attempt_open, record.trouble) == (1, False, True)
    status, session = await program.begin()
    assert (status, session["attempt"]) == (200, 2)


async def test_a_person_whose_turn_is_far_off_is_told_how_long_and_gets_no_session_yet(program: Program) -> None:
    before = program.emulated.sessions()
    now = int(time.time() * 1000)
    await program.verifications.wait_in_line(program.identifier, 1, now + 30_000)
    program.provider.hurry = 1.0
    status, answer = await program.begin()
    assert status == 202
    assert 25 <= answer["ask_again_seconds"] <= answer["wait_seconds"] <= 30
    assert program.emulated.sessions() == before
    program.ahead = timedelta(seconds=30)
    assert (await program.begin())[0] == 200


BOUNDS = Bounds(dict.fromkeys(Kind, 2))


async def block(program: Program, whoms: str, kind: Kind) -> None:
    """Let two checks fail for one of those that the attempt counts for."""
    whom = next(one for one in whoms.split() if kind_of(one) is kind)
    tallies = FailureTallies(program.emulated.tables, BOUNDS)
    for _ in range(2):
        await tallies.count([whom], str(uuid.uuid4()), int(program.now().timestamp()))


@pytest.mark.parametrize("kind", Kind)
async def test_brute_force_after_too_many_failures_no_check_begins_and_the_page_says_later_and_not_why(
    program: Program, kind: Kind
) -> None:
    """For a person, a device, an address and a requester alike; asked again it costs neither a session nor a call."""
    await program.begin()
    attempt = await program.verifications.attempt(program.identifier, 1)
    assert attempt is not None
    await block(program, attempt.whoms, kind)
    await program.verifications.end_attempt(program.identifier, 1, trouble=False)
    program.ahead = timedelta(seconds=11)  # what is known of who asks is that old at most
    status, facts = await program.begin()
    assert (status, facts["screen"]) == (409, "later")
    assert not any(word in json.dumps([*facts.values()]) for word in (kind.value, "blocked", "failed"))
    assert "session_id" not in facts
    assert (await program.record()).attempt == 1
    sessions = program.emulated.sessions()
    assert (await program.begin())[0] == 409
    assert (await program.call("state"))[1]["screen"] == "later"
    assert program.emulated.sessions() == sessions
    for whom in attempt.whoms.split():  # other tests' checks come from the same address
        await program.emulated.tables.delete(FAILURES.name, {"whom": whom})


async def test_a_check_begins_with_as_many_calls_of_the_store_as_before_there_were_blocks(program: Program) -> None:
    """It is a condition of the write that is there anyway; who asks is read about once in ten seconds."""
    calls = (
        metrics.STORE_SECONDS.labels("dynamodb.TransactWriteItems"),
        metrics.STORE_SECONDS.labels("dynamodb.GetItem"),
    )
    before = [_count(one) for one in calls]
    assert (await program.begin())[0] == 200
    assert [_count(one) - then for one, then in zip(calls, before, strict=True)] == [
        1,
        2,
    ]  # the second, of who asks, is read once in ten seconds


async def test_what_is_kept_of_an_address_and_a_device_is_a_keyed_hash(program: Program) -> None:
    await program.begin()
    attempt = await program.verifications.attempt(program.identifier, 1)
    assert attempt is not None
    assert {kind_of(whom) for whom in attempt.whoms.split()} == set(Kind)
    assert "127.0.0.1" not in str(attempt)
    assert "alice" not in attempt.whoms


def _count(histogram: Any) -> float:
    return float(next(sample.value for sample in histogram.collect()[0].samples if sample.name.endswith("_count")))


# -- what is asked besides the check ---------------------------------------------------------------------------------


async def ask(program: Program, asks: str = "code") -> Verification:
    """Let the verdict ask for more after the first check."""
    await program.begin()
    attempt = await program.verifications.attempt(program.identifier, 1)
    assert attempt is not None
    await program.verifications.ask(await program.record(), attempt, asks, program.now(), refused=[])
    return await program.record()


async def test_what_is_asked_is_shown_and_its_answer_is_sealed_and_told_without_a_word_of_it(program: Program) -> None:
    await ask(program, "question first-pet")
    _, state = await program.call("state")
    assert (state["screen"], state["asks"], state["asked_again"]) == ("answer", "question first-pet", False)
    assert (state["tries_left"], state["attempt"]) == (3, 1)
    program.publisher.sent.clear()
    status, state = await program.call("answer", {"answer": "Rex the 2nd"})
    assert (status, state["screen"], state["asks"]) == (200, "wait", "")
    record = await program.record()
    assert record.state is State.ANSWERED
    assert "Rex" not in record.answer
    (told,) = program.publisher.of(ProofGiven)
    assert told.data == ProofGiven(verification_id=program.identifier, number=1)


async def test_an_answer_is_told_again_when_nobody_looks_at_it_and_with_the_same_id(program: Program) -> None:
    await ask(program)
    await program.call("answer", {"answer": "123456"})
    await program.call("state")
    assert len(program.publisher.of(ProofGiven)) == 1
    program.ahead = timedelta(seconds=7)
    await program.call("state")
    await program.call("answer", {"answer": "654321"})
    told = program.publisher.of(ProofGiven)
    assert len(told) == 3
    assert len({one.event.id for one in told}) == 1


@pytest.mark.parametrize("state", ["start", "check"])
async def test_an_answer_that_nobody_asked_for_changes_nothing(program: Program, state: str) -> None:
    if state == "check":
        await program.begin()
    _, facts = await program.call("answer", {"answer": "123456"})
    assert facts["screen"] == state
    assert program.publisher.of(ProofGiven) == []
    assert (await program.record()).answer == ""


@pytest.mark.parametrize("said", [{}, {"answer": ""}, {"answer": "x" * 201}, {"answer": 123456}, {"code": "123456"}])
async def test_what_is_no_answer_is_refused_and_not_repeated(program: Program, said: Any) -> None:
    await ask(program)
    status, answer = await program.call("answer", said)
    assert (status, answer["error"]) == (422, "wrong")
    assert "123456" not in json.dumps(answer)
