"""Replies to synchronous messages: whatever comes is a response, an acknowledgement, or refused in one line."""

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.synchronous_replies import ReplyError, read_reply

CORRELATION = "125a5c75-cb72-43d2-9695-37026dfcaa48"
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
NAMES = st.sampled_from(["Meta", "Request", "Response"]) | st.text(max_size=8)


def read(body: bytes) -> dict[str, Any] | None:
    return read_reply(body, sender="identity.example", correlation=CORRELATION)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(NAMES, VALUES, max_size=4))
def test_an_object_is_a_reply_in_its_form_a_bare_mapping_or_refused(document: dict[str, Any]) -> None:
    own = document.keys() - {"Meta", "Request", "Response"}
    response = document.get("Response")
    if "Response" in document:
        wanted, good = response, isinstance(response, dict) and not own
    else:
        wanted, good = document or None, bool(own) or not document
    if good:
        assert read(orjson.dumps(document)) == wanted
    else:
        with pytest.raises(ReplyError) as caught:
            read(orjson.dumps(document))
        assert "\n" not in str(caught.value)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=40))
def test_any_bytes_are_read_or_refused_and_nothing_else(body: bytes) -> None:
    try:
        found = read(body)
    except ReplyError:
        return
    assert found is None or isinstance(found, dict)


@pytest.mark.parametrize(
    ("header", "good"),
    [
        ({}, True),
        ({"From": "Identity.Example", "Correlation": CORRELATION.upper()}, True),
        ({"From": "other.example"}, False),
        ({"Correlation": "225a5c75-cb72-43d2-9695-37026dfcaa48"}, False),
        ({"Correlation": 7}, False),
    ],
)
def test_a_repeated_header_must_be_that_of_the_message(header: dict[str, Any], good: bool) -> None:
    body = orjson.dumps({"Request": {"Header": header}, "Response": {"a": 1}})
    if good:
        assert read(body) == {"a": 1}
    else:
        with pytest.raises(ReplyError, match="another message"):
            read(body)
