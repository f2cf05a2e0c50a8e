"""Why a request to somebody else's server got no answer."""

from enum import StrEnum
from typing import Final

from shared.errors import FacescanError


class Trouble(StrEnum):
    """What kept an answer away; the words are reason codes and metric labels too."""

    DNS = "dns"
    ADDRESS = "address"  # the name leads only to places that must not be connected to
    CONNECT = "connect"
    TIMEOUT = "timeout"
    CERTIFICATE = "certificate"
    CERTIFICATE_EXPIRED = "certificate_expired"  # or not valid yet: time, or its owner, will mend it
    TLS = "tls"
    CLOSED = "closed"  # the connection ended before the answer did
    NOT_HTTP = "not_http"
    TOO_LARGE = "too_large"
    URL = "url"


# What another try will not change until somebody changes something on the other side.
PERMANENT: Final = frozenset({Trouble.CERTIFICATE})


class OutboundError(FacescanError):
    """Raised when a request got no answer; ``trouble`` says why."""

    def __init__(self, trouble: Trouble, detail: str) -> None:
        super().__init__(detail)
        self.trouble = trouble
