"""What of the topics the page shows, and the second opinion on a signed message."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from cli.playground.facts import event_fact, message_in, second_opinion, step_in
from emulators.envelopes import Generation, public_key_txt, sign
from emulators.keys_over_dns import Resolver
from emulators.mailbox import format_timestamp
from emulators.world import make_key
from shared.cloudevents import CloudEvent
from shared.events import EventData, PostRequested, PostSigned

ID = "0a6c1f3e-2c7e-5f1a-8f64-0a1b2c3d4e5f"
SECRET = "https://scan.id.example/scan/a-token"


@dataclass
class Record:
    """A record as Kafka's client gives it."""

    value: bytes
    headers: list[tuple[str, bytes]]
    topic: str = "facescan.post.requested"
    partition: int = 3
    offset: int = 41
    timestamp: int = 1_700_000_000_000
    key: bytes = field(default=b"phone.example")


def _record(data: EventData) -> Record:
    event = CloudEvent("e-1", "facescan.session", data.type, data.to_json(), time=datetime(2026, 1, 1, tzinfo=UTC))
    return Record(event.data, list(event.to_headers()), data.topic)


def _request() -> PostRequested:
    body = {"Wallet": "w", "Popup": ID, "Url": SECRET}
    return PostRequested(to="phone.example", subject="OpenPopup@Wallet", body=body, order_key=ID)


@pytest.mark.parametrize("whole", [True, False])
def test_only_what_the_page_asked_for_is_shown_whole(whole: bool) -> None:
    record = _record(_request())
    step = step_in(record)
    assert step is not None
    fact = event_fact(record, step, whole=whole)
    assert fact["station"] == "session"
    assert fact["place"] == "facescan.post.requested/3@41"
    assert (SECRET in json.dumps(fact)) is whole


def test_the_station_of_a_post_is_who_asked_for_it() -> None:
    closing = _record(_request().model_copy(update={"subject": "ClosePopup@Wallet"}))
    step = step_in(closing)
    assert step is not None
    assert event_fact(closing, step, whole=False)["station"] == "verdict"


def test_the_message_in_a_signed_post_is_the_exact_text_and_no_other_event_has_one() -> None:
    signed = PostSigned(request=_request(), message='{"a":  1}', signed_at=datetime(2026, 1, 1, tzinfo=UTC))
    assert message_in(_record(signed)) == '{"a":  1}'
    assert message_in(_record(_request())) is None
    assert message_in(Record(b"junk", [])) is None
    assert step_in(Record(b"junk", [])) is None


def _signed(generation: Generation, **changes: Any) -> tuple[str, str]:
    key = make_key()
    header = {"From": "id.example", "To": "bank.example", "Correlation": ID, "Subject": "LocatorVerified@Domain"}
    message = sign(header | {"Timestamp": format_timestamp(0)}, {"Result": "SUCCESS"}, key, "pw1", generation)
    return orjson.dumps(message | changes).decode(), public_key_txt(key)


@dataclass(frozen=True, slots=True)
class OneKey(Resolver):
    """DNS with one record under every name."""

    record: str = ""

    async def key_record(self, name: str) -> str:
        return self.record


@pytest.mark.parametrize("generation", list(Generation))
async def test_a_true_message_is_verified_and_the_key_is_named(generation: Generation) -> None:
    text, record = _signed(generation)
    opinion = await second_opinion(text, OneKey("127.0.0.1", 1, record))
    assert opinion["verified"]
    assert opinion["problem"] is None
    assert opinion["key_name"] == generation.key_name("id.example", "pw1")
    assert opinion["key_kind"] == "Ed25519"
    assert opinion["text"] == text


async def test_a_changed_message_is_not_verified_and_the_problem_is_said() -> None:
    text, record = _signed(Generation.NLWEB, Body={"Result": "FAILURE"})
    opinion = await second_opinion(text, OneKey("127.0.0.1", 1, record))
    assert not opinion["verified"]
    assert opinion["problem"] == "Hash does not fit the message"
    assert not (await second_opinion("no message", OneKey("127.0.0.1", 1, record)))["verified"]
