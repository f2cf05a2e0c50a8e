"""How much proof is asked for: each rule at its edges; for generated facts, that more risk never means less proof."""

from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.verdict.domain import Match
from services.verdict.policy import (
    Conclusion,
    Facts,
    Limits,
    Past,
    Proof,
    Risk,
    Shown,
    Terms,
    conclude,
    conclude_answer,
    distance_kilometres,
    facts_of,
    locked_until,
    proof_for,
    within_reach,
)
from services.verdict.settings import VerdictSettings
from shared.events import Context
from shared.factors import Factor

NOW = 1_800_000_000.0
DAY = 86_400.0
LIMITS = Limits(skip_seconds=300)
PHONE, LAPTOP = "phone-phone-phone", "laptop-laptop-lap"
LISBON = Context(device=PHONE, country="PT", latitude=38.72, longitude=-9.14)
CASCAIS = LISBON.model_copy(update={"latitude": 38.70, "longitude": -9.18})  # 4 km away
PORTO = LISBON.model_copy(update={"latitude": 41.15, "longitude": -8.61})  # 274 km away
MADRID = LISBON.model_copy(update={"country": "ES", "latitude": 40.42, "longitude": -3.70})
FUNCHAL = LISBON.model_copy(update={"latitude": 32.65, "longitude": -16.91})  # 970 km away, the same country
JUST_NOW = Past(NOW - 100, success=True, requester_class="shops", context=LISBON)


def facts(context: Context = LISBON, *past: Past, **more: Any) -> Facts:
    fields: dict[str, Any] = {"now": NOW, "enrolled_at": NOW - DAY, "requester_class": "shops", "limits": LIMITS}
    return facts_of(context, past, **{**fields, **more})


def failures(*ages_seconds: float) -> list[Past]:
    return [Past(NOW - age, success=False) for age in ages_seconds]


# -- what is recent --------------------------------------------------------------------------------------------------


def test_a_success_of_a_moment_ago_on_the_same_device_near_and_for_the_same_class_stands_for_the_scan() -> None:
    for context in (LISBON, CASCAIS):
        assert facts(context, JUST_NOW) == Facts(recent=True)
        assert proof_for(facts(context, JUST_NOW)) is Proof.NOTHING


@pytest.mark.parametrize(
    ("context", "past", "more"),
    [
        (LISBON.model_copy(update={"device": LAPTOP}), JUST_NOW, {}),
        (LISBON.model_copy(update={"device": None}), JUST_NOW, {}),
        (LISBON.model_copy(update={"device": None}), replace(JUST_NOW, context=Context(country="PT")), {}),
        (PORTO, JUST_NOW, {}),
        (LISBON.model_copy(update={"latitude": None}), JUST_NOW, {}),
        (LISBON.model_copy(update={"longitude": None}), JUST_NOW, {}),
        (LISBON, replace(JUST_NOW, context=LISBON.model_copy(update={"latitude": None})), {}),
        (LISBON, replace(JUST_NOW, context=LISBON.model_copy(update={"longitude": None})), {}),
        (LISBON, replace(JUST_NOW, at=NOW - 300), {}),
        (LISBON, replace(JUST_NOW, at=NOW + 1), {}),
        (LISBON, replace(JUST_NOW, success=False), {}),
        (LISBON, JUST_NOW, {"requester_class": "banks"}),
        (LISBON, JUST_NOW, {"limits": Limits()}),
    ],
    ids=[
        "another device", "device withheld", "no device then either", "275 km away", "half a place", "the other half",
        "half a place then", "the other half then", "too old", "not yet", "a failure", "another class", "off",
    ],
)  # fmt: skip
def test_each_difference_alone_asks_for_a_scan(context: Context, past: Past, more: dict[str, Any]) -> None:
    found = facts(context, past, **more)
    assert not found.recent
    assert proof_for(found) >= Proof.SCAN


def test_a_success_is_recent_until_its_last_second_and_from_its_first() -> None:
    assert facts(LISBON, replace(JUST_NOW, at=NOW - 299.9)).recent
    assert facts(LISBON, replace(JUST_NOW, at=NOW)).recent


def test_a_failure_after_the_success_ends_its_standing_for_a_scan() -> None:
    assert not facts(LISBON, JUST_NOW, *failures(99)).recent
    assert not facts(LISBON, JUST_NOW, *failures(100)).recent
    assert facts(LISBON, JUST_NOW, *failures(101)).recent


# -- what is risky ---------------------------------------------------------------------------------------------------


def test_nothing_remembered_is_no_risk() -> None:
    for context in (Context(), LISBON):
        assert facts(context) == Facts()
        assert facts(context, enrolled_at=0) == Facts()


OLD = replace(JUST_NOW, at=NOW - DAY)


@pytest.mark.parametrize(
    ("context", "risks"),
    [
        (LISBON, set()),
        (CASCAIS, set()),
        (PORTO, set()),
        (FUNCHAL, {Risk.ELSEWHERE}),
        (MADRID, {Risk.ELSEWHERE}),
        (LISBON.model_copy(update={"country": "ES"}), {Risk.ELSEWHERE}),
        (LISBON.model_copy(update={"country": None}), {Risk.ELSEWHERE}),
        (LISBON.model_copy(update={"latitude": None, "longitude": None}), {Risk.ELSEWHERE}),
        (LISBON.model_copy(update={"device": LAPTOP}), {Risk.NEW_DEVICE}),
        (LISBON.model_copy(update={"device": None}), {Risk.NEW_DEVICE}),
        (MADRID.model_copy(update={"device": LAPTOP}), {Risk.NEW_DEVICE, Risk.ELSEWHERE}),
        (Context(), {Risk.NEW_DEVICE, Risk.ELSEWHERE}),
    ],
)
def test_what_differs_from_every_remembered_success_or_is_withheld_is_a_risk(
    context: Context, risks: set[Risk]
) -> None:
    assert facts(context, OLD) == Facts(risks=frozenset(risks))
    # Failures teach nothing about what is usual, nor does a success of which nothing is known.
    also = [Past(NOW - DAY, success=False, context=context), Past(NOW - DAY, success=True)]
    assert facts(context, OLD, *also) == Facts(risks=frozenset(risks))


def test_any_remembered_success_makes_its_device_and_place_known() -> None:
    abroad = replace(OLD, context=MADRID.model_copy(update={"device": LAPTOP}))
    for context in (LISBON, MADRID, MADRID.model_copy(update={"device": LAPTOP})):
        assert facts(context, OLD, abroad) == Facts()


def test_a_device_is_known_though_places_never_were() -> None:
    assert facts(MADRID, replace(OLD, context=Context(device=PHONE))) == Facts()
    assert facts(LISBON, replace(OLD, context=Context(country="ES"))) == Facts(risks=frozenset([Risk.ELSEWHERE]))


@pytest.mark.parametrize("half", ["latitude", "longitude"])
def test_half_a_place_is_none_that_another_could_be_far_from(half: str) -> None:
    assert facts(LISBON, replace(OLD, context=LISBON.model_copy(update={half: None}))) == Facts()


def test_a_long_absence_counts_from_the_last_success_or_the_enrolment() -> None:
    absent = Facts(risks=frozenset([Risk.LONG_ABSENT]))
    long, less = NOW - 180 * DAY - 1, NOW - 180 * DAY
    assert facts(enrolled_at=long) == absent
    assert facts(enrolled_at=less) == Facts()
    assert facts(LISBON, replace(OLD, at=long), enrolled_at=long) == absent
    assert facts(LISBON, replace(OLD, at=less), enrolled_at=long) == Facts()
    assert facts(LISBON, replace(OLD, at=long), enrolled_at=less) == Facts()
    assert facts(LISBON, replace(OLD, at=long), enrolled_at=0) == absent
    assert facts(LISBON, *[replace(one, at=NOW - 1) for one in failures(0)], enrolled_at=long) == absent
    assert facts(LISBON, Past(0.0, success=True), enrolled_at=0) == Facts()
    assert facts(LISBON, Past(1.0, success=True), enrolled_at=0) == absent


def test_the_second_failure_within_the_window_is_a_risk() -> None:
    lately = Facts(risks=frozenset([Risk.FAILED_LATELY]))
    assert facts(LISBON, *failures(1)) == Facts()
    assert facts(LISBON, *failures(1, 2)) == lately
    assert facts(LISBON, *failures(0, 899)) == lately
    assert facts(LISBON, *failures(0, 900)) == Facts()
    assert facts(LISBON, *failures(1), replace(OLD, at=NOW - 1)) == Facts()


# -- lock-out --------------------------------------------------------------------------------------------------------


def test_five_failures_within_the_window_lock_out_for_half_an_hour() -> None:
    at = [NOW - age for age in (899.0, 30.0, 20.0, 10.0, 0.0)]
    assert locked_until(at[:4], LIMITS) == 0.0
    assert locked_until([NOW - 900.0, *at[1:]], LIMITS) == 0.0
    assert locked_until(at, LIMITS) == NOW + 1800
    past = failures(899.0, 30.0, 20.0, 10.0, 0.0)
    assert facts(LISBON, *past).locked
    assert facts(LISBON, *past, now=NOW + 1799.9).locked
    assert not facts(LISBON, *past, now=NOW + 1800).locked
    assert not facts(LISBON, *past[1:], JUST_NOW).locked


def test_each_further_lock_out_within_a_day_is_twice_as_long_and_none_longer_than_a_day() -> None:
    rounds = [[NOW + number * 3600 + second for second in range(5)] for number in range(8)]
    lasts = [
        locked_until([at for one in rounds[: number + 1] for at in one], LIMITS) - rounds[number][-1]
        for number in range(8)
    ]
    assert lasts == [1800, 3600, 7200, 14_400, 28_800, 57_600, DAY, DAY]
    assert locked_until([*rounds[0], *[at + DAY for at in rounds[0]]], LIMITS) == rounds[0][-1] + DAY + 1800


def test_the_longest_lock_out_is_what_counts() -> None:
    early = [NOW + second for second in range(10)]
    late = [NOW + 2000 + second for second in range(4)]
    assert locked_until([*early, *late], LIMITS) == early[-1] + 3600


# -- what is asked, and what a check leads to ------------------------------------------------------------------------


def test_proofs_are_ordered_from_least_to_most() -> None:
    assert [one.words for one in sorted(Proof)] == [
        "nothing", "scan", "scan and question", "scan and code", "scan twice", "scan twice and code", "locked",
    ]  # fmt: skip
    assert sorted(Proof) == list(Proof)


def test_each_proof_says_how_many_scans_and_which_factor_it_takes() -> None:
    assert {one: (one.scans, one.factor) for one in Proof if one < Proof.LOCKED} == {
        Proof.NOTHING: (0, None),
        Proof.SCAN: (1, None),
        Proof.SCAN_AND_QUESTION: (1, Factor.QUESTION),
        Proof.SCAN_AND_CODE: (1, Factor.CODE),
        Proof.SCAN_TWICE: (2, None),
        Proof.SCAN_TWICE_AND_CODE: (2, Factor.CODE),
    }
    assert Proof.LOCKED.factor is None


ALL_FACTS = [
    Facts(locked=locked, recent=recent, risks=frozenset(risk for risk, holds in zip(Risk, held, strict=True) if holds))
    for locked, recent, *held in product([False, True], repeat=2 + len(Risk))
]
ASKED = [one for one in Proof if Proof.NOTHING < one < Proof.LOCKED]
TERMS = list(product(ASKED, [True, False]))
STEPS = [replace(LIMITS, step_up=one, step_up_more=more) for one, more in product(ASKED[1:], repeat=2)]
ENROLLED: list[set[Factor]] = [set(), {Factor.QUESTION}, {Factor.CODE}, set(Factor)]


@pytest.mark.parametrize(("least", "may_skip"), TERMS)
def test_each_combination_of_facts_has_its_proof(least: Proof, may_skip: bool) -> None:
    for one, limits in product(ALL_FACTS, [LIMITS, *STEPS]):
        proof = proof_for(one, least, may_skip=may_skip, limits=limits)
        if one.locked:
            assert proof is Proof.LOCKED
        elif one.risks:
            more = limits.step_up_more if len(one.risks) > 1 else limits.step_up
            assert proof is max(least, limits.step_up, more)
        elif one.recent and may_skip and least is Proof.SCAN:
            assert proof is Proof.NOTHING
        else:
            assert proof is least
    assert proof_for(Facts()) is Proof.SCAN
    assert proof_for(Facts(recent=True)) is Proof.NOTHING
    assert proof_for(Facts(risks=frozenset([Risk.ELSEWHERE]))) is Proof.SCAN_TWICE
    assert proof_for(Facts(risks=frozenset([Risk.ELSEWHERE, Risk.NEW_DEVICE]))) is Proof.SCAN_TWICE_AND_CODE


@pytest.mark.parametrize(("least", "may_skip"), TERMS)
def test_more_risk_never_means_less_proof(least: Proof, may_skip: bool) -> None:
    """Whatever the steps, and whatever the person has enrolled."""
    riskier = [
        (one, other)
        for one, other in product(ALL_FACTS, repeat=2)
        if one.locked <= other.locked and one.risks <= other.risks and one.recent >= other.recent
    ]
    for limits in STEPS:
        wanted = {one: proof_for(one, least, may_skip=may_skip, limits=limits) for one in ALL_FACTS}
        for one, other in riskier:
            assert wanted[one] <= wanted[other]
    for one in ALL_FACTS:
        assert proof_for(one, least, may_skip=may_skip) <= proof_for(one, ASKED[-1], may_skip=may_skip)
        assert proof_for(one, least, may_skip=True) <= proof_for(one, least, may_skip=False)


@pytest.mark.parametrize("enrolled", ENROLLED)
def test_more_wanted_never_means_less_asked_for(enrolled: set[Factor]) -> None:
    for one, other in product(Proof, repeat=2):
        if one <= other:
            assert within_reach(one, enrolled) <= within_reach(other, enrolled)


@pytest.mark.parametrize("enrolled", ENROLLED)
def test_what_a_person_lacks_is_made_up_for_by_more_and_by_the_most_there_is(enrolled: set[Factor]) -> None:
    for wanted in Proof:
        asked = within_reach(wanted, enrolled)
        assert asked.factor is None or asked.factor in enrolled
        if wanted.factor is None or wanted.factor in enrolled:
            assert asked is wanted
        elif wanted is Proof.SCAN_TWICE_AND_CODE:
            assert asked is Proof.SCAN_TWICE
        else:
            assert wanted < asked < Proof.LOCKED
    assert within_reach(Proof.SCAN_AND_QUESTION, {Factor.CODE}) is Proof.SCAN_AND_CODE
    assert within_reach(Proof.SCAN_AND_QUESTION, set()) is Proof.SCAN_TWICE
    assert within_reach(Proof.SCAN_AND_CODE, {Factor.QUESTION}) is Proof.SCAN_TWICE


ASKING = [one for one in Proof if one.factor and one < Proof.LOCKED]
ANSWERED = frozenset(Factor)


@pytest.mark.parametrize(
    ("match", "proof", "shown", "conclusion"),
    [
        (Match.SAME, Proof.NOTHING, Shown(), Conclusion.SUCCESS),
        (Match.SAME, Proof.SCAN, Shown(), Conclusion.SUCCESS),
        (Match.SAME, Proof.SCAN, Shown(passes=1), Conclusion.SUCCESS),
        (Match.SAME, Proof.SCAN_TWICE, Shown(), Conclusion.ONCE_MORE),
        (Match.SAME, Proof.SCAN_TWICE, Shown(passes=1), Conclusion.SUCCESS),
        (Match.SAME, Proof.SCAN_TWICE, Shown(passes=2), Conclusion.SUCCESS),
        (Match.SAME, Proof.SCAN_AND_CODE, Shown(factors=ANSWERED), Conclusion.SUCCESS),
        (Match.SAME, Proof.SCAN_AND_CODE, Shown(factors=frozenset([Factor.QUESTION])), Conclusion.ASK),
        (Match.SAME, Proof.SCAN_AND_QUESTION, Shown(factors=frozenset([Factor.CODE])), Conclusion.ASK),
        (Match.SAME, Proof.SCAN_TWICE_AND_CODE, Shown(factors=ANSWERED), Conclusion.ONCE_MORE),
        (Match.SAME, Proof.SCAN_TWICE_AND_CODE, Shown(passes=1, factors=ANSWERED), Conclusion.SUCCESS),
        *[(match, proof, Shown(passes=2), Conclusion.ASK) for match in (Match.SAME, Match.OTHER) for proof in ASKING],
        *[(match, Proof.LOCKED, Shown(passes, factors=ANSWERED), Conclusion.FAILURE)
          for match in Match for passes in range(3)],
        *[(Match.OTHER, proof, Shown(passes, factors=ANSWERED), Conclusion.FAILURE)
          for proof in Proof for passes in range(3)],
        *[(Match.NO_FACE, proof, Shown(passes=1), Conclusion.NO_USE) for proof in Proof if proof is not Proof.LOCKED],
    ],
)  # fmt: skip
def test_a_check_leads_to_one_conclusion(match: Match, proof: Proof, shown: Shown, conclusion: Conclusion) -> None:
    assert conclude(match, proof, shown) is conclusion


def answered(proof: Proof, shown: Shown, factor: Factor = Factor.CODE, *, right: bool = True) -> Conclusion:
    return conclude_answer(proof, shown, factor, right=right, most_wrong=3)


@pytest.mark.parametrize(
    ("proof", "shown", "conclusion"),
    [
        (Proof.SCAN_AND_CODE, Shown(passes=1), Conclusion.SUCCESS),
        (Proof.SCAN_TWICE_AND_CODE, Shown(passes=1), Conclusion.ONCE_MORE),
        (Proof.SCAN_TWICE_AND_CODE, Shown(passes=2), Conclusion.SUCCESS),
        (Proof.SCAN_AND_QUESTION, Shown(passes=1), Conclusion.ASK),
        (Proof.SCAN_AND_QUESTION, Shown(passes=1, factors=frozenset([Factor.QUESTION])), Conclusion.SUCCESS),
        (Proof.SCAN, Shown(passes=1), Conclusion.SUCCESS),
        (Proof.SCAN_TWICE, Shown(passes=1), Conclusion.ONCE_MORE),
        (Proof.LOCKED, Shown(passes=2), Conclusion.FAILURE),
    ],
)
def test_a_right_answer_leads_on_as_what_is_asked_by_then_says(
    proof: Proof, shown: Shown, conclusion: Conclusion
) -> None:
    assert answered(proof, shown) is conclusion
    assert answered(proof, replace(shown, wrong_answers=2)) is conclusion


@pytest.mark.parametrize("proof", Proof)
def test_no_answer_makes_up_for_a_check_that_failed(proof: Proof) -> None:
    for factor in Factor:
        assert answered(proof, Shown(passes=2, refused=True), factor) is Conclusion.FAILURE


@pytest.mark.parametrize("proof", [one for one in Proof if one is not Proof.LOCKED])
def test_a_wrong_answer_is_asked_for_again_until_the_last_and_says_nothing_of_the_check(proof: Proof) -> None:
    for refused in (False, True):
        led = [answered(proof, Shown(2, refused, ANSWERED, wrong), right=False) for wrong in range(4)]
        assert led == [Conclusion.ASK, Conclusion.ASK, Conclusion.FAILURE, Conclusion.FAILURE]
        assert answered(Proof.LOCKED, Shown(2, refused), right=False) is Conclusion.FAILURE
    assert answered(proof, Shown(2), right=False) is answered(proof, Shown(2, wrong_answers=0), right=False)


@pytest.mark.parametrize(
    ("one", "other", "kilometres"),
    [
        (LISBON, LISBON, 0.0),
        (LISBON, PORTO, 274.1),
        (LISBON, FUNCHAL, 972.9),
        (Context(latitude=0, longitude=0), Context(latitude=0, longitude=180), 20_015.1),
        (Context(latitude=90, longitude=0), Context(latitude=-90, longitude=50), 20_015.1),
        (Context(latitude=0, longitude=-179.5), Context(latitude=0, longitude=179.5), 111.2),
    ],
)
def test_distances_are_those_of_the_globe(one: Context, other: Context, kilometres: float) -> None:
    for pair in ((one, other), (other, one)):
        distance = distance_kilometres(*pair)
        assert distance is not None
        assert distance == pytest.approx(kilometres, abs=0.5)


def test_how_far_apart_counts_as_near_and_far() -> None:
    apart = distance_kilometres(LISBON, PORTO)
    assert apart is not None
    assert facts(PORTO, JUST_NOW, limits=replace(LIMITS, near_kilometres=apart)).recent
    assert not facts(PORTO, JUST_NOW, limits=replace(LIMITS, near_kilometres=apart - 0.1)).recent
    assert facts(PORTO, OLD, limits=replace(LIMITS, far_kilometres=apart - 0.1)).risks == {Risk.ELSEWHERE}
    assert facts(PORTO, OLD, limits=replace(LIMITS, far_kilometres=apart)).risks == set()


# -- more risk never means less proof, from context and history on ---------------------------------------------------

contexts = st.builds(
    Context,
    device=st.sampled_from([None, PHONE, LAPTOP]),
    country=st.sampled_from([None, "PT", "ES"]),
    latitude=st.sampled_from([None, 0.0, 38.7, 41.1]),
    longitude=st.sampled_from([None, 0.0, -9.1, -8.6]),
)
pasts = st.builds(
    Past,
    at=st.floats(0, 400 * DAY).map(lambda age: NOW - age) | st.floats(0, 1000).map(lambda age: NOW - age),
    success=st.booleans(),
    requester_class=st.sampled_from(["shops", "banks"]),
    context=contexts,
)
histories = st.lists(pasts, max_size=8)


def proof(context: Context, past: list[Past], **more: Any) -> Proof:
    return proof_for(facts(context, *past, **more))


@given(contexts, histories, st.floats(0, 2000))
def test_one_more_failure_never_lowers_the_proof(context: Context, past: list[Past], age: float) -> None:
    assert proof(context, past) <= proof(context, [*past, Past(NOW - age, success=False)])


@given(contexts, histories, st.sampled_from(["device", "country", "latitude"]))
def test_what_is_withheld_never_lowers_the_proof(context: Context, past: list[Past], what: str) -> None:
    known = any(one.success and getattr(one.context, what) is not None for one in past)
    if known and getattr(context, what) is not None:
        assert proof(context, past) <= proof(context.model_copy(update={what: None}), past)


@given(contexts, histories)
def test_another_device_or_country_never_lowers_the_proof(context: Context, past: list[Past]) -> None:
    for change in ({"device": "never-seen-before"}, {"country": "AQ"}):
        if any(one.success and getattr(one.context, next(iter(change))) is not None for one in past):
            assert proof(context, past) <= proof(context.model_copy(update=change), past)


@given(contexts, histories, st.floats(0, 400 * DAY))
def test_a_longer_absence_never_lowers_the_proof(context: Context, past: list[Past], seconds: float) -> None:
    older = [replace(one, at=one.at - seconds) if one.success else one for one in past]
    enrolled_at = NOW - 10 * DAY
    assert proof(context, past, enrolled_at=enrolled_at) <= proof(context, older, enrolled_at=enrolled_at - seconds)


@given(contexts, histories)
def test_a_stranger_class_of_requester_never_lowers_the_proof(context: Context, past: list[Past]) -> None:
    assert proof(context, past) <= proof(context, past, requester_class="nobody's")


@given(contexts, histories)
def test_the_order_of_the_history_means_nothing(context: Context, past: list[Past]) -> None:
    assert facts(context, *past) == facts(context, *reversed(past))


def test_limits_and_terms_begin_where_the_settings_do() -> None:
    defaults = {name: VerdictSettings.model_fields[name].default for name in Limits.__dataclass_fields__}
    assert defaults == {
        "skip_seconds": 0.0,
        "near_kilometres": 5.0,
        "far_kilometres": 500.0,
        "absent_days": 180.0,
        "lock_out_failures": 5,
        "lock_out_window_seconds": 900.0,
        "lock_out_seconds": 1800.0,
        "step_up": "scan twice",
        "step_up_more": "scan twice and code",
    }
    steps = {"step_up": Proof.SCAN_TWICE, "step_up_more": Proof.SCAN_TWICE_AND_CODE}
    assert Limits() == Limits(**{**defaults, **steps})
    terms = Terms(80.0, 99.0, "shops")
    assert (terms.least_proof, terms.may_skip) == (Proof.SCAN, True)
