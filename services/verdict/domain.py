"""What the verdict decides. Pure."""

from dataclasses import dataclass
from enum import StrEnum

from shared.events import Outcome
from shared.verification import Verification


class SessionStatus(StrEnum):
    """What a provider says of a liveness session; ``gone`` is a session that it no longer knows."""

    CREATED = "CREATED"
    IN_PROGRESS = "IN_PROGRESS"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    EXPIRED = "EXPIRED"
    GONE = "GONE"


@dataclass(frozen=True, slots=True)
class Result:
    """A provider's result: the confidence in percent that the person is live, and the reference picture."""

    status: SessionStatus
    confidence_percent: float | None = None
    picture: bytes | None = None


class Liveness(StrEnum):
    """What a result means."""

    LIVE = "live"
    NOT_LIVE = "not_live"
    RUNNING = "running"  # not finished yet
    UNDECIDED = "undecided"  # came to nothing: the person may try again
    LOST = "lost"  # it finished, and the evidence is gone: not the person's fault


def judge(result: Result, least_confidence_percent: float, *, was_captured: bool) -> Liveness:
    """Return what a result means. ``was_captured``: the page has said that the check is done.

    SUCCEEDED only says that the analysis has finished: the threshold is ours. A missing reference picture is a retry,
    never a denial.
    """
    match result.status:
        case SessionStatus.SUCCEEDED if result.confidence_percent is None:
            return Liveness.UNDECIDED
        case SessionStatus.SUCCEEDED if (result.confidence_percent or 0.0) < least_confidence_percent:
            return Liveness.NOT_LIVE
        case SessionStatus.SUCCEEDED:
            return Liveness.LIVE if result.picture else Liveness.UNDECIDED
        case SessionStatus.CREATED | SessionStatus.IN_PROGRESS:
            return Liveness.RUNNING
        case SessionStatus.FAILED:
            return Liveness.UNDECIDED
        case SessionStatus.EXPIRED | SessionStatus.GONE:
            return Liveness.LOST if was_captured else Liveness.UNDECIDED


class Match(StrEnum):
    """What the comparison of two pictures says."""

    SAME = "same"
    OTHER = "other"
    NO_FACE = "no_face"  # the check's picture is no use: the person may try again


def outcome_of(match: Match) -> Outcome | None:
    """Return the outcome of a live check, or None when the picture was no use."""
    return {Match.SAME: Outcome.SUCCESS, Match.OTHER: Outcome.FAILURE, Match.NO_FACE: None}[match]


def outcome_without_check(verification: Verification) -> Outcome:
    """Return how a verification ends whose time or tries are over: trouble of ours is never a denial (rule 10)."""
    return Outcome.ERROR if verification.trouble else Outcome.FAILURE
