"""The ring: every key that this Identity has had, each with its state, and how a key may move. Pure.

A key goes ``made → published → active → retiring → retired``. At most one is active, at most one is on its way there.
Only keys that may still sign have their private half here; a retired key is a selector that is never used again.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any, Final

import orjson
from cryptography.hazmat.primitives.asymmetric import rsa

from shared.errors import FacescanError
from shared.keys import KeyRecordError, PrivateKey, SigningKey

# Labels of a name (RFC 6376 §3.1).
SELECTOR: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?\Z")
# Clients of PollyWeb probe pw1, pw2, … without a gap (protocol §8), so every new key is the next number.
_NUMBERED: Final = re.compile(r"pw([1-9][0-9]{0,8})\Z")
# Secrets Manager takes 64 KiB; a retired key needs 300 bytes.
_MOST_RETIRED: Final = 60
_RSA_EXPONENT: Final = 65537
_RSA_BITS: Final = 2048


class RingError(FacescanError):
    """Raised when a ring cannot be read or a key cannot move as asked; one line, never with a key in it."""


class State(StrEnum):
    """Where a key is on its way. ``published`` is in DNS, but not yet known to be seen by everybody."""

    MADE = "made"
    PUBLISHED = "published"
    ACTIVE = "active"
    RETIRING = "retiring"
    RETIRED = "retired"


class Algorithm(StrEnum):
    """What a new key may be."""

    ED25519 = "ed25519"
    RSA_2048 = "rsa-2048"


@dataclass(frozen=True, slots=True)
class RingKey:
    """One key; times are epoch seconds of when it entered a state, 0 for not yet.

    ``seen_at`` is since when the validating resolver has shown its record. ``compromised`` keys are revoked in DNS.
    """

    selector: str
    record: str
    state: State
    made_at: float
    published_at: float = 0.0
    seen_at: float = 0.0
    active_at: float = 0.0
    retiring_at: float = 0.0
    retired_at: float = 0.0
    compromised: bool = False
    private_key: str | None = None

    def __repr__(self) -> str:
        return f"RingKey({self.selector!r}, {self.state.value})"

    def signing_key(self) -> SigningKey:
        """Return it with its private half. Raises RingError when that is gone, KeyRecordError when it is no key."""
        if self.private_key is None:
            raise RingError(f"key {self.selector} has no private half any more")
        return SigningKey.from_pem(self.selector, self.private_key)

    @property
    def algorithm(self) -> str:
        """``ed25519`` or ``rsa``, from its record."""
        return "ed25519" if "k=ed25519" in self.record else "rsa"


@dataclass(frozen=True, slots=True)
class Ring:
    """The keys, the oldest first."""

    keys: tuple[RingKey, ...] = ()

    def get(self, selector: str) -> RingKey | None:
        """Return the key of that selector."""
        return next((key for key in self.keys if key.selector == selector), None)

    @property
    def active(self) -> RingKey | None:
        """The key to sign with."""
        return next((key for key in self.keys if key.state is State.ACTIVE), None)

    @property
    def coming(self) -> RingKey | None:
        """The key that is on its way to be active."""
        return next((key for key in self.keys if key.state in (State.MADE, State.PUBLISHED)), None)

    def next_number(self) -> int:
        """Return the number of the next selector: one more than any that ever was."""
        numbers = [int(found[1]) for key in self.keys if (found := _NUMBERED.match(key.selector))]
        return max(numbers, default=0) + 1

    def with_key(self, key: RingKey) -> "Ring":
        """Return the ring with ``key`` added, or in the place of the one of its selector."""
        if self.get(key.selector) is None:
            return _pruned((*self.keys, key))
        return _pruned(tuple(key if old.selector == key.selector else old for old in self.keys))


def _pruned(keys: tuple[RingKey, ...]) -> Ring:
    # The oldest selectors are forgotten; the next number comes from the newest.
    retired = [key for key in keys if key.state is State.RETIRED]
    forgotten = {key.selector for key in retired[: max(0, len(retired) - _MOST_RETIRED)]}
    return Ring(tuple(key for key in keys if key.selector not in forgotten))


# -- how a key moves -----------------------------------------------------------------------------------------------


def make(ring: Ring, selector: str, algorithm: Algorithm, now: float) -> Ring:
    """Return the ring with a fresh pair under ``selector``. Raises RingError when another is on its way."""
    if ring.coming is not None:
        raise RingError(f"key {ring.coming.selector} is on its way already")
    return _add(ring, SigningKey(selector, _fresh(algorithm)), now)


def bring_in(ring: Ring, key: SigningKey, now: float) -> Ring:
    """Return the ring with a pair that was made elsewhere. Raises RingError.

    The first key of an empty ring is active at once, for it is in use already; any other takes the way of a new one.
    """
    if ring.keys and ring.coming is not None:
        raise RingError(f"key {ring.coming.selector} is on its way already: wait until it is active, or retire it")
    if any(old.record == key.record for old in ring.keys):
        raise RingError("this key is or was in the ring: a key is never used again")
    if not ring.keys:
        added = _add(ring, key, now)
        return Ring((replace(added.keys[0], state=State.ACTIVE, published_at=now, seen_at=now, active_at=now),))
    return _add(ring, key, now)


def _add(ring: Ring, key: SigningKey, now: float) -> Ring:
    if not SELECTOR.match(key.selector):
        raise RingError(f"{key.selector[:80]!r} is no selector: letters, digits, - and _ are expected")
    if ring.get(key.selector) is not None:
        raise RingError(f"selector {key.selector} is or was in the ring: a selector is never used again")
    return ring.with_key(RingKey(key.selector, key.record, State.MADE, now, private_key=key.to_pem()))


def _fresh(algorithm: Algorithm) -> PrivateKey:
    if algorithm is Algorithm.ED25519:
        return SigningKey.generate("").private
    return rsa.generate_private_key(_RSA_EXPONENT, _RSA_BITS)


def published(ring: Ring, selector: str, now: float) -> Ring:
    """The publisher has taken the records."""
    return _move(ring, selector, (State.MADE,), lambda key: replace(key, state=State.PUBLISHED, published_at=now))


def seen(ring: Ring, selector: str, now: float) -> Ring:
    """The validating resolver shows the records in every branch."""
    return _move(ring, selector, (State.MADE, State.PUBLISHED), lambda key: replace(
        key, state=State.PUBLISHED, published_at=key.published_at or now, seen_at=now))  # fmt: skip


def unseen(ring: Ring, selector: str) -> Ring:
    """The records, which were seen, are gone from DNS: the waiting begins anew."""
    return _move(ring, selector, (State.PUBLISHED,), lambda key: replace(key, seen_at=0.0))


def activate(ring: Ring, selector: str, now: float) -> Ring:
    """Sign with this key from now on; the one before begins to retire and loses its private half, in one step."""
    old = ring.active
    moved = _move(ring, selector, (State.PUBLISHED,), lambda key: replace(key, state=State.ACTIVE, active_at=now))
    return moved if old is None else retire(moved, old.selector, now)


def retire(ring: Ring, selector: str, now: float, *, compromised: bool = False) -> Ring:
    """Sign with it no more. ``compromised``: its record is to be emptied at once."""
    expected = tuple(State) if compromised else (State.MADE, State.PUBLISHED, State.ACTIVE)
    return _move(ring, selector, expected, lambda key: replace(
        key, state=State.RETIRING, retiring_at=key.retiring_at or now, retired_at=0.0,
        compromised=key.compromised or compromised, private_key=None))  # fmt: skip


def retired(ring: Ring, selector: str, now: float) -> Ring:
    """Nothing signed with it can be checked any more, and DNS says so as its generation wants."""
    return _move(ring, selector, (State.RETIRING,), lambda key: replace(key, state=State.RETIRED, retired_at=now))


def _move(ring: Ring, selector: str, expected: tuple[State, ...], change: Callable[[RingKey], RingKey]) -> Ring:
    key = ring.get(selector)
    if key is None:
        raise RingError(f"there is no key {selector[:80]}; there are {', '.join(one.selector for one in ring.keys)}")
    if key.state not in expected:
        raise RingError(f"key {selector} is {key.state.value}, not {' or '.join(state.value for state in expected)}")
    return ring.with_key(change(key))


# -- as it stands in the secret ------------------------------------------------------------------------------------


def to_text(ring: Ring) -> str:
    """Return the ring as the secret holds it: JSON with ``keys``."""
    keys = [
        {field.name: value for field in fields(key) if (value := getattr(key, field.name)) not in (None, 0.0, False)}
        for key in ring.keys
    ]
    return orjson.dumps({"keys": keys}).decode()


def from_text(text: str, where: str, created_at: float) -> Ring:
    """Return the ring in a secret's text. Raises RingError that begins with ``where`` and shows nothing of the text.

    ``{"selector", "private_key"}``, one key made by hand, is a ring too: that key is active since ``created_at``.
    """
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError:
        # Without the parser's error as context: it holds the text.
        raise RingError(f"{where} is no JSON") from None
    if not isinstance(document, dict):
        raise RingError(f"{where} is no JSON object")
    if "keys" not in document:
        return bring_in(Ring(), _checked(document.get("selector"), document.get("private_key"), where), created_at)
    if not isinstance(document["keys"], list):
        raise RingError(f"{where}: keys is no list")
    ring = Ring(tuple(_key(entry, f"{where}: keys[{place}]") for place, entry in enumerate(document["keys"])))
    for state in (State.ACTIVE, State.MADE, State.PUBLISHED):
        if sum(key.state is state for key in ring.keys) > 1:
            raise RingError(f"{where} has more than one key that is {state.value}")
    return ring


def _checked(selector: Any, private_key: Any, where: str) -> SigningKey:
    if not isinstance(selector, str) or not isinstance(private_key, str):
        raise RingError(f"{where} must have the strings selector and private_key")
    try:
        return SigningKey.from_pem(selector, private_key)
    except KeyRecordError as error:
        raise RingError(f"{where}: private_key: {error}") from None


def _key(entry: Any, where: str) -> RingKey:
    if not isinstance(entry, Mapping):
        raise RingError(f"{where} is no object")
    values: dict[str, Any] = {}
    for field in fields(RingKey):
        value = entry.get(field.name)
        if value is None:
            continue
        expected = _KINDS.get(field.name, (int, float))
        if not isinstance(value, expected) or (isinstance(value, bool) and expected is not bool):
            raise RingError(f"{where}: {field.name} is of the wrong kind")
        values[field.name] = value
    try:
        values["state"] = State(values.get("state", ""))
        key = RingKey(**values)
    except (TypeError, ValueError):
        raise RingError(f"{where} must have selector, record, made_at and a known state") from None
    if key.state in (State.MADE, State.PUBLISHED, State.ACTIVE):
        if key.private_key is None:
            raise RingError(f"{where} must have the string private_key")
        if _checked(key.selector, key.private_key, where).record != key.record:
            raise RingError(f"{where}: record and private_key are not of one pair")
    return key


_KINDS: Final[Mapping[str, Any]] = {
    "selector": str,
    "record": str,
    "state": str,
    "private_key": str,
    "compromised": bool,
}
