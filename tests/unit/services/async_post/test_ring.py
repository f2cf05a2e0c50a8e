"""The ring of keys: how a key moves, what a secret may hold, and that nothing is ever used twice."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.async_post import ring as rings
from services.async_post.ring import Algorithm, Ring, RingError, State, from_text, to_text
from shared.keys import SigningKey

KEY = SigningKey.generate("pw1")


def first() -> Ring:
    """Return a ring with one active key, pw1."""
    return rings.bring_in(Ring(), KEY, 100.0)


def on_its_way() -> Ring:
    """Return that ring with pw2 seen in DNS."""
    ring = rings.make(first(), "pw2", Algorithm.ED25519, 200.0)
    return rings.seen(rings.published(ring, "pw2", 201.0), "pw2", 202.0)


def test_a_key_becomes_active_in_the_moment_in_which_the_one_before_begins_to_retire() -> None:
    ring = rings.activate(on_its_way(), "pw2", 300.0)
    assert [(key.selector, key.state) for key in ring.keys] == [("pw1", State.RETIRING), ("pw2", State.ACTIVE)]
    assert ring.active is not None
    assert ring.active.active_at == 300.0
    old = ring.get("pw1")
    assert old is not None
    assert (old.retiring_at, old.private_key) == (300.0, None)


def test_a_key_is_active_only_after_it_was_published() -> None:
    ring = rings.make(first(), "pw2", Algorithm.ED25519, 200.0)
    with pytest.raises(RingError, match="key pw2 is made, not published"):
        rings.activate(ring, "pw2", 300.0)


def test_only_one_key_is_on_its_way_at_a_time() -> None:
    with pytest.raises(RingError, match="pw2 is on its way"):
        rings.make(on_its_way(), "pw3", Algorithm.ED25519, 300.0)


def test_a_selector_and_a_key_are_never_used_again() -> None:
    ring = rings.retired(rings.retire(first(), "pw1", 2.0), "pw1", 3.0)
    assert ring.next_number() == 2
    with pytest.raises(RingError, match="selector pw1 is or was in the ring"):
        rings.make(ring, "pw1", Algorithm.ED25519, 4.0)
    with pytest.raises(RingError, match="this key is or was in the ring"):
        rings.bring_in(ring, SigningKey("pw2", KEY.private), 4.0)


def test_a_compromised_key_can_be_retired_from_every_state_and_is_revoked_again() -> None:
    for ring, selector in (
        (first(), "pw1"),
        (on_its_way(), "pw2"),
        (rings.make(first(), "pw2", Algorithm.ED25519, 2.0), "pw2"),
        (rings.activate(on_its_way(), "pw2", 3.0), "pw1"),
        (rings.retired(rings.retire(first(), "pw1", 2.0), "pw1", 3.0), "pw1"),
    ):
        key = rings.retire(ring, selector, 9.0, compromised=True).get(selector)
        assert key is not None
        assert (key.state, key.compromised, key.private_key) == (State.RETIRING, True, None)


def test_a_key_without_number_is_followed_by_pw1() -> None:
    assert rings.bring_in(Ring(), SigningKey.generate("pk1"), 1.0).next_number() == 1


def test_a_new_rsa_key_has_2048_bits() -> None:
    key = rings.make(Ring(), "pw1", Algorithm.RSA_2048, 1.0).get("pw1")
    assert key is not None
    assert key.signing_key().private.key_size == 2048  # type: ignore[union-attr] # Ed25519 has none
    assert key.algorithm == "rsa"


def test_the_oldest_retired_selectors_are_forgotten_and_numbers_go_on() -> None:
    ring = Ring()
    for number in range(1, 100):
        ring = rings.make(ring, f"pw{number}", Algorithm.ED25519, number)
        ring = rings.activate(rings.seen(ring, f"pw{number}", number), f"pw{number}", number)
        for key in ring.keys:
            if key.state is State.RETIRING:
                ring = rings.retired(ring, key.selector, number)
    assert ring.next_number() == 100
    assert len(to_text(ring)) < 65_536 / 2


def test_a_ring_is_read_as_it_was_written() -> None:
    for ring in (first(), on_its_way(), rings.activate(on_its_way(), "pw2", 3.5)):
        assert from_text(to_text(ring), "secret", 0.0) == ring


def test_a_secret_with_one_key_made_by_hand_is_a_ring_whose_key_is_active() -> None:
    text = json.dumps({"selector": "pk1", "private_key": KEY.to_pem()})
    (key,) = from_text(text, "secret", 77.0).keys
    assert (key.selector, key.state, key.active_at) == ("pk1", State.ACTIVE, 77.0)


def entry(**more: Any) -> dict[str, Any]:
    fields = {"selector": "pw1", "record": KEY.record, "state": "active", "made_at": 1, "private_key": KEY.to_pem()}
    return {name: value for name, value in {**fields, **more}.items() if value is not None}


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ("pw1", "keys is no list"),
        ([7], r"keys\[0\] is no object"),
        ([entry(selector=7)], "selector is of the wrong kind"),
        ([entry(state="idle")], "a known state"),
        ([entry(made_at=None)], "made_at"),
        ([entry(made_at=True)], "made_at is of the wrong kind"),
        ([entry(private_key=None)], "private_key"),
        ([entry(private_key="no key")], "private_key: not a private key in PEM"),
        ([entry(record=SigningKey.generate("x").record)], "not of one pair"),
        ([entry(), entry(selector="pw2")], "more than one key that is active"),
    ],
)
def test_a_ring_that_cannot_be_is_refused_in_one_line_without_a_key_in_it(keys: Any, why: str) -> None:
    with pytest.raises(RingError, match=why) as caught:
        from_text(json.dumps({"keys": keys}), "secret 'x'", 0.0)
    assert str(caught.value).startswith("secret 'x'")
    assert "PRIVATE" not in str(caught.value)
    assert "\n" not in str(caught.value)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
)


@settings(max_examples=200)
@given(ANYTHING)
def test_whatever_stands_in_the_secret_ends_in_a_ring_or_one_error(document: Any) -> None:
    for text in (json.dumps(document), json.dumps({"keys": document}), json.dumps({"keys": [document]})):
        with contextlib.suppress(RingError):
            from_text(text, "secret", 0.0)


def test_no_private_half_is_in_a_representation() -> None:
    for shown in (repr(first()), repr(first().active), str(first().keys), repr(KEY)):
        assert "PRIVATE" not in shown
