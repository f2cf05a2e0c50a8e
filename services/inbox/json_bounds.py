"""How deep and how full a JSON text may be, found out without parsing it.

A few counts clear an ordinary message. Only what they cannot clear is looked at closely, in passes over its bytes that
run in C: nothing that a sender writes makes this slower than parsing would be.
"""

from dataclasses import dataclass
from typing import Final

_NOT_STRUCTURE: Final = bytes(code for code in range(256) if code not in b"{}[]:")
# One kind of bracket: whether they match is the parser's business.
_BRACKETS: Final = bytes.maketrans(b"{}", b"[]")


@dataclass(frozen=True, slots=True)
class JsonBounds:
    """The most levels of objects and arrays, names of members, objects and arrays together, and strings."""

    depth: int = 32
    names: int = 1000
    containers: int = 1000
    strings: int = 5000


def beyond(data: bytes, bounds: JsonBounds) -> str | None:
    """Return which bound a JSON text breaks, in words, or None. What is no JSON may pass: a parser finds that."""
    containers, names = data.count(b"{") + data.count(b"["), data.count(b":")
    few_strings = data.count(b'"') <= 2 * bounds.strings
    if few_strings and containers <= min(bounds.depth, bounds.containers) and names <= bounds.names:
        return None
    plain = data.replace(b"\\\\", b"").replace(b'\\"', b"") if b"\\" in data else data
    if plain.count(b'"') > 2 * bounds.strings:
        return f"more than {bounds.strings} strings"
    structure = b"".join(plain.split(b'"')[::2]).translate(None, _NOT_STRUCTURE)
    if structure.count(b":") > bounds.names:
        return f"more than {bounds.names} names"
    if structure.count(b"{") + structure.count(b"[") > bounds.containers:
        return f"more than {bounds.containers} objects and arrays"
    brackets = structure.translate(_BRACKETS, b":")
    return f"deeper than {bounds.depth} levels" if _deeper(brackets, bounds.depth) else None


def _deeper(brackets: bytes, depth: int) -> bool:
    for _ in range(depth):
        left = brackets.replace(b"[]", b"")  # takes the innermost level off everywhere
        if len(left) == len(brackets):
            break
        brackets = left
    return brackets.count(b"[") > (0 if b"[]" in brackets else depth)
