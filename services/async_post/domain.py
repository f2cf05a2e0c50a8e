"""What Async Post decides: what an answer means, and when to try again. Pure."""

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from shared.outbound_errors import PERMANENT

# Seconds between the tries of one message: 5 s to 10 h, over 27 h in all.
RETRY_SCHEDULE_SECONDS: Final = (5.0, 30.0, 300.0, 1800.0, 7200.0, 18000.0, 36000.0, 36000.0)
# Up to this share is added, so that the messages of one outage do not all come back at once.
JITTER: Final = 0.1
# A receiver may ask for more patience by Retry-After, within bounds: neither hurry nor eternity.
_LEAST_RETRY_AFTER_SECONDS: Final = 1.0
_MOST_RETRY_AFTER_SECONDS: Final = 3600.0

# A message whose Timestamp is older than this is signed again before it is sent: receivers' windows are minutes.
STALE_SECONDS: Final = 60.0

_TRY_AGAIN: Final = frozenset({408, 425, 429})
_CLIENT_ERROR: Final = 400
_SERVER_ERROR: Final = 500
_SUCCESS: Final = range(200, 300)


class Meaning(StrEnum):
    """What a delivery's answer means."""

    DELIVERED = "delivered"
    TRY_AGAIN = "try_again"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Answer:
    """A receiver's answer: the HTTP status, or None when there was none and ``trouble`` says why."""

    status: int | None
    trouble: str = ""
    retry_after_seconds: float | None = None


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


def next_try(
    attempt: int, now: datetime, give_up_at: datetime, answer: Answer, chance: random.Random
) -> datetime | None:
    """Return when to try again after ``attempt`` (from 1) has failed, or None when it is given up."""
    if attempt > len(RETRY_SCHEDULE_SECONDS):
        return None
    wait = RETRY_SCHEDULE_SECONDS[attempt - 1] * (1 + JITTER * chance.random())
    if answer.retry_after_seconds is not None:
        asked = min(max(answer.retry_after_seconds, _LEAST_RETRY_AFTER_SECONDS), _MOST_RETRY_AFTER_SECONDS)
        wait = max(wait, asked)
    moment = now + timedelta(seconds=wait)
    return moment if moment < give_up_at else None
