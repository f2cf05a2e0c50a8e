"""What a provider's result means, for every status; what a verification ends with."""

import itertools

import pytest

from services.verdict.domain import Liveness, judge, outcome_without_check
from shared.events import Outcome
from shared.liveness import Finding, Result
from shared.verification import State, Verification

PICTURE = b"picture"
OTHERS = {
    # page silent, page said "done"
    Finding.NOT_LIVE: (Liveness.NOT_LIVE, Liveness.NOT_LIVE),
    Finding.RUNNING: (Liveness.RUNNING, Liveness.RUNNING),
    Finding.UNDECIDED: (Liveness.UNDECIDED, Liveness.UNDECIDED),
    Finding.EXPIRED: (Liveness.UNDECIDED, Liveness.LOST),
}


@pytest.mark.parametrize("was_captured", [False, True])
def test_a_live_person_without_anything_to_compare_may_try_again(was_captured: bool) -> None:
    for picture, same, meaning in [
        (None, None, Liveness.UNDECIDED),
        (b"", None, Liveness.UNDECIDED),
        (PICTURE, None, Liveness.LIVE),
        (None, True, Liveness.LIVE),
        (None, False, Liveness.LIVE),
    ]:
        assert judge(Result(Finding.LIVE, picture, same), was_captured=was_captured) is meaning


def test_nothing_but_a_finding_of_live_is_live_whatever_comes_with_it() -> None:
    assert {*OTHERS, Finding.LIVE} == set(Finding)
    for finding, (silent, captured) in OTHERS.items():
        for picture, same in itertools.product((None, PICTURE), (None, True, False)):
            result = Result(finding, picture, same)
            assert judge(result, was_captured=False) is silent
            assert judge(result, was_captured=True) is captured


@pytest.mark.parametrize(("trouble", "outcome"), [(True, Outcome.ERROR), (False, Outcome.FAILURE)])
def test_trouble_of_ours_is_never_a_denial(trouble: bool, outcome: Outcome) -> None:
    ended = Verification("v", State.OPENED, "l", 0, 0, trouble=trouble)
    assert outcome_without_check(ended) is outcome
