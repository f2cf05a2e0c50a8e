"""What comes of one delivery over HTTP, and when to try again: the same schedule for whatever is delivered. Pure."""

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Final

from shared.clock import now_utc

# Seconds between the tries of one message: 5 s to 10 h, over 27 h in all.
RETRY_SCHEDULE_SECONDS: Final = (5.0, 30.0, 300.0, 1800.0, 7200.0, 18000.0, 36000.0, 36000.0)
# Up to this share is added, so that the messages of one outage do not all come back at once.
JITTER: Final = 0.1
# A receiver may ask for more patience by Retry-After, within bounds: neither hurry nor eternity.
_LEAST_RETRY_AFTER_SECONDS: Final = 1.0
_MOST_RETRY_AFTER_SECONDS: Final = 3600.0


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


def retry_after(text: str | None) -> float | None:
    """Return the seconds that an answer's header Retry-After asks for (RFC 9110 §10.2.3), or None."""
    if text is None:
        return None
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - now_utc()).total_seconds())
    except (TypeError, ValueError, OverflowError):
        return None
