"""CloudEvents in both modes, from publishers of every kind."""

import base64
import contextlib
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.cloudevents import CloudEvent, CloudEventError, Header, parse_record

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
BINARY: list[Header] = [("ce_specversion", b"1.0"), ("ce_id", b"1"), ("ce_source", b"//a"), ("ce_type", b"t.v1")]
STRUCTURED: list[Header] = [("content-type", b"application/cloudevents+json; charset=UTF-8")]
DOCUMENT: dict[str, Any] = {"specversion": "1.0", "id": "1", "source": "//a", "type": "t.v1", "data": {"a": 1}}

events = st.builds(
    CloudEvent,
    id=texts,
    source=texts,
    type=texts,
    data=st.binary(),
    subject=st.none() | texts,
    time=st.none() | st.datetimes(timezones=st.just(UTC)),
    traceparent=st.none() | texts,
    content_type=st.sampled_from(["application/json", "text/plain", "application/octet-stream"]),
)


def structured(**members: Any) -> bytes:
    return orjson.dumps({**DOCUMENT, **members})


def refused(headers: list[Header], value: bytes | None) -> str:
    with pytest.raises(CloudEventError) as caught:
        parse_record(headers, value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@given(events)
def test_what_is_written_in_binary_mode_is_read_again(event: CloudEvent) -> None:
    again = parse_record(event.to_headers(), event.data)
    if event.time is None:
        assert again.time is not None
        event = event._replace(time=again.time)
    assert again == event


@given(st.binary())
def test_the_bytes_of_binary_mode_stay_as_they_came(data: bytes) -> None:
    assert parse_record(BINARY, data).data == data


@given(st.recursive(st.none() | st.booleans() | texts | st.integers(-(2**53), 2**53), st.lists, max_leaves=10))
def test_the_data_of_structured_mode_is_json_again(data: Any) -> None:
    event = parse_record(STRUCTURED, structured(data=data))
    assert orjson.loads(event.data) == data
    assert (event.id, event.source, event.type, event.content_type) == ("1", "//a", "t.v1", "application/json")


@given(st.binary())
def test_data_base64_of_structured_mode_are_the_bytes(data: bytes) -> None:
    value = structured(data_base64=base64.b64encode(data).decode(), datacontenttype="application/octet-stream")
    event = parse_record(STRUCTURED, value)
    assert (event.data, event.content_type) == (data, "application/octet-stream")


def test_both_modes_carry_the_optional_attributes() -> None:
    moment = datetime(2026, 1, 31, 12, 0, 0, 5000, tzinfo=UTC)
    optional = {"subject": "s", "time": "2026-01-31T12:00:00.005Z", "traceparent": "00-ab-cd-01"}
    in_headers = [*BINARY, *((f"ce_{name}", text.encode()) for name, text in optional.items())]
    for event in (parse_record(in_headers, b"{}"), parse_record(STRUCTURED, structured(**optional))):
        assert (event.subject, event.time, event.traceparent) == ("s", moment, "00-ab-cd-01")


@pytest.mark.parametrize(
    "content_type", [b"application/cloudevents+json", b"Application/CloudEvents+JSON", b"application/cloudevents"]
)
def test_structured_mode_is_told_by_the_content_type_in_any_case(content_type: bytes) -> None:
    assert parse_record([("Content-Type", content_type)], structured()).id == "1"


def test_header_names_are_read_in_any_case() -> None:
    assert parse_record([(name.upper(), value) for name, value in BINARY], b"{}").id == "1"


def test_null_headers_and_foreign_headers_of_any_bytes_are_passed_over() -> None:
    headers = [*BINARY, ("ce_subject", None), ("x", None), ("y", b"\xff\xfe"), ("content-type", None)]
    event = parse_record(headers, b"{}")
    assert (event.id, event.subject, event.content_type) == ("1", None, "application/json")


@pytest.mark.parametrize("name", ["ce_id", "ce_extension"])
def test_an_attribute_that_is_not_utf8_is_refused_by_its_name(name: str) -> None:
    assert name in refused([*BINARY, (name, b"\xff")], b"{}")


@pytest.mark.parametrize("name", ["id", "source", "type"])
def test_a_missing_attribute_is_named_in_both_modes(name: str) -> None:
    without = [(header, value) for header, value in BINARY if header != f"ce_{name}"]
    for headers in (without, [*without, (f"ce_{name}", None)], [*without, (f"ce_{name}", b"")]):
        assert refused(headers, b"{}") == f"attribute {name} is missing"
    values: list[Any] = [None, 1, "", {}]
    for value in values:
        assert refused(STRUCTURED, structured(**{name: value})) == f"attribute {name} is missing"


def test_another_version_is_refused_and_a_record_without_one_says_what_it_lacks() -> None:
    assert refused([*BINARY, ("ce_specversion", b"0.3")], b"{}") == "specversion is not 1.0"
    assert refused(STRUCTURED, structured(specversion="2.0")) == "specversion is not 1.0"
    assert "ce_specversion" in refused([], b"{}")


def test_a_tombstone_is_no_event() -> None:
    assert refused(BINARY, None) == "the record has no value"


@pytest.mark.parametrize(
    "value",
    [b"", b"{", b"[]", b"null", b"\xff", structured(data_base64="*"), structured(data_base64=None),
     structured(data_base64=1), structured(data_base64="é"),
     structured().replace(b'{"a":1}', b"[" * 400 + b"]" * 400), structured().replace(b'{"a":1}', b"1e999")],
)  # fmt: skip
def test_a_structured_event_that_cannot_be_read_is_refused(value: bytes) -> None:
    assert refused(STRUCTURED, value)


@pytest.mark.parametrize("text", ["yesterday", "2026-13-01T00:00:00Z", "", "2026-01-31", "2026-01-31T12:00:00"])
def test_a_time_that_is_no_rfc_3339_time_is_refused(text: str) -> None:
    assert "time" in refused([*BINARY, ("ce_time", text.encode())], b"{}")


names = st.sampled_from(["ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "content-type"]) | st.text()
values = st.sampled_from([None, b"1.0", b"application/cloudevents+json", b"\xff"]) | st.binary()


@given(st.lists(st.tuples(names, values)), st.none() | st.binary())
def test_arbitrary_headers_and_bytes_are_an_event_or_a_cloud_event_error(
    headers: list[Header], value: bytes | None
) -> None:
    with contextlib.suppress(CloudEventError):
        parse_record(headers, value)


members = st.sampled_from(["specversion", "id", "source", "type", "time", "data", "data_base64", "datacontenttype"])
anything = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.just("1.0") | texts,
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
    max_leaves=8,
)


@given(st.dictionaries(members | texts, anything))
def test_arbitrary_structured_json_is_an_event_or_a_cloud_event_error(document: dict[str, Any]) -> None:
    with contextlib.suppress(CloudEventError):
        parse_record(STRUCTURED, orjson.dumps(document))
