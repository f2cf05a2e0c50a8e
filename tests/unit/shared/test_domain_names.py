"""A domain name is what DNS and the web take for one, in lower case."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain_names import domain_name

label = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)


@given(st.lists(label, min_size=1, max_size=5), st.from_regex(r"[a-z]{2,8}", fullmatch=True))
def test_a_name_in_any_case_becomes_lower_case_and_stays_as_it_is_after_that(labels: list[str], last: str) -> None:
    name = ".".join([*labels, last])
    assert domain_name(name.upper()) == name
    assert domain_name(name) == name


@pytest.mark.parametrize("text", ["a.b", "xn--bcher-kva.example", "1.2.3.com", "a-b.c-d.ef", f"{'a' * 63}.example"])
def test_these_are_names(text: str) -> None:
    assert domain_name(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "localhost",
        "example.com.",
        ".example.com",
        "a..b",
        "-a.example",
        "a-.example",
        "a_b.example",
        "127.0.0.1",
        "[::1]",
        "example.com:443",
        "user@example.com",
        "example.com/x",
        "example.com\n",
        " example.com",
        "bücher.example",
        "a\u0130.example",
        f"{'a' * 64}.example",
        ".".join(["abcdefg"] * 40),
    ],
)
def test_these_are_no_names_and_the_error_is_one_short_line(text: str) -> None:
    with pytest.raises(ValueError, match="is no domain name") as caught:
        domain_name(text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 120


@given(st.text())
def test_any_text_is_a_name_or_refused_by_a_value_error(text: str) -> None:
    try:
        name = domain_name(text)
    except ValueError:
        return
    assert name == domain_name(name)
    assert name.isascii()
