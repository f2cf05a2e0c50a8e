"""One-time passwords against the RFC's own vectors, and answers to security questions."""

import base64
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.factors import (
    DRIFT_STEPS,
    STEP_SECONDS,
    enrolment_uri,
    hash_answer,
    is_answer,
    new_secret,
    one_time_password,
    plain_answer,
    step_of,
)

RFC_SECRET = b"12345678901234567890"
SECRET = b"a secret of 20 bytes"
NOW = 1_780_000_000

secrets = st.binary(min_size=16, max_size=32)
times = st.integers(STEP_SECONDS * 10, 2**40)


@pytest.mark.parametrize(
    ("seconds", "last_six"),
    [
        (59, "287082"),
        (1_111_111_109, "081804"),
        (1_111_111_111, "050471"),
        (1_234_567_890, "005924"),
        (2_000_000_000, "279037"),
        (20_000_000_000, "353130"),
    ],
)
def test_passwords_are_those_of_the_rfc(seconds: int, last_six: str) -> None:
    """RFC 6238, appendix B, of whose eight digits these are the last six (the password is a remainder)."""
    assert one_time_password(RFC_SECRET, seconds // STEP_SECONDS) == last_six
    assert step_of(RFC_SECRET, last_six, seconds, 0) == seconds // STEP_SECONDS


@pytest.mark.parametrize(
    ("count", "password"), list(enumerate(["755224", "287082", "359152", "969429", "338314", "254676"]))
)
def test_they_are_those_of_a_counter(count: int, password: str) -> None:
    """RFC 4226, appendix D."""
    assert one_time_password(RFC_SECRET, count) == password


@given(secrets, times, st.integers(-4, 4))
def test_a_password_is_taken_one_step_before_and_after_its_time_and_no_further(
    secret: bytes, at: int, drift: int
) -> None:
    step = at // STEP_SECONDS + drift
    near = range(at // STEP_SECONDS - DRIFT_STEPS, at // STEP_SECONDS + DRIFT_STEPS + 1)
    by_chance = any(one_time_password(secret, other) == one_time_password(secret, step) for other in near)
    assert (step_of(secret, one_time_password(secret, step), at, 0) is not None) == (step in near or by_chance)


@given(secrets, times)
def test_a_password_counts_once_and_so_does_none_before_it(secret: bytes, at: int) -> None:
    used = step_of(secret, one_time_password(secret, at // STEP_SECONDS), at, 0)
    assert used is not None
    for step in range(at // STEP_SECONDS - DRIFT_STEPS, used + 1):
        later = [one_time_password(secret, used + ahead) for ahead in range(1, DRIFT_STEPS + 1)]
        if one_time_password(secret, step) not in later:
            assert step_of(secret, one_time_password(secret, step), at, used) is None


@given(st.text(max_size=50))
def test_whatever_is_typed_is_an_answer_right_or_wrong(text: str) -> None:
    assert step_of(SECRET, text, NOW, 0) in (None, NOW // 30 - 1, NOW // 30, NOW // 30 + 1)


def test_spaces_within_a_password_are_left_out() -> None:
    password = one_time_password(SECRET, NOW // STEP_SECONDS)
    assert step_of(SECRET, f" {password[:3]} {password[3:]}\n", NOW, 0) == NOW // STEP_SECONDS


def test_an_authenticator_is_told_the_secret_and_whose_it_is() -> None:
    secret = new_secret()
    parts = urlsplit(enrolment_uri(secret, "id.example", "p 1"))
    assert (parts.scheme, parts.netloc, parts.path) == ("otpauth", "totp", "/id.example:p%201")
    asked = parse_qs(parts.query)
    assert base64.b32decode(asked["secret"][0]) == secret
    assert asked["issuer"] == ["id.example"]
    assert len(secret) == 20
    assert new_secret() != secret


@pytest.mark.parametrize(
    "text", ["Escola Básica n.º 1", " escola básica nº 1", "ESCOLA   BÁSICA N.º 1!", "escola ba\u0301sica n.o 1"]
)
def test_an_answer_is_the_same_in_any_case_and_spelling(text: str) -> None:
    assert is_answer(text, hash_answer("Escola Básica n.º 1"))


def test_another_answer_is_wrong_and_each_hash_has_a_salt_of_its_own() -> None:
    hashed = hash_answer("Rex")
    for other in ("Max", "", "Rexy", "...", "\ud800"):
        assert not is_answer(other.encode("utf-8", "replace").decode(), hashed)
    assert hash_answer("Rex") != hashed
    assert b"rex" not in hashed.lower()
    assert len(hashed) == 16 + 32


@settings(max_examples=25)
@given(st.text(max_size=30))
def test_what_is_left_of_an_answer_stays_as_it_is(text: str) -> None:
    try:
        plain = plain_answer(text)
    except ValueError:
        assert not any(sign.isalnum() for sign in text)
        return
    assert plain_answer(plain) == plain
    assert plain_answer(f"  {text}. ") == plain


def test_an_answer_of_no_letter_or_digit_is_none() -> None:
    with pytest.raises(ValueError, match="at least one"):
        hash_answer(" .-! ")
