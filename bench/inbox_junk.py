"""Kinds of junk made from a good message, all refused before its signature is checked but the last."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson


def _changed(message: bytes, **members: Any) -> bytes:
    document = orjson.loads(message)
    document["Header"].update(members)
    return orjson.dumps(document)


def _forged(message: bytes) -> bytes:
    document = orjson.loads(message)
    signature: str = document["Signature"]
    document["Signature"] = ("B" if signature[0] == "A" else "A") + signature[1:]
    return orjson.dumps(document)


JUNK: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    "no JSON": lambda message: message[: len(message) // 2],
    "bytes": lambda message: bytes(byte ^ 0x5A for byte in message),
    "too deep": lambda message: b"[" * len(message),
    "no message": lambda _: b"{}",
    "for somebody else": lambda message: _changed(message, To="other.example"),
    "too old": lambda message: _changed(message, Timestamp="2018-12-10T13:45:00.000Z"),
    "unknown subject": lambda message: _changed(message, Subject="Nothing@Nobody"),
    "changed": lambda message: _changed(message, Correlation="125a5c75-cb72-43d2-9695-37026dfcaa48"),
    "signature forged": _forged,
}
