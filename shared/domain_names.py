"""Names of internet domains, validated before anything is built from them (RFC 1035 §2.3.1, RFC 1123 §2.1)."""

import re
from functools import lru_cache
from typing import Annotated, Final

from pydantic import AfterValidator

_LONGEST: Final = 253
_LABEL: Final = r"(?!-)[a-z0-9-]{1,63}(?<!-)"
# The last label is not all digits: an address is not a name.
_NAME: Final = re.compile(rf"(?:{_LABEL}\.)+(?![0-9]+\Z){_LABEL}\Z")


# A few names stand in nearly all messages: the receiver's own, and those of its busy senders.
@lru_cache(maxsize=4096)
def domain_name(text: str) -> str:
    """Return ``text`` as a lower-case domain name of at least two labels, without a final dot.

    Raises ValueError in one line when it is none.
    """
    name = text.lower()
    if len(name) > _LONGEST or not _NAME.match(name):
        shown = name if len(name) <= 60 else name[:57] + "..."  # noqa: PLR2004 - what fits on a line
        raise ValueError(f"{shown!r} is no domain name")
    return name


DomainName = Annotated[str, AfterValidator(domain_name)]
