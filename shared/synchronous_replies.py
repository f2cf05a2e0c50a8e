"""The reply to a synchronous message: read within bounds, and known to be the reply to this message (protocol §8)."""

from collections.abc import Mapping
from typing import Any, Final

from shared.strict_json import JsonBounds, JsonError, parse_json

# A manifest is the largest reply that everybody gives: lists of codes, with a few members each.
_BOUNDS: Final = JsonBounds(most_depth=32, most_values=20_000)
_MEMBERS: Final = frozenset({"Meta", "Request", "Response"})


class ReplyError(ValueError):
    """Raised when an answer's body is no reply, or the reply to another message; one line, without its contents."""


def read_reply(body: bytes, *, sender: str | None = None, correlation: str | None = None) -> dict[str, Any] | None:
    """Return the ``Response`` in the body of a 2xx, or None when the answer only acknowledges. Raises ReplyError.

    A reply has ``Meta``, ``Request`` and ``Response`` alone at the top, ``Response`` a mapping; a bare mapping is the
    response itself; nothing, or an empty mapping, is how an asynchronous message is acknowledged. Where ``Request``
    repeats the message's header, that must be the header of ``sender``'s message ``correlation``, if these are given.
    """
    if not body.strip():
        return None
    try:
        document = parse_json(body, _BOUNDS)
    except JsonError as error:
        raise ReplyError(f"the reply is not taken: {error}") from error
    if not isinstance(document, dict):
        raise ReplyError("the reply is no JSON object")
    if not document:
        return None
    if "Response" not in document:
        if document.keys() <= _MEMBERS:
            raise ReplyError("Response: missing")
        return document
    response = document["Response"]
    if not isinstance(response, dict):
        raise ReplyError("Response: not an object")
    if not document.keys() <= _MEMBERS:
        raise ReplyError("the reply has more at its top than Meta, Request and Response")
    wanted = {"From": sender, "Correlation": correlation}
    _check_request(document.get("Request"), {name: value for name, value in wanted.items() if value is not None})
    return response


def _check_request(request: Any, wanted: Mapping[str, str]) -> None:
    header = request.get("Header") if isinstance(request, dict) else None
    if not isinstance(header, dict):
        return
    for name, value in wanted.items():
        repeated = header.get(name)
        if repeated is not None and str(repeated).lower() != value:
            raise ReplyError(f"Request.Header.{name}: the reply is to another message")
