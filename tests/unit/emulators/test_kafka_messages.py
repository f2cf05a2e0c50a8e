"""What the embedded broker's relay reads of Kafka's protocol, held against the layouts that the client library has."""

from __future__ import annotations

from typing import Any

import pytest
from aiokafka.protocol import fetch as fetches
from aiokafka.protocol import produce as produces
from aiokafka.protocol.admin import ApiVersionResponse_v0
from aiokafka.protocol.types import Array, Bytes, Int8, Int16, Int32, Int64, Schema, String
from hypothesis import given
from hypothesis import strategies as st

from emulators import kafka_messages
from emulators.kafka_messages import FETCH, NEWEST, PRODUCE, MessageError

FETCHES = [getattr(fetches, f"FetchRequest_v{version}") for version in range(NEWEST[FETCH] + 1)]
PRODUCES = [getattr(produces, f"ProduceRequest_v{version}") for version in range(NEWEST[PRODUCE] + 1)]
_BITS = {Int8: 8, Int16: 16, Int32: 32, Int64: 64}


def values(kind: Any) -> st.SearchStrategy[Any]:
    """Anything that the library can write for a type or a layout of its own."""
    if isinstance(kind, Schema):
        return st.tuples(*(values(field) for field in kind.fields))
    if isinstance(kind, Array):
        return st.lists(values(kind.array_of), max_size=3)
    if isinstance(kind, String):
        return st.text("abc.-é", max_size=12)
    if kind is Bytes:
        return st.binary(max_size=40)
    bits = _BITS[kind]
    return st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def fields(kind: Any) -> st.SearchStrategy[dict[str, Any]]:
    return values(kind.SCHEMA).map(lambda found: dict(zip(kind.SCHEMA.names, found, strict=True)))


def sent(kind: Any, given_fields: dict[str, Any], *, client: str = "somebody") -> bytes:
    """A request as a client sends it, without its length."""
    request = kind(**given_fields)
    return bytes(request.build_request_header(7, client).encode() + request.encode())


@pytest.mark.parametrize("kind", FETCHES)
@given(data=st.data())
def test_a_fetch_is_asked_as_it_was_but_without_a_wait(kind: Any, data: st.DataObject) -> None:
    asked = data.draw(fields(kind))
    message = sent(kind, asked)
    header = kafka_messages.request_header(message)
    assert (header.key, header.version, header.correlation, header.is_read) == (FETCH, kind.API_VERSION, 7, True)
    found = kafka_messages.fetch(message, header)
    assert found.message == sent(kind, asked | {"max_wait_time": 0})
    assert found.wait_seconds == max(0, asked["max_wait_time"]) / 1000
    assert found.topics == {topic for topic, *_ in asked["topics"]}


@pytest.mark.parametrize("kind", PRODUCES)
@given(data=st.data())
def test_a_produce_names_its_topics_and_whether_it_is_answered(kind: Any, data: st.DataObject) -> None:
    asked = data.draw(fields(kind))
    message = sent(kind, asked, client="")
    is_answered, topics = kafka_messages.produced(message, kafka_messages.request_header(message))
    assert is_answered == (asked["required_acks"] != 0)
    assert topics == {topic for topic, _ in asked["topics"]}


@pytest.mark.parametrize("kind", FETCHES)
@given(data=st.data())
def test_a_response_says_nothing_only_without_records_and_without_errors(kind: Any, data: st.DataObject) -> None:
    answered = data.draw(fields(kind.RESPONSE_TYPE))
    response = kind.RESPONSE_TYPE(**answered)
    message = bytes(4) + bytes(response.encode())
    partitions = [partition for _, topic in answered["topics"] for partition in topic]
    nothing = not answered.get("error_code") and all(one[1] == 0 and not one[-1] for one in partitions)
    assert kafka_messages.fetched_nothing(message, kind.API_VERSION) == nothing


@given(st.binary(max_size=60))
def test_what_is_no_message_is_refused_or_read_but_never_breaks_the_relay(message: bytes) -> None:
    for read in (
        lambda: kafka_messages.fetch(message, kafka_messages.request_header(message)),
        lambda: kafka_messages.produced(message, kafka_messages.request_header(message)),
        lambda: kafka_messages.fetched_nothing(message, 4),
        lambda: kafka_messages.readable_versions(message),
        lambda: kafka_messages.correlation_of(message),
    ):
        try:
            read()
        except MessageError:
            continue


def test_versions_that_are_not_read_are_not_offered() -> None:
    offered = ApiVersionResponse_v0(error_code=0, api_versions=[(PRODUCE, 0, 10), (FETCH, 4, 16), (3, 0, 13)])
    message = kafka_messages.readable_versions(bytes(4) + bytes(offered.encode()))
    assert ApiVersionResponse_v0.decode(message[4:]).api_versions == [(PRODUCE, 0, 8), (FETCH, 4, 11), (3, 0, 13)]
