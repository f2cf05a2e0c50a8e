"""The JSON Canonicalization Scheme (RFC 8785): the bytes that are hashed and signed.

``orjson`` with sorted keys writes the very same bytes for most documents and forty times faster, but not for all: it
writes floats in another form, keeps integers that a double cannot hold, and sorts keys by code point where the RFC
sorts by UTF-16 unit. So one walk decides, and what is outside the safe part goes to ``rfc8785``.
"""

from typing import Any, Final

import orjson
import rfc8785

# Integers up to 2**53 - 1 are exact as IEEE 754 doubles; beyond, RFC 8785 §3.2.2.3 wants the double's own digits.
_LARGEST_EXACT: Final = 2**53 - 1
# From here on UTF-16 order and code-point order of keys differ.
_FIRST_SURROGATE: Final = "\ud800"


class NotCanonicalError(ValueError):
    """Raised when a value has no canonical form: NaN, infinity, a lone surrogate, a type that JSON does not have."""


def canonical_bytes(value: Any) -> bytes:
    """Return the RFC 8785 form of ``value`` (what ``orjson.loads`` or ``json.loads`` gives) as UTF-8.

    Raises NotCanonicalError, naming the trouble in one line.
    """
    try:
        if _orjson_agrees(value):
            return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
        return rfc8785.dumps(_as_doubles(value))
    except (rfc8785.CanonicalizationError, orjson.JSONEncodeError, UnicodeEncodeError, RecursionError) as error:
        raise NotCanonicalError(f"no canonical form: {error}") from error


def _orjson_agrees(value: Any) -> bool:
    """Whether orjson's sorted output is byte for byte RFC 8785's for this value."""
    pending = [value]
    while pending:
        item = pending.pop()
        kind = type(item)
        if kind is str or kind is bool or item is None:
            continue
        if kind is dict:
            for key in item:
                if type(key) is not str or not (key.isascii() or max(key) < _FIRST_SURROGATE):
                    return False
            pending.extend(item.values())
        elif kind is list:
            pending.extend(item)
        elif kind is int:
            if not -_LARGEST_EXACT <= item <= _LARGEST_EXACT:
                return False
        else:
            return False
    return True


def _as_doubles(value: Any) -> Any:
    """The value with each integer that a double cannot hold exactly replaced by the nearest double."""
    if isinstance(value, dict):
        return {key: _as_doubles(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_as_doubles(item) for item in value]
    if type(value) is int and not -_LARGEST_EXACT <= value <= _LARGEST_EXACT:
        try:
            return float(value)
        except OverflowError as error:
            raise NotCanonicalError("no canonical form: a number is beyond the range of a double") from error
    return value
