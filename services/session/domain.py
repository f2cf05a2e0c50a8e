"""What the session service decides. Pure."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from shared.verification import ENDED, State, Verification


class Screen(StrEnum):
    """What the scan page shows."""

    START = "start"
    CHECK = "check"
    ANSWER = "answer"
    WAIT = "wait"
    FINISHED = "finished"
    EXPIRED = "expired"
    USED_UP = "used_up"
    LATER = "later"


_ASKING: Final = {State.ASKED: Screen.ANSWER, State.ANSWERED: Screen.WAIT}


def screen(verification: Verification, now: datetime, most_attempts: int) -> Screen:
    """Return what a person who opens the page sees; never the outcome (rule 9)."""
    if verification.state in ENDED:
        return Screen.FINISHED
    if verification.expired(now):
        return Screen.EXPIRED
    if verification.attempt_open or verification.state in _ASKING:
        return _ASKING.get(verification.state, Screen.WAIT if verification.state is State.CAPTURED else Screen.CHECK)
    if verification.tries_used >= most_attempts:
        return Screen.USED_UP
    if verification.blocked:
        return Screen.LATER
    return Screen.START


def attempt_end(now: datetime, verification_end: int, attempt_seconds: float) -> datetime:
    """Return when an attempt that starts now is over: before the provider forgets it and with the verification."""
    return min(now + timedelta(seconds=attempt_seconds), datetime.fromtimestamp(verification_end, now.tzinfo))
