"""What Async Post decides: what an answer means. Pure; when to try again is in ``shared.deliveries``."""

from typing import Final

from shared.deliveries import Answer, Meaning
from shared.outbound_errors import PERMANENT

# A message whose Timestamp is older than this is signed again before it is sent: receivers' windows are minutes.
STALE_SECONDS: Final = 60.0

_TRY_AGAIN: Final = frozenset({408, 425, 429})
_SERVER_ERROR: Final = 500
_SUCCESS: Final = range(200, 300)


def meaning(answer: Answer) -> Meaning:
    """Return what to do: 2xx settles; 408, 425, 429, 5xx and no answer are tried again; the rest is refused.

    A redirect is refused too: a message goes where DNS says and nowhere else (rule 11).
    """
    status = answer.status
    if status is None and answer.trouble in PERMANENT:
        return Meaning.REFUSED  # a certificate of another name or of nobody known: a person there must act
    if status is None or status in _TRY_AGAIN or status >= _SERVER_ERROR:
        return Meaning.TRY_AGAIN
    return Meaning.DELIVERED if status in _SUCCESS else Meaning.REFUSED
