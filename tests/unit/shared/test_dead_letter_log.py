"""Dead letters: found, replayed once as they were, and told when they are settled already."""

import asyncio
import time
import uuid
from collections.abc import Iterator

import pytest

from shared.dead_letter_log import DeadLetter, DeadLetterLog, SettledError
from shared.dead_letters import PREFIX, Side
from shared.errors import UnavailableError, UnprocessableError
from shared.events import PostRequested, PostSigned
from shared.received import GROUP_HEADER, ORIGIN_HEADER
from shared.topics import DEAD_THEIRS
from tests.support.emulated_aws import Emulated
from tests.support.readers import Writer
from tests.support.recording import RecordingPublisher
from tests.unit.emulators.processes import running


def where(topic: str, **more: str) -> list[tuple[str, bytes | None]]:
    marks = {"topic": topic, "partition": "3", "offset": "7", "group": "g", "reason": "given up", "time": "1.5", **more}
    return [("ce_id", b"e-1"), *((PREFIX + name, value.encode()) for name, value in marks.items())]


@pytest.fixture(scope="module")
def aws() -> Iterator[Emulated]:
    with running("emulators.aws") as (_, address):
        yield Emulated(f"http://{address}")


async def test_a_dead_letter_is_replayed_once_as_it_was_also_by_two_at_once(
    aws: Emulated, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.mktemp("kafka") / "address"
    with running("emulators.kafka", "--address-file", str(file)):
        writer = Writer(file.read_text().strip())
        await writer.start()
        mark = uuid.uuid4().bytes
        await writer.write_raw(DEAD_THEIRS, mark, headers=where("facescan.post.requested"))
        await writer.stop()
        log = DeadLetterLog(file.read_text().strip(), aws.tables, time.time)
        (letter,) = [one async for one in log.read((Side.THEIRS,)) if one.record.value == mark]
    publisher = RecordingPublisher()
    outcomes = await asyncio.gather(*(log.replay(letter, publisher) for _ in range(3)), return_exceptions=True)
    assert sum(outcome is None for outcome in outcomes) == 1
    assert sum(isinstance(outcome, SettledError) for outcome in outcomes) == 2
    (sent,) = publisher.sent
    assert (sent.topic, sent.key, sent.value) == ("facescan.post.requested", b"key", mark)
    assert dict(sent.headers) == {
        "ce_id": b"e-1", GROUP_HEADER: b"g", ORIGIN_HEADER: b"facescan.post.requested/3/7"
    }  # fmt: skip
    assert await log.settled(letter) == "replayed"
    with pytest.raises(SettledError, match="replayed already"):
        await log.drop(letter)


async def test_a_replay_that_broke_off_is_carried_on_a_minute_later_and_ends(aws: Emulated) -> None:
    now, publisher = [1000.0], RecordingPublisher()
    log = DeadLetterLog("127.0.0.1:1", aws.tables, lambda: now[0])
    letter = letter_of(b"{}", where("facescan.post.requested"), offset=uuid.uuid4().int % 10**9)
    publisher.refusals = 1
    with pytest.raises(UnavailableError):
        await log.replay(letter, publisher)
    assert await log.settled(letter) == "replaying"
    with pytest.raises(SettledError, match="replaying already"):
        await log.replay(letter, publisher)
    now[0] += 61
    assert await log.settled(letter) == ""
    outcomes = await asyncio.gather(*(log.replay(letter, publisher) for _ in range(3)), return_exceptions=True)
    assert sum(outcome is None for outcome in outcomes) == 1
    assert len(publisher.sent) == 1
    now[0] += 1000
    assert await log.settled(letter) == "replayed"


def letter_of(value: bytes, headers: list[tuple[str, bytes | None]], offset: int = 1) -> DeadLetter:
    class Record:
        topic, partition, key = DEAD_THEIRS, 0, b"shop.example"

    record = Record()
    record.value, record.headers, record.offset = value, headers, offset  # type: ignore[attr-defined] # a consumer's record, as far as needed
    return DeadLetter(record, Side.THEIRS)


def test_a_message_that_was_given_up_is_asked_for_again_with_its_correlation_and_a_fresh_start() -> None:
    request = PostRequested(to="shop.example", subject="A@B", body={}, correlation=str(uuid.uuid4()), attempt=8)
    signed = PostSigned(request=request, message="{}", signed_at="2026-11-23T00:00:00Z")
    topic, key, value, _ = letter_of(signed.to_json(), where(PostSigned.topic)).revived()
    again = PostRequested.model_validate_json(value or b"")
    assert (topic, key, again.correlation, again.attempt) == (
        PostRequested.topic,
        b"shop.example",
        request.correlation,
        1,
    )


def test_what_was_cut_is_not_replayed_and_no_description_holds_contents() -> None:
    letter = letter_of(b"secret contents", where("facescan.post.requested", cut="2000000"))
    with pytest.raises(UnprocessableError, match="too large"):
        letter.revived()
    assert "secret" not in str(letter.describe())
    assert letter.describe()["destination"] == "shop.example"
