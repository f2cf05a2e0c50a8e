"""Known, unknown, expired and revoked locators: the same answers but ids, after times that nobody can tell apart.

``LOOKUPS`` sets how many of each (1,000 for the figures in docs/benchmarks.md).
"""

import os
import random
import time
import uuid
from bisect import bisect_right
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from math import sqrt

import orjson
import pytest

from services.session.prompting import Prompting
from services.session.prompts import prompts
from services.session.tokens import Tokens
from services.verdict.handlers import Verdicts
from shared.events import DeadlinePassed, PostRequested, Requester, VerificationRequested
from shared.generation import Generation
from shared.locators import Issue, Locators, new_locator
from shared.people import People, Person
from shared.stores import Item, Tables, Value
from shared.tables import LOCATORS
from tests.support.emulated_aws import Emulated
from tests.support.received import received
from tests.support.recording import RecordingPublisher
from tests.unit.services.verdict.scene import Scene

EACH = int(os.environ.get("LOOKUPS", "20"))
KINDS = ("known", "unknown", "expired", "revoked")
# Kolmogorov and Smirnov's statistic is below this in 999 of 1,000 runs when nothing differs.
CRITICAL = 1.95 * sqrt(2 / EACH)
TELLING = 100


def apart(one: list[float], other: list[float]) -> float:
    """Return the greatest difference of two empirical distributions (the two-sample Kolmogorov-Smirnov statistic)."""
    first, second = sorted(one), sorted(other)
    return max(
        abs(bisect_right(first, at) / len(first) - bisect_right(second, at) / len(second)) for at in first + second
    )


async def issued(emulated: Emulated, kind: str) -> str:
    """Return a locator of a kind."""
    now = datetime.now(UTC)
    if kind == "unknown":
        return new_locator()
    expires_at = now + timedelta(seconds=-1 if kind == "expired" else 86_400)
    locators = Locators(emulated.tables)
    made = await locators.issue(Issue("shop.example", uuid.uuid4().hex, "alike", expires_at), now)
    if kind == "revoked":
        assert await locators.revoke(made.locator)
    return made.locator


async def each(emulated: Emulated) -> list[tuple[str, str]]:
    """Return kinds and locators, in a mixed order: what drifts, drifts for all of them alike."""
    await emulated.enrol("alike", new_locator())
    mixed = [(kind, await issued(emulated, kind)) for kind in KINDS for _ in range(EACH)]
    random.Random(7).shuffle(mixed)
    return mixed


async def seconds_by_kind(
    mixed: list[tuple[str, str]], look: Callable[[str], Awaitable[object]]
) -> dict[str, list[float]]:
    took: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for kind, locator in mixed:
        began = time.perf_counter()
        await look(locator)
        took[kind].append(time.perf_counter() - began)
    return took


def farthest(took: dict[str, list[float]]) -> float:
    """Return how far the distribution of any kind is from that of the known."""
    return max(apart(took["known"], took[kind]) for kind in KINDS[1:])


async def test_a_look_up_takes_the_same_time_for_every_kind_and_one_that_is_not_alike_is_told(
    emulated: Emulated,
) -> None:
    mixed = await each(emulated)
    now = datetime.now(UTC)

    async def unlike(locator: str) -> Person | None:
        """As it would be without care: what is not there is not looked into."""
        if await emulated.tables.get(LOCATORS.name, {"locator": locator}) is None:
            return None
        return await emulated.people.find(locator, now)

    alike = await seconds_by_kind(mixed, lambda locator: emulated.people.find(locator, now))
    careless = await seconds_by_kind(mixed, unlike)
    print(f"{EACH} each: look-ups {farthest(alike):.3f} apart, careless {farthest(careless):.3f}, bound {CRITICAL:.3f}")
    assert farthest(alike) < CRITICAL
    # A few of each cannot tell anything apart on a busy machine.
    assert farthest(careless) > CRITICAL or EACH < TELLING


async def test_a_look_up_makes_the_same_calls_for_every_kind(emulated: Emulated) -> None:
    class Counting(Tables):
        def __init__(self) -> None:
            super().__init__(emulated.aws, emulated.settings)
            self.calls: list[str] = []

        async def get(self, table: str, key: Item) -> dict[str, Value] | None:
            self.calls.append(table)
            return await super().get(table, key)

    await emulated.enrol("alike", new_locator())
    made = []
    for kind in KINDS:
        tables = Counting()
        await People(tables).find(await issued(emulated, kind), datetime.now(UTC))
        made.append(tables.calls)
    assert made == [["locators", "persons"]] * len(KINDS)


class AnswerWatch(RecordingPublisher):
    """Notes when an answer was handed over."""

    def __init__(self) -> None:
        super().__init__()
        self.answered_at = 0.0

    async def send_all(self, records: object) -> None:
        given = list(records)  # type: ignore[call-overload] # as the publisher's
        if any(b"LocatorVerified@Domain" in (value or b"") for _, _, value, _ in given):
            self.answered_at = time.perf_counter()
        await super().send_all(given)


async def test_answers_are_alike_but_for_ids_and_come_after_the_same_time(emulated: Emulated) -> None:
    mixed = await each(emulated)
    publisher = AnswerWatch()
    scene = Scene(emulated, publisher)
    verdicts = scene.verdicts
    took: dict[str, list[float]] = {kind: [] for kind in KINDS}
    bodies = set()
    for kind, locator in mixed:
        verification_id = await ask(emulated, publisher, locator)
        publisher.sent.clear()
        took[kind].append(await seconds_to_the_answer(verdicts, publisher, verification_id))
        (answer,) = [one.data for one in publisher.of(PostRequested) if b"LocatorVerified" in (one.value or b"")]
        assert isinstance(answer, PostRequested)
        bodies.add(masked(answer, verification_id, locator))
    assert len(bodies) == 1, bodies
    print(f"{EACH} each: answers {farthest(took):.3f} apart, bound {CRITICAL:.3f}")
    assert farthest(took) < CRITICAL


async def ask(emulated: Emulated, publisher: RecordingPublisher, locator: str) -> str:
    prompting = Prompting(
        people=emulated.people,
        verifications=Scene(emulated, publisher).verifications,
        publisher=publisher,
        tokens=Tokens("a secret of thirty-two characters"),
        prompts=prompts("OpenPopup@Wallet", "identity.example"),
        public_url="https://scan.identity.example",
        verification_seconds=600.0,
        clock=lambda: datetime.now(UTC),
    )
    requester = Requester(domain="shop.example", generation=Generation.NLWEB, correlation=str(uuid.uuid4()))
    request = VerificationRequested(verification_id=str(uuid.uuid4()), locator=locator, requester=requester)
    await prompting.on_requested(received(request))
    return request.verification_id


async def seconds_to_the_answer(verdicts: Verdicts, publisher: AnswerWatch, verification_id: str) -> float:

    deadline = received(DeadlinePassed(verification_id=verification_id))
    began = time.perf_counter()
    await verdicts.on_deadline(deadline)
    return publisher.answered_at - began


def masked(answer: PostRequested, verification_id: str, locator: str) -> bytes:
    """Return the answer's bytes with its ids, its chance and its second made equal."""
    text = orjson.dumps(answer.model_dump(mode="json"))
    parts = [verification_id, locator, answer.body["Request"], answer.body["Nonce"], answer.body["Expires"]]
    for part in [*parts, answer.correlation or ""]:
        text = text.replace(part.encode(), b"x" * len(part))
    return text


@pytest.mark.parametrize("kind", KINDS)
async def test_only_a_good_locator_leads_to_its_person(emulated: Emulated, kind: str) -> None:
    await emulated.enrol("alike", new_locator())
    found = await People(emulated.tables).find(await issued(emulated, kind), datetime.now(UTC))
    assert (found is not None) == (kind == "known")
