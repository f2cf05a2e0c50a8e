"""What a person can show besides the face: a one-time password, or the answer to a security question. Pure.

One-time passwords are TOTP (RFC 6238) with what every authenticator takes: SHA-1, six digits, 30 seconds. An answer is
kept as a slow hash (scrypt, RFC 7914) of what is left of it without case, accents' spelling, spaces and punctuation.
"""

import base64
import hashlib
import hmac
import secrets
import unicodedata
from enum import StrEnum
from typing import Final
from urllib.parse import quote

STEP_SECONDS: Final = 30
# Clocks that differ, and the time it takes to type; RFC 6238 section 5.2 advises one step at most.
DRIFT_STEPS: Final = 1
_DIGITS: Final = 6
# RFC 4226, section 4, R6: 160 bits.
_SECRET_BYTES: Final = 20
MOST_ANSWER: Final = 200
_SALT_BYTES: Final = 16
# About 50 ms and 16 MiB for each guess, for ourselves as for a thief.
_SCRYPT_N: Final = 2**14

QUESTIONS: Final = ("first-school", "first-pet", "street-of-childhood", "favourite-teacher", "first-concert")
"""The questions that can be enrolled: the page has their texts in its languages, and no store has any."""


class Factor(StrEnum):
    """What can be asked besides the face."""

    QUESTION = "question"
    CODE = "code"


def new_secret() -> bytes:
    """Return a secret for one-time passwords."""
    return secrets.token_bytes(_SECRET_BYTES)


def enrolment_uri(secret: bytes, issuer: str, account: str) -> str:
    """Return what an authenticator reads, usually as a picture of it (Google's "Key Uri Format")."""
    text = base64.b32encode(secret).decode().rstrip("=")
    return f"otpauth://totp/{quote(issuer)}:{quote(account)}?secret={text}&issuer={quote(issuer)}"


def one_time_password(secret: bytes, step: int) -> str:
    """Return the password of a step of time (RFC 4226 section 5.3, RFC 6238 section 4.2)."""
    digest = hmac.new(secret, step.to_bytes(8, "big"), "sha1").digest()
    start = digest[-1] & 0xF
    number = int.from_bytes(digest[start : start + 4], "big") & 0x7FFFFFFF
    return f"{number % 10**_DIGITS:0{_DIGITS}d}"


def step_of(secret: bytes, given: str, at: int, used_step: int) -> int | None:
    """Return the step whose password was given at ``at`` (epoch seconds), if it is a later one than ``used_step``.

    A password counts once, and so does none before it (RFC 6238 section 5.2). Spaces within it are left out.
    """
    digits = "".join(given.split())
    now = at // STEP_SECONDS
    found = None
    for step in range(now - DRIFT_STEPS, now + DRIFT_STEPS + 1):
        # All are looked at: how long it takes tells nothing.
        same = hmac.compare_digest(one_time_password(secret, step).encode(), digits.encode())
        if same and step > used_step and found is None:
            found = step
    return found


def plain_answer(text: str) -> str:
    """Return what is left of an answer: letters and digits, in one spelling and case. Raises ValueError if nothing."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    plain = "".join(sign for sign in folded if sign.isalnum())
    if not plain:
        raise ValueError("an answer has at least one letter or digit")
    return plain


def hash_answer(text: str) -> bytes:
    """Return salt and slow hash of an answer. Raises ValueError, as ``plain_answer``."""
    salt = secrets.token_bytes(_SALT_BYTES)
    return salt + _slow(plain_answer(text), salt)


def is_answer(text: str, hashed: bytes) -> bool:
    """Whether a text is the answer that was hashed."""
    try:
        plain = plain_answer(text)
    except ValueError:
        plain = ""
    salt, known = hashed[:_SALT_BYTES], hashed[_SALT_BYTES:]
    return hmac.compare_digest(_slow(plain, salt), known) and bool(plain)


def _slow(plain: str, salt: bytes) -> bytes:
    return hashlib.scrypt(plain.encode(), salt=salt, n=_SCRYPT_N, r=8, p=1, dklen=32)
