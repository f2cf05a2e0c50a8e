"""Feedback@Buffer: to whom, how often, and about what never."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from emulators.envelopes import Generation as Emulated_Generation
from services.inbox.feedback import Discard, Feedback
from services.inbox.manifests import Manifests, buffer_in, manifest_request
from shared.envelope import parse
from shared.events import PostRequested
from shared.generation import Generation
from shared.outbound import OutboundClient, Target, any_target
from shared.outbound_addresses import AnyAddress
from tests.support.emulated_aws import Emulated
from tests.support.recording import RecordingPublisher
from tests.unit.services.inbox.handlers import handling
from tests.unit.services.inbox.messages import MOMENT, as_bytes, message


class Names:
    def __init__(self, buffer: str | None = "buffer.example") -> None:
        self.buffer = buffer

    async def buffer_of(self, domain: str, generation: Generation) -> str | None:
        return self.buffer


def discard(sender: str, subject: str = "A@B") -> Discard:
    document = message(From=sender, Subject=subject, generation=Emulated_Generation.POLLYWEB)
    return Discard(parse(as_bytes(document)), "Refused.")


def feedback(emulated: Emulated, publisher: RecordingPublisher, most: int = 3, names: Names | None = None) -> Feedback:
    return Feedback(emulated.tables, publisher, names or Names(), most_per_hour=most, clock=lambda: datetime.now(UTC))


async def test_a_discard_is_told_to_the_buffer_in_the_sender_s_generation(
    emulated: Emulated, publisher: RecordingPublisher
) -> None:
    told = discard("told.example")
    assert await feedback(emulated, publisher).give(told) == "given"
    asked = PostRequested.model_validate_json(publisher.of(PostRequested)[0].value or b"")
    assert (asked.to, asked.subject, asked.generation) == ("buffer.example", "Feedback@Buffer", Generation.POLLYWEB)
    assert asked.body == {
        "Sender": "told.example", "Correlation": told.envelope.correlation, "Status": "Discarded", "Reason": "Refused.",
    }  # fmt: skip


async def test_a_sender_is_told_so_often_in_an_hour_over_all_replicas(
    emulated: Emulated, publisher: RecordingPublisher
) -> None:
    replicas = [feedback(emulated, publisher), feedback(emulated, publisher)]
    outcomes = [await replicas[number % 2].give(discard("often.example")) for number in range(6)]
    assert outcomes == ["given"] * 3 + ["too_many"] * 3
    assert await replicas[0].give(discard("other.example")) == "given"


async def test_without_a_buffer_nobody_is_told(emulated: Emulated, publisher: RecordingPublisher) -> None:
    assert await feedback(emulated, publisher, names=Names(None)).give(discard("nobuffer.example")) == "no_buffer"
    assert publisher.sent == []


@pytest.mark.parametrize(
    ("sender", "subject"),
    [
        ("a.example", "Feedback@Buffer"),
        ("Anonymous", "A@B"),
        ("125a5c75-cb72-43d2-9695-37026dfcaa48", "A@B"),
    ],
)
async def test_feedback_is_never_given_on_feedback_or_to_what_is_no_domain(
    emulated: Emulated, publisher: RecordingPublisher, sender: str, subject: str
) -> None:
    giving = feedback(emulated, publisher)
    giving.note(discard(sender, subject).envelope, "Refused.")
    assert giving._waiting.empty()


@pytest.mark.parametrize(
    ("answer", "buffer"),
    [
        (b'{"Response": {"About": {"Domain": "a.example", "Feedback": "B.example"}}}', "b.example"),
        (b'{"About": {"Feedback": "b.example"}}', "b.example"),
        (b'{"About": {"Domain": "other.example", "Feedback": "b.example"}}', None),
        (b'{"About": {"Domain": "a.example"}}', None),
        (b'{"About": {"Feedback": "127.0.0.1"}}', None),
        (b'{"About": 1}', None),
        (b'{"Response": 1}', None),
        (b"[]", None),
        (b"<html>", None),
    ],
)
def test_a_manifest_names_its_buffer_or_none(answer: bytes, buffer: str | None) -> None:
    assert buffer_in(answer, "a.example") == buffer


@pytest.mark.parametrize("generation", Generation)
def test_the_question_for_a_manifest_is_an_unsigned_message(generation: Generation) -> None:
    asked = parse(manifest_request("a.example", generation, MOMENT))
    assert (asked.sender, asked.subject, asked.generation) == ("Anonymous", "Manifest@Domain", generation)
    assert asked.signature is None


async def test_a_manifest_is_asked_for_once_in_its_time() -> None:
    now = [MOMENT]
    reply = json.dumps({"About": {"Feedback": "b.example"}})
    async with handling(reply=reply) as handler:

        def target(_domain: str, _generation: Generation) -> Target:
            return any_target(handler.url)

        manifests = Manifests(lambda: OutboundClient(rules=AnyAddress()), clock=lambda: now[0], target=target)
        for _ in range(3):
            assert await manifests.buffer_of("a.example", Generation.NLWEB) == "b.example"
        assert len(handler.got) == 1
        now[0] += timedelta(hours=2)
        assert await manifests.buffer_of("a.example", Generation.NLWEB) == "b.example"
        assert len(handler.got) == 2
        await manifests.close()
