"""What the topics say, as steps and as lines."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

from cli.timeline import Step, in_order, step_of
from cli.watch import line
from shared.cloudevents import CloudEvent
from shared.envelope import seal
from shared.events import (
    INBOX_ACCEPTED_TYPE,
    DeadlinePassed,
    EventData,
    Outcome,
    PostRequested,
    PostSettled,
    PostSigned,
    VerdictReached,
    derived_id,
)
from shared.generation import Generation
from shared.keys import SigningKey

ID = "125a5c75-cb72-43d2-9695-37026dfcaa48"
NOW = datetime(2026, 1, 31, 12, 0, 0, 250_000, tzinfo=UTC)
LATER_MILLISECONDS = int(NOW.timestamp() * 1000) + 6000


def step(data: EventData) -> Step:
    event = CloudEvent(id="1", source="//id.example/x", type=data.type, data=data.to_json(), time=NOW)
    found = step_of([(name, value) for name, value in event.to_headers()], event.data, LATER_MILLISECONDS)
    assert found is not None
    return found


def test_an_accepted_message_belongs_to_the_verification_that_it_will_become() -> None:
    message = seal(
        generation=Generation.NLWEB,
        sender="shop.example",
        receiver="id.example",
        subject="VerifyLocator@Identity",
        body={"Locator": "L"},
        correlation=ID,
        timestamp=NOW,
        key=SigningKey.generate("s1"),
    )
    event = CloudEvent(id="1", source="//id.example/inbox", type=INBOX_ACCEPTED_TYPE, data=message, time=NOW)
    found = step_of([(name, value) for name, value in event.to_headers()], message, 0)
    assert found == Step(
        NOW.timestamp(),
        derived_id("verification", "shop.example", ID),
        "inbox.accepted",
        "VerifyLocator@Identity from shop.example",
    )


def test_a_post_is_told_without_its_body() -> None:
    request = PostRequested(
        to="wallet.example", subject="OpenPopup@Wallet", body={"Popup": ID, "Url": "https://x/scan/secret"}
    )
    signed = PostSigned(request=request, message="secret", signed_at=NOW)
    for found in (step(request), step(signed)):
        assert (found.verification_id, found.to) == (ID, "wallet.example")
        assert "secret" not in str(found.as_json()) + line(found, 0.0)


def test_a_delivery_says_how_it_ended() -> None:
    data = {"to": "shop.example", "subject": "A@B", "correlation": ID, "attempts": 2, "order_key": ID}
    assert step(PostSettled(**data, outcome="delivered", reason="ok")).detail == "A@B delivered"
    assert step(PostSettled(**data, outcome="given_up", reason="refused")).detail == "A@B given up: refused"


def test_a_deadline_happened_when_its_record_appeared() -> None:
    assert step(DeadlinePassed(verification_id=ID)).at == LATER_MILLISECONDS / 1000


def test_an_event_of_somebody_else_is_no_step() -> None:
    assert step_of([], b"junk", 0) is None
    assert step_of([("ce_specversion", b"1.0")], None, 0) is None


def test_a_line_and_a_json_object_of_a_verdict() -> None:
    found = step(VerdictReached(verification_id=ID, outcome=Outcome.SUCCESS, decided_at=NOW))
    assert line(found, 0.0125).endswith(f"{ID}      +12 ms  verdict.reached        success")
    assert found.as_json() == {
        "at": "2026-01-31T12:00:00.250Z",
        "verification_id": ID,
        "step": "verdict.reached",
        "detail": "success",
    }


async def test_what_is_past_is_told_in_the_order_of_time_and_what_comes_as_it_comes() -> None:
    begun = asyncio.Event()

    async def steps() -> AsyncIterator[Step]:
        for at in (3.0, 1.0, 2.0):
            yield Step(at, ID, "verdict.reached")
        await begun.wait()
        for at in (5.0, 4.0):
            yield Step(at, ID, "verdict.reached")

    told = []
    async for one in in_order(steps(), pause_seconds=0.2):
        told.append(one.at)
        begun.set()
    assert told == [1.0, 2.0, 3.0, 5.0, 4.0]
    assert [one.at async for one in in_order(steps(), pause_seconds=5)] == [1.0, 2.0, 3.0, 4.0, 5.0]
