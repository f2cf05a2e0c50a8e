"""The canonical form is RFC 8785's, byte for byte, whichever of the two writers wrote it."""

import json
import math
from typing import Any

import orjson
import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from shared.canonical import NotCanonicalError, canonical_bytes

LARGEST_EXACT = 2**53 - 1

texts = st.text(st.characters(exclude_categories=["Cs"]))
# Keys on both sides of the surrogates, where UTF-16 order and code-point order differ.
keys = texts | st.text(st.sampled_from("aé\ud7ff\ue000\uffff\U00010000\U0001f91d"), max_size=4)
exact_scalars = st.none() | st.booleans() | texts | st.integers(-LARGEST_EXACT, LARGEST_EXACT)
doubles = st.floats(allow_nan=False, allow_infinity=False)


def documents(scalars: st.SearchStrategy[Any], names: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    return st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(names, inner), max_leaves=20)


@given(documents(exact_scalars | doubles, keys))
def test_every_document_has_the_bytes_of_the_reference_implementation(document: Any) -> None:
    assert canonical_bytes(document) == rfc8785.dumps(document)


@given(documents(exact_scalars, texts))
def test_a_document_without_floats_has_the_same_bytes_on_the_fast_path(document: Any) -> None:
    assert canonical_bytes(document) == rfc8785.dumps(document)


@given(documents(exact_scalars | doubles | st.integers(-(10**30), 10**30), keys))
def test_what_was_canonical_stays_the_same_when_it_is_read_and_written_again(document: Any) -> None:
    canonical = canonical_bytes(document)
    assert canonical_bytes(orjson.loads(canonical)) == canonical
    assert canonical_bytes(json.loads(canonical)) == canonical


@given(st.integers(-(10**40), 10**40))
def test_an_integer_is_written_as_the_double_that_every_reader_makes_of_it(number: int) -> None:
    assert float(canonical_bytes(number)) == float(number)
    if abs(number) > LARGEST_EXACT:
        assert canonical_bytes(number) == rfc8785.dumps(float(number))


@pytest.mark.parametrize(
    ("bits", "text"),
    [  # RFC 8785, appendix B
        ("0000000000000000", "0"),
        ("8000000000000000", "0"),
        ("0000000000000001", "5e-324"),
        ("8000000000000001", "-5e-324"),
        ("7fefffffffffffff", "1.7976931348623157e+308"),
        ("ffefffffffffffff", "-1.7976931348623157e+308"),
        ("4340000000000000", "9007199254740992"),
        ("c340000000000000", "-9007199254740992"),
        ("4430000000000000", "295147905179352830000"),
        ("44b52d02c7e14af5", "9.999999999999997e+22"),
        ("44b52d02c7e14af6", "1e+23"),
        ("44b52d02c7e14af7", "1.0000000000000001e+23"),
        ("444b1ae4d6e2ef4e", "999999999999999700000"),
        ("444b1ae4d6e2ef4f", "999999999999999900000"),
        ("444b1ae4d6e2ef50", "1e+21"),
        ("3eb0c6f7a0b5ed8c", "9.999999999999997e-7"),
        ("3eb0c6f7a0b5ed8d", "0.000001"),
        ("41b3de4355555553", "333333333.3333332"),
        ("41b3de4355555554", "333333333.33333325"),
        ("becbf647612f3696", "-0.0000033333333333333333"),
        ("43143ff3c1cb0959", "1424953923781206.2"),
    ],
)
def test_numbers_are_written_as_the_rfc_lists_them(bits: str, text: str) -> None:
    import struct  # noqa: PLC0415 - only here

    (number,) = struct.unpack(">d", bytes.fromhex(bits))
    assert canonical_bytes(number) == text.encode()


def test_the_example_of_the_rfc_has_the_bytes_of_the_rfc() -> None:
    text = r"""{
      "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
      "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
      "literals": [null, true, false]
    }"""
    expected = (
        '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
        '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )
    assert canonical_bytes(orjson.loads(text)) == expected.encode()


def test_keys_are_sorted_by_utf16_units_as_the_rfc_shows() -> None:
    names = ["\u20ac", "\r", "\ufb33", "1", "\U0001f600", "\u0080", "\u00f6"]
    in_order = ["\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]
    assert list(json.loads(canonical_bytes(dict.fromkeys(names, 0)))) == in_order


def test_two_to_the_53rd_which_the_reference_refuses_is_written_with_its_own_digits() -> None:
    assert canonical_bytes(2**53) == b"9007199254740992"
    assert canonical_bytes([2**53 + 1]) == b"[9007199254740992]"


@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        math.inf,
        -math.inf,
        "\ud800",
        {"\udfff": 1},
        {"a": ["\ud800 and more", 1.5]},
        {1: "a"},
        {"a": Ellipsis},
        {"a": b"bytes"},
        {"a": {1, 2}},
        10**400,
        -(10**400),
    ],
    ids=repr,
)
def test_what_json_cannot_say_has_no_canonical_form(value: Any) -> None:
    with pytest.raises(NotCanonicalError) as caught:
        canonical_bytes({"in": [value]})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("leaf", [0, 1.5])
def test_a_document_nested_too_deeply_is_refused_and_nothing_else_happens(leaf: float) -> None:
    document: Any = leaf
    for _ in range(100_000):
        document = [document]
    with pytest.raises(NotCanonicalError):
        canonical_bytes(document)
