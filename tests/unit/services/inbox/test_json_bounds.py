"""How deep and how full a message may be, against a parser that knows."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from services.inbox.json_bounds import JsonBounds, beyond

SMALL = JsonBounds(depth=3, names=4, containers=5, strings=12)
TEXT = st.text(alphabet='{}[]:",\\ab\n\u20ac', max_size=6)
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


def _depth(value: Any) -> int:
    if not isinstance(value, dict | list):
        return 0
    return 1 + max(map(_depth, value.values() if isinstance(value, dict) else value), default=0)


def _all(value: Any) -> list[Any]:
    inner: list[Any] = []
    if isinstance(value, dict | list):
        inner = list(value.values()) if isinstance(value, dict) else value
    return [value, *(found for one in inner for found in _all(one))]


def _breaks(value: Any, bounds: JsonBounds) -> bool:
    every = _all(value)
    names = sum(len(one) for one in every if isinstance(one, dict))
    containers = sum(isinstance(one, dict | list) for one in every)
    strings = names + sum(isinstance(one, str) for one in every)
    return (
        _depth(value) > bounds.depth
        or names > bounds.names
        or containers > bounds.containers
        or strings > bounds.strings
    )


@given(DOCUMENTS, st.booleans(), st.booleans())
def test_a_document_is_beyond_the_bounds_just_when_a_parser_counts_so(
    document: Any, ascii_only: bool, spaced: bool
) -> None:
    text = json.dumps(document, ensure_ascii=ascii_only, indent=1 if spaced else None).encode()
    assert (beyond(text, SMALL) is not None) == _breaks(document, SMALL)


@given(st.binary(max_size=200))
def test_any_bytes_are_looked_at_without_an_error(data: bytes) -> None:
    beyond(data, SMALL)


def test_the_answer_says_which_bound() -> None:
    nested = b"[" * 40 + b"]" * 40
    assert beyond(nested, JsonBounds()) == "deeper than 32 levels"
    assert beyond(b"[" * 4000, JsonBounds()) == "more than 1000 objects and arrays"
    many = json.dumps({str(number): 1 for number in range(1001)}).encode()
    assert beyond(many, JsonBounds()) == "more than 1000 names"
    assert beyond(json.dumps(["a"] * 5001).encode(), JsonBounds()) == "more than 5000 strings"


def test_brackets_colons_and_quotes_inside_strings_do_not_count() -> None:
    assert beyond(json.dumps({"text": '{[:"\\' * 2000}).encode(), JsonBounds()) is None
