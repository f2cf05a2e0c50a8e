"""Behind the log: the first record of a message is handled, every copy is dropped, and nothing is lost on the way."""

import asyncio
import itertools
import time
import uuid
from pathlib import Path
from typing import Any

import pytest

from services.inbox.claims import Claim, Claims
from services.inbox.endpoint_map import Route
from services.inbox.endpoint_reload import DEFAULT_FILE, CurrentMap
from services.inbox.router import Router, decode_accepted
from shared.cloudevents import CloudEvent
from shared.envelope import Envelope
from shared.errors import UnavailableError, UnprocessableError
from shared.events import INBOX_ACCEPTED_TOPIC, INBOX_ACCEPTED_TYPE, VerificationRequested
from shared.received import Received
from tests.support.emulated_aws import Emulated
from tests.support.received import Record
from tests.support.recording import RecordingPublisher
from tests.unit.services.inbox.messages import MAP, as_bytes, message

_offsets = itertools.count()


def accepted(data: bytes, traceparent: str | None = None) -> Received[Envelope]:
    """Return an accepted message at a new place in the log."""
    event = CloudEvent("id", "//test", INBOX_ACCEPTED_TYPE, data, traceparent=traceparent)
    record = Record(INBOX_ACCEPTED_TOPIC, 3, next(_offsets), b"key", data, tuple(event.to_headers()))
    return Received(decode_accepted(event), event, record)


def router(emulated: Emulated, publisher: RecordingPublisher, endpoints: CurrentMap = MAP, **more: Any) -> Router:
    return Router(claims=Claims(emulated.tables), publisher=publisher, endpoints=endpoints, claim_hours=72.0, **more)


def fresh(count: int) -> list[bytes]:
    return [as_bytes(message()) for _ in range(count)]


def verifications(publisher: RecordingPublisher) -> list[str]:
    return [sent.key.decode() for sent in publisher.of(VerificationRequested) if sent.key]


async def test_ten_copies_over_two_routers_are_handled_once(emulated: Emulated) -> None:
    data = as_bytes(message())
    publishers = [RecordingPublisher(), RecordingPublisher()]
    routers = [router(emulated, publisher) for publisher in publishers]
    errors = await asyncio.gather(*(routers[number % 2].route([accepted(data)]) for number in range(10)))
    assert errors == [[None]] * 10
    assert sum(len(publisher.sent) for publisher in publishers) == 1


async def test_copies_within_one_batch_are_handled_once(emulated: Emulated, publisher: RecordingPublisher) -> None:
    data, other = fresh(2)
    batch = [accepted(data), accepted(other), accepted(data), accepted(data)]
    assert await router(emulated, publisher).route(batch) == [None] * 4
    assert len(verifications(publisher)) == len(set(verifications(publisher))) == 2


async def test_the_same_record_goes_on_after_a_crash_between_claim_and_publish(
    emulated: Emulated, publisher: RecordingPublisher
) -> None:
    record = accepted(as_bytes(message()))
    publisher.refusals = 1
    with pytest.raises(UnavailableError):
        await router(emulated, publisher).route([record])
    assert publisher.sent == []
    await router(emulated, publisher).route([record])
    await router(emulated, publisher).route([accepted(record.event.data)])
    assert len(publisher.sent) == 1


@pytest.mark.parametrize("count", [3, 30, 100, 101, 230])
async def test_a_large_batch_is_claimed_by_transactions_and_its_copies_are_dropped(
    emulated: Emulated, publisher: RecordingPublisher, count: int
) -> None:
    messages = fresh(count)
    before = messages[:: max(count // 5, 1)]
    await router(emulated, publisher).route([accepted(data) for data in before])
    assert len(publisher.sent) == len(before)
    batch = [accepted(data) for data in [*messages, *messages[-2:]]]
    assert await router(emulated, publisher).route(batch) == [None] * len(batch)
    assert len(verifications(publisher)) == len(set(verifications(publisher))) == count


async def test_a_batch_of_nothing_but_copies_publishes_nothing(
    emulated: Emulated, publisher: RecordingPublisher
) -> None:
    messages = fresh(10)
    await router(emulated, publisher).route([accepted(data) for data in messages])
    publisher.sent.clear()
    await router(emulated, publisher).route([accepted(data) for data in messages])
    assert publisher.sent == []


async def test_a_repeated_large_batch_after_a_crash_is_published_whole(
    emulated: Emulated, publisher: RecordingPublisher
) -> None:
    batch = [accepted(data) for data in fresh(120)]
    publisher.refusals = 1
    with pytest.raises(UnavailableError):
        await router(emulated, publisher).route(batch)
    await router(emulated, publisher).route(batch)
    assert len(verifications(publisher)) == 120


async def test_two_routers_with_the_same_messages_in_other_order_share_them(emulated: Emulated) -> None:
    messages = fresh(40)
    publishers = [RecordingPublisher(), RecordingPublisher()]
    batches = [[accepted(data) for data in messages], [accepted(data) for data in reversed(messages)]]

    async def route(number: int) -> None:
        while True:
            try:
                await router(emulated, publishers[number]).route(batches[number])
            except UnavailableError:
                continue  # transactions in each other's way: tried again, as a reader does
            return

    await asyncio.gather(route(0), route(1))
    routed = [*verifications(publishers[0]), *verifications(publishers[1])]
    assert len(routed) == len(set(routed)) == 40


async def test_the_same_message_from_another_case_of_the_same_domain_is_a_copy(
    emulated: Emulated, publisher: RecordingPublisher
) -> None:
    correlation = str(uuid.uuid4())
    for sender, written in (("shop.example", correlation), ("SHOP.example", correlation.upper())):
        await router(emulated, publisher).route([accepted(as_bytes(message(From=sender, Correlation=written)))])
    assert len(publisher.sent) == 1


async def test_a_message_whose_subject_is_not_handled_any_more_is_put_aside_alone(
    emulated: Emulated, publisher: RecordingPublisher
) -> None:
    batch = [accepted(as_bytes(message())), accepted(as_bytes(message(Subject="Other@Identity")))]
    errors = await router(emulated, publisher).route(batch)
    assert errors[0] is None
    assert isinstance(errors[1], UnprocessableError)
    assert len(publisher.sent) == 1


async def test_whose_message_is_discarded_behind_the_log_is_told_why_and_nobody_is_told_of_a_bug_or_of_a_copy(
    emulated: Emulated, publisher: RecordingPublisher, tmp_path: Path
) -> None:
    file, told = tmp_path / "endpoints.toml", list[tuple[str, str]]()
    file.write_text(DEFAULT_FILE.read_text().replace("VerifyLocator@Identity", "*@Identity"))

    class WithABug(CurrentMap):
        def find(self, subject: str) -> Route | None:
            if subject == "Buggy@Identity":
                raise ZeroDivisionError
            return super().find(subject)

    data = as_bytes(message())
    gone, body = as_bytes(message(Subject="Gone@Elsewhere")), as_bytes(message({"Locator": ""}))
    batch = [data, data, as_bytes(message(Subject="Buggy@Identity")), gone, body]
    routing = router(
        emulated, publisher, WithABug(file), discarded=lambda envelope, why: told.append((envelope.correlation, why))
    )
    await routing.route([accepted(one) for one in batch])
    assert [correlation for correlation, _ in told] == [accepted(one).data.correlation for one in (gone, body)]
    assert told[0][1] == "Header.Subject: not handled here"
    assert told[1][1].startswith("Body.Locator: ")


async def test_a_message_that_met_a_bug_is_handled_when_it_comes_back_at_another_place(
    emulated: Emulated, publisher: RecordingPublisher, tmp_path: Path
) -> None:
    file = tmp_path / "endpoints.toml"
    file.write_text(DEFAULT_FILE.read_text().replace("VerifyLocator@Identity", "*@Identity"))
    data, good = as_bytes(message(Subject="Buggy@Identity")), as_bytes(message())

    class WithABug(CurrentMap):
        def find(self, subject: str) -> Route | None:
            if subject == "Buggy@Identity":
                raise ZeroDivisionError
            return super().find(subject)

    buggy = router(emulated, publisher, WithABug(file))
    errors = await buggy.route([accepted(data), accepted(good)])
    assert isinstance(errors[0], ZeroDivisionError)
    assert errors[1] is None
    assert await router(emulated, publisher, CurrentMap(file)).route([accepted(data)]) == [None]
    assert len(verifications(publisher)) == 2


async def test_nothing_is_published_while_the_store_is_away(publisher: RecordingPublisher, emulated: Emulated) -> None:
    class Away(Claims):
        async def claim(self, claims: Any) -> set[str]:
            raise UnavailableError("dynamodb.PutItem: ConnectTimeoutError")

    away = Router(claims=Away(emulated.tables), publisher=publisher, endpoints=MAP, claim_hours=72.0)
    with pytest.raises(UnavailableError):
        await away.route([accepted(as_bytes(message()))])
    assert publisher.sent == []


async def test_an_empty_batch_is_nothing(emulated: Emulated, publisher: RecordingPublisher) -> None:
    assert await router(emulated, publisher).route([]) == []


async def test_a_claim_outlives_the_senders_retries(emulated: Emulated, publisher: RecordingPublisher) -> None:
    record = accepted(as_bytes(message()))
    await router(emulated, publisher).route([record])
    item = await emulated.tables.get("claims", {"message": record.data.identity})
    assert item is not None
    assert abs(int(item["expires_at"]) - time.time() - 72 * 3600) < 60


@pytest.mark.parametrize("count", [1, 2, 3, 250])
async def test_claims_hold_for_their_owner_again_and_for_nobody_else(emulated: Emulated, count: int) -> None:
    claims, names = Claims(emulated.tables), [str(uuid.uuid4()) for _ in range(count)]
    mine = [Claim(name, f"mine/{name}", 2_000_000_000) for name in names]
    theirs = [Claim(name, f"theirs/{name}", 2_000_000_000) for name in names]
    owners = {claim.owner for claim in mine}
    assert await claims.claim(mine) == owners
    assert await claims.claim(theirs) == set()
    assert await claims.claim(mine) == owners


def test_an_event_of_another_type_is_not_taken_for_a_message() -> None:
    with pytest.raises(UnprocessableError, match=r"is not facescan\.inbox\.accepted\.v1"):
        decode_accepted(CloudEvent("id", "//test", "other.v1", as_bytes(message())))


@pytest.mark.parametrize("data", [b"", b"{}", b"null", b"\xff"])
def test_junk_in_the_log_is_unprocessable(data: bytes) -> None:
    with pytest.raises(UnprocessableError):
        decode_accepted(CloudEvent("id", "//test", INBOX_ACCEPTED_TYPE, data))
