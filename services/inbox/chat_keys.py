"""The key of a chat as brokers write it: a DKIM record, PEM, or base64 of the raw key or its SubjectPublicKeyInfo."""

import base64
import binascii
import re
from typing import Final

from shared.keys import KeyProblem, KeyRecordError, key_record, parse_key_record

_ARMOUR: Final = re.compile(r"-----(?:BEGIN|END) PUBLIC KEY-----")
_WHITE: Final = re.compile(r"\s+")
# RFC 8410 §4: all that stands before the 32 bytes of an Ed25519 key in its SubjectPublicKeyInfo.
_ED25519_PREFIX: Final = bytes.fromhex("302a300506032b6570032100")
_ED25519_BYTES: Final = 32


def chat_key_record(text: str) -> str:
    """Return the key as a DKIM record, checked as a domain's key is. Raises KeyRecordError."""
    if "=" in text.partition(";")[0] and ";" in text:
        return key_record(parse_key_record(text))
    encoded = _WHITE.sub("", _ARMOUR.sub("", text))
    try:
        material = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise KeyRecordError(KeyProblem.MALFORMED, "neither a DKIM record nor PEM nor base64") from error
    raw = material.removeprefix(_ED25519_PREFIX)
    kind = "ed25519" if len(raw) == _ED25519_BYTES else "rsa"
    return key_record(parse_key_record(f"v=DKIM1;k={kind};p={base64.b64encode(raw).decode()}"))
