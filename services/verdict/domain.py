"""What the verdict decides. Pure."""

from enum import StrEnum

from shared.events import Outcome
from shared.liveness import Finding, Result
from shared.verification import Verification


class Liveness(StrEnum):
    """What a result means."""

    LIVE = "live"
    NOT_LIVE = "not_live"
    RUNNING = "running"  # not finished yet
    UNDECIDED = "undecided"  # came to nothing: the person may try again
    LOST = "lost"  # it finished, and the evidence is gone: not the person's fault


def judge(result: Result, *, was_captured: bool) -> Liveness:
    """Return what a provider's result means. ``was_captured``: the page has said that the check is done."""
    match result.finding:
        case Finding.LIVE if not result.picture and result.same_person is None:
            # There is nothing to compare: a retry, never a denial.
            return Liveness.UNDECIDED
        case Finding.LIVE:
            return Liveness.LIVE
        case Finding.NOT_LIVE:
            return Liveness.NOT_LIVE
        case Finding.RUNNING:
            return Liveness.RUNNING
        case Finding.UNDECIDED:
            return Liveness.UNDECIDED
        case Finding.EXPIRED:
            return Liveness.LOST if was_captured else Liveness.UNDECIDED


class Match(StrEnum):
    """What the comparison of two pictures says."""

    SAME = "same"
    OTHER = "other"
    NO_FACE = "no_face"  # the check's picture is no use: the person may try again


def outcome_without_check(verification: Verification) -> Outcome:
    """Return how a verification ends whose time or tries are over: trouble of ours is never a denial (rule 10)."""
    return Outcome.ERROR if verification.trouble else Outcome.FAILURE
