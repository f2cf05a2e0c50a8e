"""Our key records: their names in both generations' branches, their texts, and who can write them.

A record is only ever changed from what it is known to hold: a rotator that slept through a revocation cannot bring a
revoked key back.
"""

from typing import Final, Protocol

from shared.envelope import key_name
from shared.errors import FacescanError
from shared.generation import Generation

_MOST_STRING_BYTES: Final = 255


class RecordTakenError(FacescanError):
    """Raised when a name holds a record that is neither what was there nor what is to be there."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} holds another record: it is not changed; see: facescan dns check")


class RecordWriter(Protocol):
    """Writes TXT records into our zones."""

    async def write(self, name: str, text: str, *, instead_of: str | None = None) -> None:
        """Let the TXT record at ``name`` be ``text``, where there is none, or ``instead_of``, or it is so already.

        Returns when every authoritative server that the writer knows of has it. Raises RecordTakenError,
        UnavailableError, ConfigurationError.
        """


def record_names(selector: str, domain: str) -> dict[Generation, str]:
    """Return where the key of ``selector`` is looked up, by generation (protocol §1, §2)."""
    return {generation: key_name(generation, selector, domain) for generation in Generation}


def revoked(record: str) -> str:
    """Return the record that says that this key is revoked: the same with an empty ``p`` (RFC 6376 §3.6.1)."""
    return record.partition(";p=")[0] + ";p="


def txt_strings(text: str) -> list[str]:
    """Return ``text`` as the strings of one TXT record, at most 255 bytes each (RFC 1035 §3.3.14)."""
    return [text[at : at + _MOST_STRING_BYTES] for at in range(0, len(text), _MOST_STRING_BYTES)] or [""]


def zone_file_line(name: str, text: str, ttl_seconds: int) -> str:
    """Return the record as a line of a zone file, for a person to publish (RFC 1035 §5.1)."""
    strings = " ".join(f'"{part}"' for part in txt_strings(text))
    return f"{name}. {ttl_seconds} IN TXT {strings}"
