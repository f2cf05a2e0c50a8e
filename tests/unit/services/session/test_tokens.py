"""The scan page's addresses: made here or not at all."""

import string
import uuid

from hypothesis import given
from hypothesis import strategies as st

from services.session.tokens import Tokens

TOKENS = Tokens("a secret of thirty-two characters")
ALPHABET = string.ascii_letters + string.digits + "-_+/="

ids = st.uuids().map(str)


@given(ids)
def test_a_token_opens_its_verification_and_is_safe_in_an_address(identifier: str) -> None:
    token = TOKENS.make(identifier)
    assert TOKENS.read(token) == identifier
    assert len(token) == 48
    assert set(token) <= set(string.ascii_letters + string.digits + "-_")


@given(ids, st.integers(0, 47), st.sampled_from(ALPHABET))
def test_a_token_with_one_changed_character_opens_nothing(identifier: str, place: int, other: str) -> None:
    token = TOKENS.make(identifier)
    changed = token[:place] + other + token[place + 1 :]
    assert TOKENS.read(changed) == (identifier if changed == token else None)


@given(ids)
def test_a_token_of_another_secret_opens_nothing(identifier: str) -> None:
    assert TOKENS.read(Tokens("another secret of the same length").make(identifier)) is None


@given(
    st.text()
    | st.text(ALPHABET, min_size=44, max_size=52)
    | st.binary(max_size=60).map(lambda data: data.decode("latin-1"))
)
def test_garbage_opens_nothing_and_never_raises(text: str) -> None:
    assert TOKENS.read(text) is None


def test_a_lone_surrogate_opens_nothing() -> None:
    assert TOKENS.read("\ud800" * 48) is None


def test_a_repeated_event_makes_the_same_address_in_every_replica() -> None:
    identifier = str(uuid.uuid4())
    assert TOKENS.make(identifier) == Tokens("a secret of thirty-two characters").make(identifier)


@given(ids, st.sampled_from(["", "=", "==", " ", "\n", "A"]))
def test_a_token_with_something_after_it_opens_nothing(identifier: str, tail: str) -> None:
    assert (TOKENS.read(TOKENS.make(identifier) + tail) is None) == bool(tail)
