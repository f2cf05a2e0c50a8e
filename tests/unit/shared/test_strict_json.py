"""JSON is taken within its bounds, and only when every name stands once in its object."""

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.strict_json import DEFAULT_BOUNDS, JsonBounds, JsonError, JsonProblem, parse_json

texts = st.text(st.characters(exclude_categories=["Cs"])) | st.text(':\\"{}[],u03aA', max_size=8)
doubles = st.floats(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | texts | st.integers(-(2**63), 2**64 - 1) | doubles
# Few names, so that they collide.
names = st.sampled_from(["a", "b", ":", "\\", '"', "é", "🤝", "\\u003a", ""])


class Members(list[tuple[str, Any]]):
    """An object as written: its members in order, names perhaps more than once."""


documents = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.lists(st.tuples(names, inner), max_size=4).map(Members),
    max_leaves=12,
)  # fmt: skip


@st.composite
def escaped(draw: st.DrawFn, text: str) -> str:
    """A string literal in which any character may be written as an escape, as any writer may."""
    written = []
    for character in text:
        if draw(st.booleans()):
            units = character.encode("utf-16-be").hex()
            form = draw(st.sampled_from([str.lower, str.upper]))
            written += ["\\u" + form(units[at : at + 4]) for at in range(0, len(units), 4)]
        else:
            written.append(json.dumps(character, ensure_ascii=False)[1:-1])
    return '"' + "".join(written) + '"'


@st.composite
def written(draw: st.DrawFn, document: Any = None, *, top: bool = True) -> str:
    """Any way to write a document."""
    value = draw(documents) if top else document
    space = draw(st.sampled_from(["", " ", "\n\t"]))
    match value:
        case Members():
            inner = ",".join(f"{draw(escaped(n))}{space}:{space}{draw(written(v, top=False))}" for n, v in value)
            return "{" + space + inner + "}"
        case list():
            return "[" + ",".join(draw(written(item, top=False)) for item in value) + space + "]"
        case str():
            return draw(escaped(value))
        case _:
            return orjson.dumps(value).decode()


class TwiceError(Exception):
    """Raised by the reference when a name stands twice."""


def reference(data: bytes) -> Any:
    """The standard library's parser, told to look at every object's names."""

    def once(members: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(members)) != len(members):
            raise TwiceError
        return dict(members)

    return json.loads(data, object_pairs_hook=once)


def problem(data: bytes | str, bounds: JsonBounds = DEFAULT_BOUNDS) -> JsonProblem:
    with pytest.raises(JsonError) as caught:
        parse_json(data, bounds)
    assert "\n" not in str(caught.value)
    return caught.value.problem


@given(written())
def test_counting_colons_finds_exactly_the_documents_in_which_a_name_stands_twice(text: str) -> None:
    try:
        expected = reference(text.encode())
    except TwiceError:
        assert problem(text) is JsonProblem.DUPLICATE_NAME
    else:
        assert parse_json(text) == expected
        assert parse_json(text.encode()) == expected


@pytest.mark.parametrize(
    "text",
    [
        '{"a":1,"a":1}', r'{"a":1,"\u0061":2}', '{"x":[{"y":{"a":1,"b":2,"a":3}}]}', '{"a":1,"a":{"b":":"}}',
        r'{":":1,"\u003a":1}', r'{"\u003a":1,"\u003A":1}', r'{"\\u003a":1,"\\u003a":1}', '{"":0,"":0}',
        r'{"a":"\u003a","a":""}', r'{"a":"\\\u003a","a":1}',
    ],
)  # fmt: skip
def test_a_name_that_stands_twice_is_refused_at_every_depth_and_however_it_is_written(text: str) -> None:
    assert problem(text) is JsonProblem.DUPLICATE_NAME


@pytest.mark.parametrize(
    "text", [r'{"a":"\u003a","b":":"}', r'{"a":"\\u003a"}', r'{"\\\u003a":"\\\\u003a"}', '{"a":{"a":1}}']
)  # fmt: skip
def test_colons_in_strings_are_no_members(text: str) -> None:
    assert parse_json(text) == json.loads(text)


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"nul", b"NaN", b"[Infinity]", b"-Infinity", b"[1e400]", b"01", b"\xff", b'"\xed\xa0\x80"', b"\xef\xbb\xbf{}",  # noqa: E501 - a table
     b'"\\ud800"', b'"\\udfff\\ud800"', b'{"\\ud83e":1}', b"{}x", b"'a'", b"[1,]", "\ud800", '"\ud800"'],
)  # fmt: skip
def test_what_is_no_json_or_no_unicode_is_malformed(data: bytes | str) -> None:
    assert problem(data) is JsonProblem.MALFORMED


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")])
def test_depth_is_bounded_to_the_very_level(opening: str, closing: str) -> None:
    levels = len(opening.replace('"a":', ""))
    text = opening * (8 // levels) + "1" + closing * (8 // levels)
    assert parse_json(text, JsonBounds(most_depth=8)) == json.loads(text)
    assert problem(text, JsonBounds(most_depth=7)) is JsonProblem.TOO_COMPLEX


@given(documents, st.integers(1, 6))
def test_a_document_is_too_deep_exactly_when_its_tree_is(document: Any, most_depth: int) -> None:
    def depth(value: Any) -> int:
        if isinstance(value, dict):
            return 1 + max(map(depth, value.values()), default=0)
        return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0

    def tree(value: Any) -> Any:
        if isinstance(value, Members):
            return {name: tree(item) for name, item in value}
        return [tree(item) for item in value] if isinstance(value, list) else value

    plain = tree(document)
    data, bounds = orjson.dumps(plain), JsonBounds(most_depth=most_depth)
    if depth(plain) > most_depth:
        assert problem(data, bounds) is JsonProblem.TOO_COMPLEX
    else:
        parse_json(data, bounds)


def test_values_are_bounded_to_the_very_one() -> None:
    bounds = JsonBounds(most_values=5)
    assert parse_json("[1,[2],3]", bounds) == [1, [2], 3]
    assert problem("[1,[2],3,4]", bounds) is JsonProblem.TOO_COMPLEX
    assert problem('{"a":1,"b":2,"c":3,"d":4,"e":5}', bounds) is JsonProblem.TOO_COMPLEX


@given(documents, st.integers(1, 6), st.integers(1, 6))
def test_names_and_containers_are_bounded_just_as_a_parser_counts_them(document: Any, names: int, opened: int) -> None:
    def every(value: Any) -> list[Any]:
        inner = [item for _, item in value] if isinstance(value, Members) else value if isinstance(value, list) else []
        return [value, *(found for item in inner for found in every(item))]

    def text(value: Any) -> str:
        if isinstance(value, Members):  # other names, so that none stands twice
            return "{" + ",".join(f'"{n}":{text(item)}' for n, (_, item) in enumerate(value)) + "}"
        return "[" + ",".join(map(text, value)) + "]" if isinstance(value, list) else orjson.dumps(value).decode()

    found = every(document)
    bounds = JsonBounds(most_names=names, most_containers=opened)
    if sum(len(one) for one in found if isinstance(one, Members)) > names or (
        sum(isinstance(one, list) for one in found) > opened
    ):
        assert problem(text(document), bounds) is JsonProblem.TOO_COMPLEX
    else:
        parse_json(text(document), bounds)


def test_the_error_says_which_bound() -> None:
    def said(text: str) -> str:
        with pytest.raises(JsonError) as caught:
            parse_json(text, JsonBounds(most_values=50, most_names=10, most_containers=20))
        return str(caught.value)

    assert said("[" * 40 + "]" * 40) == "more than 20 objects and arrays"
    assert said("[" + "1," * 50 + "1]") == "more than 50 values"
    assert said(json.dumps({str(number): 1 for number in range(11)})) == "more than 10 names"


def test_marks_in_strings_count_for_no_bound() -> None:
    text = json.dumps({"a": ',[{"\\' * 500})
    assert parse_json(text, JsonBounds(most_depth=1, most_values=2)) == json.loads(text)


@pytest.mark.parametrize(
    "data",
    [b"[" * 60_000, b'"' + b'\\"' * 30_000, b'[""' + b',""' * 20_000 + b"]", b"\\" * 60_000, b"[" * 33 + b"]" * 60_000],
)
def test_large_junk_is_refused_by_the_typed_error_alone(data: bytes) -> None:
    problem(data)


@given(st.binary() | st.text())
def test_any_bytes_and_any_text_are_json_or_refused_by_a_json_error(data: bytes | str) -> None:
    try:
        value = parse_json(data)
    except JsonError:
        return
    assert value == json.loads(data)


@pytest.mark.parametrize("depth", [0, 255])
def test_a_depth_that_cannot_be_written_again_is_no_bound(depth: int) -> None:
    with pytest.raises(ValueError, match="most_depth"):
        JsonBounds(most_depth=depth)
