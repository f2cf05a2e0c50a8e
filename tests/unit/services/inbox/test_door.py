"""The front door over real HTTP, before a real (embedded) broker."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from emulators.envelopes import Generation
from shared.broker import Publisher
from shared.cloudevents import parse_record
from shared.events import INBOX_ACCEPTED_TOPIC, INBOX_ACCEPTED_TYPE
from shared.resolver import Answer, KeyAnswer
from shared.settings import KafkaSettings
from tests.support.readers import all_records
from tests.support.recording import RecordingPublisher
from tests.unit.emulators.processes import free_port, running
from tests.unit.services.inbox.doors import serving_door
from tests.unit.services.inbox.messages import (
    MOMENT,
    NAMES,
    OTHER_KEY,
    ScriptedResolver,
    as_bytes,
    message,
)

LARGEST = 4096


def a_publisher(bootstrap: str) -> Publisher:
    return Publisher(KafkaSettings(kafka_bootstrap=bootstrap), "//identity.example/inbox")


@asynccontextmanager
async def a_door(publisher: Publisher, resolver: ScriptedResolver | None = None) -> AsyncIterator[str]:
    async with serving_door(publisher, resolver, largest_body_bytes=LARGEST) as server:
        yield f"http://{server.address}/inbox"


@pytest.fixture
async def door(publisher: RecordingPublisher) -> AsyncIterator[str]:
    async with a_door(publisher) as url:
        yield url


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as session:
        yield session


async def refusal(http: aiohttp.ClientSession, url: str, data: Any) -> tuple[int, str]:
    """Post and return status and reason of a refusal, which is always a problem document."""
    async with http.post(url, data=data) as answer:
        problem = await answer.json(content_type="application/problem+json")
        assert problem["status"] == answer.status
        assert isinstance(problem["title"], str)
        assert isinstance(problem["detail"], str)
        if answer.status == 503:
            assert int(answer.headers["retry-after"]) > 0
        return answer.status, problem["reason"]


async def raw(url: str, head: str, body: bytes = b"", *, end: bool = False) -> bytes:
    """Return what the server says to bytes of our own choice."""
    host, _, port = url.removeprefix("http://").removesuffix("/inbox").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(f"POST /inbox HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{head}\r\n\r\n".encode() + body)
        await writer.drain()
        if end:
            writer.write_eof()
        async with asyncio.timeout(5):
            return await reader.read()
    finally:
        writer.close()


@pytest.mark.parametrize("generation", Generation)
async def test_an_accepted_message_is_in_the_log_byte_for_byte_when_it_is_answered_200(
    kafka: str, http: aiohttp.ClientSession, generation: Generation
) -> None:
    document = message(generation=generation)
    data = json.dumps(document, indent=3, ensure_ascii=True).encode()
    publisher = a_publisher(kafka)
    await publisher.start()
    try:
        async with a_door(publisher) as url, http.post(url, data=data) as answer:
            assert (answer.status, await answer.read()) == (200, b"{}")
            assert answer.content_type == "application/json"
            records = [record for record in await all_records(kafka, INBOX_ACCEPTED_TOPIC) if record.value == data]
    finally:
        await publisher.stop()
    (record,) = records
    event = parse_record(record.headers, record.value)
    assert (event.type, event.source) == (INBOX_ACCEPTED_TYPE, "//identity.example/inbox")
    assert len(record.key) == 64


async def test_a_copy_is_answered_200_and_has_the_same_event_id_and_key(
    door: str, http: aiohttp.ClientSession, publisher: RecordingPublisher
) -> None:
    data = as_bytes(message())
    for _ in range(2):
        async with http.post(door, data=data) as answer:
            assert answer.status == 200
    first, copy = publisher.sent
    assert (first.event.id, first.key) == (copy.event.id, copy.key)


async def test_a_wrong_signature_is_answered_401(door: str, http: aiohttp.ClientSession) -> None:
    assert await refusal(http, door, as_bytes(message(key=OTHER_KEY))) == (401, "signature_wrong")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer.ABSENT, (401, "key_absent")),
        (Answer.INSECURE, (401, "domain_without_dnssec")),
        (Answer.BOGUS, (401, "dnssec_bogus")),
        (Answer.UNDECIDED, (503, "key_undecided")),
    ],
)
async def test_dns_that_gives_no_key_is_answered_by_its_reason(
    publisher: RecordingPublisher, http: aiohttp.ClientSession, answer: Answer, expected: tuple[int, str]
) -> None:
    resolver = ScriptedResolver(dict.fromkeys(NAMES.values(), KeyAnswer(answer)))
    async with a_door(publisher, resolver) as url:
        assert await refusal(http, url, as_bytes(message())) == expected
    assert publisher.sent == []


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not_json"),
        (b"not json", "not_json"),
        (b"\xff\xfe", "not_json"),
        (b"[" * 4000, "too_complex"),
        (b'{"a":1}', "not_a_message"),
        (as_bytes(message() | {"🤝": "nlweb.org/MSG:2.0"}), "unsupported_version"),
        (as_bytes(message(To="other.example")), "wrong_receiver"),
        (as_bytes(message(at=MOMENT - timedelta(hours=1))), "outside_window"),
        (as_bytes(message(Subject="Other@Identity")), "unexpected_subject"),
        (as_bytes(message({"Locator": 1})), "unexpected_body"),
    ],
)
async def test_what_does_not_fit_is_answered_422_and_not_stored(
    door: str, http: aiohttp.ClientSession, publisher: RecordingPublisher, data: bytes, reason: str
) -> None:
    assert await refusal(http, door, data) == (422, reason)
    assert publisher.sent == []


async def test_a_body_beyond_the_limit_is_answered_413_by_its_announced_length_alone(door: str) -> None:
    answer = await raw(door, f"Content-Length: {LARGEST + 1}")
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b'"reason":"too_large"' in answer


async def test_a_body_of_exactly_the_limit_is_read(door: str, http: aiohttp.ClientSession) -> None:
    assert await refusal(http, door, b" " * LARGEST) == (422, "not_json")
    assert await refusal(http, door, b" " * (LARGEST + 1)) == (413, "too_large")


async def test_chunks_beyond_the_limit_are_answered_413_before_their_end(door: str) -> None:
    chunks = b"400\r\n" + b" " * 1024 + b"\r\n"
    answer = await raw(door, "Transfer-Encoding: chunked", chunks * 5)
    assert answer.startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("length", ["-1", "abc", "1, 2", "99999999999999999999999999"])
async def test_a_content_length_that_is_no_length_is_refused(
    door: str, length: str, publisher: RecordingPublisher
) -> None:
    answer = await raw(door, f"Content-Length: {length}", b"{}")
    assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 413 "))
    assert publisher.sent == []


async def test_a_body_shorter_than_announced_is_not_handled(door: str, publisher: RecordingPublisher) -> None:
    data = as_bytes(message())
    answer = await raw(door, f"Content-Length: {len(data) + 1}", data, end=True)
    assert answer == b""
    assert publisher.sent == []


async def test_bytes_beyond_the_announced_length_are_not_part_of_the_message(
    door: str, publisher: RecordingPublisher
) -> None:
    data = as_bytes(message())
    answer = await raw(door, f"Content-Length: {len(data)}", data + b"trailing")
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert publisher.sent[0].value == data


async def test_a_message_in_chunks_is_accepted(door: str, http: aiohttp.ClientSession) -> None:
    data = as_bytes(message())

    async def chunks() -> AsyncIterator[bytes]:
        yield data[:100]
        yield data[100:]

    async with http.post(door, data=chunks()) as answer:
        assert answer.status == 200


async def test_the_door_has_one_path_and_one_method(door: str, http: aiohttp.ClientSession) -> None:
    async with http.get(door) as answer:
        assert (answer.status, answer.headers["allow"]) == (405, "POST")
    async with http.post(door + "/x", data=b"{}") as answer:
        assert answer.status == 404


async def test_a_broker_that_was_never_reached_is_answered_503(http: aiohttp.ClientSession) -> None:
    async with a_door(a_publisher(f"127.0.0.1:{free_port()}")) as url:
        assert await refusal(http, url, as_bytes(message())) == (503, "not_stored")


async def test_a_broker_that_goes_away_is_answered_503_while_the_sender_still_waits(
    http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    file = tmp_path / "address"
    with running("emulators.kafka", "--address-file", str(file)) as (process, _):
        publisher = a_publisher(file.read_text().strip())
        await publisher.start()
        async with a_door(publisher) as url:
            async with http.post(url, data=as_bytes(message())) as answer:
                assert answer.status == 200
            process.kill()
            process.wait()
            began = time.monotonic()
            assert await refusal(http, url, as_bytes(message())) == (503, "not_stored")
            assert time.monotonic() - began < 10


async def test_a_refusal_of_the_broker_is_answered_503_and_the_next_try_200(
    door: str, http: aiohttp.ClientSession, publisher: RecordingPublisher
) -> None:
    publisher.refusals, data = 1, as_bytes(message())
    assert await refusal(http, door, data) == (503, "not_stored")
    assert publisher.sent == []
    async with http.post(door, data=data) as answer:
        assert answer.status == 200
    assert len(publisher.sent) == 1
