"""Turns at the provider: in the order of asking, over all replicas, kept for whoever waits, and told in seconds.

TURNS_PER_SECOND=5 TURNS_PERSONS=200 is the whole of it (40 s); here it is quicker.
"""

import asyncio
import os
import time
import uuid
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest

from services.session.admission import Admission
from services.session.attempts import Attempts
from services.session.context import Fingerprints
from services.session.page_api import CONSENT_VERSION, PageApi
from services.session.scan_page import ScanPage
from services.session.tokens import Tokens
from services.session.turns import KEPT_MILLISECONDS, NotYetError, Turns
from shared.failure_tallies import KnownBlocks
from shared.liveness_providers import only
from shared.liveness_rekognition import RekognitionProvider
from shared.stores import Tables
from shared.tables import TURNS
from shared.verification import State, Verification
from shared.verifications import Verifications
from tests.support.answering import answers
from tests.support.asgi import serving
from tests.support.emulated_aws import Emulated
from tests.support.recording import RecordingPublisher

PER_SECOND = float(os.environ.get("TURNS_PER_SECOND", "50"))
PERSONS = int(os.environ.get("TURNS_PERSONS", "200"))
ROLE = "arn:aws:iam::123456789012:role/streaming"


class Provider(RekognitionProvider):
    """A provider with a line of its own."""

    def __init__(self, emulated: Emulated, per_second: float, name: str = "") -> None:
        super().__init__(emulated.aws, role=ROLE, sessions_per_second=per_second)
        self.name = name or f"line-{uuid.uuid4().hex}"


class Line:
    """Replicas before one provider, with a clock that a test moves."""

    def __init__(self, emulated: Emulated, per_second: float = 5.0) -> None:
        self.emulated = emulated
        self.provider = Provider(emulated, per_second)
        self.verifications = Verifications(emulated.tables)
        self.now = datetime(2026, 11, 23, 12, tzinfo=UTC)
        self.slept: list[float] = []

    def replica(self) -> Turns:
        async def sleep(seconds: float) -> None:
            self.slept.append(seconds)

        return Turns(tables=self.emulated.tables, verifications=self.verifications, clock=lambda: self.now, sleep=sleep)

    async def person(self) -> Verification:
        return await self.verifications.create(_record(int(self.now.timestamp())))

    async def turn(self, person: Verification, replica: Turns | None = None) -> float:
        """Ask as the page does: seconds until the person's turn, 0 when it has come."""
        record = await self.verifications.get(person.verification_id)
        assert record is not None
        try:
            await (replica or self.replica()).wait(self.provider, record, record.attempt + 1)
        except NotYetError as early:
            return early.seconds
        return 0.0


def _record(now: int) -> Verification:
    return Verification(
        str(uuid.uuid4()), State.PROMPTED, "loc-1", expires_at=now + 600, created_at=now, requester="shop.example",
        person="alice", wallet_domain="wallet.example", wallet_id="w-1",
    )  # fmt: skip


@pytest.fixture
def line(emulated: Emulated) -> Line:
    return Line(emulated)


async def test_two_hundred_at_once_over_three_replicas_have_turns_one_interval_apart(line: Line) -> None:
    replicas = [line.replica() for _ in range(3)]
    persons = await asyncio.gather(*(line.person() for _ in range(200)))
    waits = await asyncio.gather(*(line.turn(one, replicas[n % 3]) for n, one in enumerate(persons)))
    short = sorted(round(seconds, 3) for seconds in line.slept)
    told = sorted(round(seconds, 3) for seconds in waits if seconds)
    turns = [0.0, *short, *told]
    assert turns == [round(number * 0.2, 3) for number in range(200)]


async def test_who_asks_again_before_the_turn_keeps_it_and_is_told_what_is_left(line: Line) -> None:
    for _ in range(20):
        await line.turn(await line.person())
    person = await line.person()
    assert await line.turn(person) == pytest.approx(4.0)
    line.now += timedelta(seconds=1.5)
    for _ in range(3):
        assert await line.turn(person, line.replica()) == pytest.approx(2.5)
    line.now += timedelta(seconds=2.0)
    assert await line.turn(person) == 0
    assert line.slept[-1] == pytest.approx(0.5)
    line.now += timedelta(seconds=9)
    assert await line.turn(person) == 0, "a page that is a little late has not lost its turn"


async def test_who_comes_back_long_after_the_turn_takes_a_new_one(line: Line) -> None:
    for _ in range(20):
        await line.turn(await line.person())
    person = await line.person()
    await line.turn(person)
    line.now += timedelta(seconds=4, milliseconds=KEPT_MILLISECONDS + 1)
    for _ in range(10):
        await line.turn(await line.person())
    assert await line.turn(person) == pytest.approx(2.0)


async def test_waiting_for_the_provider_is_our_trouble_and_no_denial(line: Line) -> None:
    for _ in range(20):
        await line.turn(await line.person())
    person = await line.person()
    await line.turn(person)
    record = await line.verifications.get(person.verification_id)
    assert record is not None
    assert record.trouble


async def _calls_of(line: Line, work: Callable[[Turns], Any]) -> list[str]:
    """Names of the calls to the store that ``work`` makes."""
    made: list[str] = []

    class Counting(Tables):
        async def advance(self, table: str, key: Any, attribute: str, now: int, step: int) -> int:
            made.append(table)
            return await super().advance(table, key, attribute, now, step)

    tables = Counting(line.emulated.aws, line.emulated.settings)
    await work(Turns(tables=tables, verifications=Verifications(tables), clock=lambda: line.now))
    return made


async def test_without_a_limit_no_call_of_the_store_is_made_and_without_a_line_one(line: Line) -> None:
    person = await line.person()
    line.provider = Provider(line.emulated, 0)
    assert await _calls_of(line, lambda turns: turns.wait(line.provider, person, 1)) == []
    line.provider = Provider(line.emulated, 5)
    assert await _calls_of(line, lambda turns: turns.wait(line.provider, person, 1)) == [TURNS.name]


class Page:
    """A person's page: presses start, and asks again when it is told to."""

    def __init__(self, url: str, tokens: Tokens, record: Verification) -> None:
        self.record = record
        self._key = tokens.new_key(record.verification_id)
        self._url = f"{url}/check/{record.verification_id}/attempt"
        cookie = f"scan-{record.verification_id}={tokens.write_key(self._key)}"
        self._headers = {"Cookie": cookie, "x-form-token": tokens.form_token(self._key)}
        self.told: list[int] = []
        self.served_at = 0.0
        self.refused = 0

    async def open(self, verifications: Verifications) -> None:
        await verifications.create(self.record)
        await verifications.open(self.record.verification_id, self._key.fingerprint)

    async def begin(self, http: aiohttp.ClientSession) -> None:
        consent = {"version": CONSENT_VERSION, "language": "en"}
        wish = {"page": "a-page-made-by-chance", "consent": consent}
        while True:
            async with http.post(self._url, json=wish, headers=self._headers) as answer:
                said = await answer.json()
                assert answer.status in (200, 202, 503), said
            if answer.status == 200:
                assert said["session_id"]
                self.served_at = time.time()
                return
            if answer.status == 503:  # a machine that stood still lets turns pass all at once: the provider says no
                self.refused += 1
                await asyncio.sleep(1)
                continue
            self.told.append(said["wait_seconds"])
            assert 0 < said["ask_again_seconds"] <= said["wait_seconds"]
            await asyncio.sleep(said["ask_again_seconds"])


async def test_pages_of_two_hundred_persons_at_once_are_all_served_and_told_how_long(
    emulated: Emulated, publisher: RecordingPublisher
) -> None:
    """Over real HTTP, three replicas, and a provider that keeps to its quota; each page is told how long."""
    tokens, verifications = Tokens("a secret of thirty-two characters"), Verifications(emulated.tables)
    admission = Admission(tokens, "http://127.0.0.1")
    provider = only(line := Provider(emulated, PER_SECOND))

    told = answers(emulated, publisher, lambda: datetime.now(UTC))

    def replica() -> Any:
        attempts = Attempts(
            verifications=verifications, publisher=publisher, providers=provider,
            turns=Turns(tables=emulated.tables, verifications=verifications, clock=lambda: datetime.now(UTC)),
            blocks=KnownBlocks(emulated.tables),
            fingerprints=Fingerprints("a secret of thirty-two characters"), attempt_seconds=165.0,
            clock=lambda: datetime.now(UTC),
        )  # fmt: skip
        api = PageApi(
            verifications=verifications, attempts=attempts, admission=admission, most_attempts=3, lights_optional=True,
            answers=told, providers=provider, clock=lambda: datetime.now(UTC),
        )  # fmt: skip
        return ScanPage(
            verifications=verifications, attempts=attempts, providers=provider, admission=admission, most_attempts=3,
            answers=told, clock=lambda: datetime.now(UTC), more_routes=api.routes(),
        ).application()  # fmt: skip

    async with AsyncExitStack() as open_parts:
        http = await open_parts.enter_async_context(
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=PERSONS), trust_env=False)
        )
        urls = [await open_parts.enter_async_context(serving(replica())) for _ in range(3)]
        pages = [Page(urls[n % 3], tokens, _record(int(time.time()))) for n in range(PERSONS)]
        await asyncio.gather(*(page.open(verifications) for page in pages))
        emulated.door("limit", {"operation": "CreateFaceLivenessSession", "per_second": PER_SECOND})
        before, began = emulated.sessions(), time.monotonic()
        try:
            await asyncio.gather(*(page.begin(http) for page in pages))
        finally:
            emulated.door("limit", {"operation": "CreateFaceLivenessSession", "per_second": 0})
        took = time.monotonic() - began
    assert line.sessions_per_second == PER_SECOND
    assert emulated.sessions() == before + PERSONS, "a session for each, and none beside them"
    assert took >= (PERSONS - 1) / PER_SECOND
    waited = [page for page in pages if page.told]
    assert len(waited) > PERSONS / 4, "whoever was not served soon was told how long"
    assert max(page.told[0] for page in waited) <= PERSONS / PER_SECOND + 1
    records = await asyncio.gather(*(verifications.get(page.record.verification_id) for page in waited))
    for page, record in zip(waited, records, strict=True):
        assert record is not None
        assert page.served_at * 1000 >= record.turn_at, "nobody comes before their turn"
    late = max(page.served_at - record.turn_at / 1000 for page, record in zip(waited, records, strict=True) if record)
    most, refused = max(page.told[0] for page in waited), sum(page.refused for page in pages)
    print(
        f"{PERSONS} at {PER_SECOND:g}/s: {took:.1f} s, {len(waited)} told to wait, at most {most} s, served at most "
        f"{late:.2f} s after their turn, {refused} refused"
    )
