"""What is sealed opens for its own person, kind and version alone."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.sealing import KEY_BYTES, MARK, DataKey, Kind, SealBrokenError, associated_data

ALICE = DataKey("alice", "k1", b"a" * KEY_BYTES)


@given(st.binary(max_size=2000), st.sampled_from(Kind), st.text(max_size=20))
def test_what_was_sealed_opens_as_it_was(data: bytes, kind: Kind, version: str) -> None:
    sealed = ALICE.seal(kind, version, data)
    assert ALICE.open(kind, version, sealed) == data
    assert len(sealed) == len(data) + len(MARK) + 12 + 16


def test_the_same_thing_is_never_sealed_alike() -> None:
    assert ALICE.seal(Kind.EVIDENCE, "1", b"x") != ALICE.seal(Kind.EVIDENCE, "1", b"x")


@pytest.mark.parametrize(
    ("key", "kind", "version"),
    [
        (DataKey("bob", "k1", ALICE.secret), Kind.EVIDENCE, "1"),
        (DataKey("alice", "k2", b"b" * KEY_BYTES), Kind.EVIDENCE, "1"),
        (ALICE, Kind.LEGAL_PHOTO, "1"),
        (ALICE, Kind.EVIDENCE, "2"),
    ],
    ids=["another person", "another key", "another kind", "another version"],
)
def test_it_opens_for_nothing_else(key: DataKey, kind: Kind, version: str) -> None:
    sealed = ALICE.seal(Kind.EVIDENCE, "1", b"a picture")
    with pytest.raises(SealBrokenError):
        key.open(kind, version, sealed)


@given(st.data())
@settings(max_examples=60)
def test_a_changed_or_cut_one_does_not_open(data: st.DataObject) -> None:
    sealed = bytearray(ALICE.seal(Kind.EVIDENCE, "1", b"a picture"))
    if data.draw(st.booleans()):
        sealed[data.draw(st.integers(0, len(sealed) - 1))] ^= data.draw(st.integers(1, 255))
    else:
        del sealed[data.draw(st.integers(0, len(sealed) - 1)) :]
    with pytest.raises(SealBrokenError):
        ALICE.open(Kind.EVIDENCE, "1", bytes(sealed))


@given(st.lists(st.text(max_size=6), max_size=4), st.lists(st.text(max_size=6), max_size=4))
def test_different_texts_are_bound_differently(first: list[str], second: list[str]) -> None:
    assert (associated_data(*first) == associated_data(*second)) == (first == second)


def test_a_key_shows_nothing_of_itself() -> None:
    assert "aaaa" not in repr(ALICE)
