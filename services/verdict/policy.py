"""How much proof a person must give, and what the proof that was given decides. Pure, and nowhere else.

From the context in which the page was opened and from how the person's last checks ended follow facts; from the facts
follows the proof; from the proof and what a check has shown follows what becomes of the verification. The order of the
proofs is the rule that tests hold: more risk never means less proof. ``docs/policy.md`` is written from this file.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum, StrEnum
from math import asin, cos, radians, sin, sqrt
from typing import Final

from services.verdict.domain import Match
from shared.events import Context
from shared.factors import Factor

_DAY_SECONDS: Final = 86_400.0
_EARTH_KILOMETRES: Final = 6371.0


class Proof(IntEnum):
    """What is asked of the person, from least to most (ADR 25 says why in this order)."""

    NOTHING = 0  # a success of a moment ago stands for the scan
    SCAN = 1
    SCAN_AND_QUESTION = 2  # and the answer to the person's security question
    SCAN_AND_CODE = 3  # and a one-time password
    SCAN_TWICE = 4  # two sessions, each of which must succeed
    SCAN_TWICE_AND_CODE = 5
    LOCKED = 6  # no proof is taken now

    @property
    def scans(self) -> int:
        """How many sessions must succeed."""
        return 0 if self is Proof.NOTHING else 2 if self in (Proof.SCAN_TWICE, Proof.SCAN_TWICE_AND_CODE) else 1

    @property
    def factor(self) -> Factor | None:
        """What must be known or owned besides."""
        if self is Proof.SCAN_AND_QUESTION:
            return Factor.QUESTION
        return Factor.CODE if self in (Proof.SCAN_AND_CODE, Proof.SCAN_TWICE_AND_CODE) else None

    @property
    def words(self) -> str:
        """As settings and terms have it."""
        return self.name.lower().replace("_", " ")


class Risk(StrEnum):
    """Why more is asked."""

    NEW_DEVICE = "new device"
    ELSEWHERE = "elsewhere"
    LONG_ABSENT = "long absent"
    FAILED_LATELY = "failed lately"


@dataclass(frozen=True, slots=True)
class Limits:
    """Where the facts begin. Zero skip seconds: no scan is ever skipped."""

    skip_seconds: float = 0.0
    near_kilometres: float = 5.0
    far_kilometres: float = 500.0
    absent_days: float = 180.0
    lock_out_failures: int = 5
    lock_out_window_seconds: float = 900.0
    lock_out_seconds: float = 1800.0
    step_up: Proof = Proof.SCAN_TWICE  # what one risk asks for
    step_up_more: Proof = Proof.SCAN_TWICE_AND_CODE  # what more than one do


@dataclass(frozen=True, slots=True)
class Terms:
    """What one requester is promised for one purpose; ``requester_class`` says whose success counts for whom."""

    least_confidence_percent: float
    least_similarity_percent: float
    requester_class: str
    least_proof: Proof = Proof.SCAN
    may_skip: bool = True


@dataclass(frozen=True, slots=True)
class Past:
    """A check of the person that has decided a verification. ``at`` is epoch seconds."""

    at: float
    success: bool
    requester_class: str = ""
    context: Context = field(default_factory=Context)


@dataclass(frozen=True, slots=True)
class Facts:
    """All that the proof depends on."""

    locked: bool = False
    recent: bool = False
    risks: frozenset[Risk] = frozenset()


def facts_of(
    context: Context, past: Sequence[Past], *, now: float, enrolled_at: float, requester_class: str, limits: Limits
) -> Facts:
    """Return the facts at ``now`` (epoch seconds). ``past``: the person's remembered checks, in any order.

    What was known at earlier successes and is withheld now counts as other than it was: silence buys nothing.
    """
    successes = [one for one in past if one.success]
    failures = [one.at for one in past if not one.success]
    risks = {
        Risk.NEW_DEVICE: _is_other(context.device, [one.context.device for one in successes]),
        Risk.ELSEWHERE: _is_elsewhere(context, successes, limits),
        Risk.LONG_ABSENT: _is_long_absent([one.at for one in successes], enrolled_at, now, limits),
        Risk.FAILED_LATELY: _failures_within(failures, now, limits.lock_out_window_seconds) >= _FAILURES_THAT_WARN,
    }
    return Facts(
        locked=now < locked_until(failures, limits),
        recent=any(_stands_for_a_scan(one, context, failures, now, requester_class, limits) for one in successes),
        risks=frozenset(risk for risk, holds in risks.items() if holds),
    )


_USUAL_LIMITS: Final = Limits()
# One failure is a bad light; the second is a pattern.
_FAILURES_THAT_WARN: Final = 2


def proof_for(
    facts: Facts, least: Proof = Proof.SCAN, *, may_skip: bool = True, limits: Limits = _USUAL_LIMITS
) -> Proof:
    """Return what is wanted of the person. ``least`` and ``may_skip`` are the requester's terms."""
    if facts.locked:
        return Proof.LOCKED
    if facts.risks:
        more = limits.step_up_more if len(facts.risks) > 1 else limits.step_up
        return max(least, limits.step_up, more)
    if facts.recent and may_skip and least <= Proof.SCAN:
        return Proof.NOTHING
    return max(least, Proof.SCAN)


def within_reach(wanted: Proof, enrolled: Collection[Factor]) -> Proof:
    """Return the least proof, but no less than wanted, that a person with these factors can give.

    Whoever lacks even that is asked for the most that they can give: nobody is shut out for what was never enrolled.
    """
    if wanted is Proof.LOCKED:
        return wanted
    able = [proof for proof in Proof if proof < Proof.LOCKED and (proof.factor is None or proof.factor in enrolled)]
    return next((proof for proof in able if proof >= wanted), able[-1])


class Conclusion(StrEnum):
    """What a live check, or an answer, leads to."""

    SUCCESS = "success"
    FAILURE = "failure"
    ONCE_MORE = "once_more"  # it counts, and another check must follow
    ASK = "ask"  # the proof's factor is asked for, whatever the check has shown
    NO_USE = "no_use"  # the picture was no use: the person may try again


@dataclass(frozen=True, slots=True)
class Shown:
    """What the person has shown in this verification so far."""

    passes: int = 0  # sessions that succeeded
    refused: bool = False  # one has failed, and the answer to what was asked then is waited for
    factors: frozenset[Factor] = frozenset()
    wrong_answers: int = 0


def conclude(match: Match, proof: Proof, shown: Shown) -> Conclusion:
    """Return what a live check leads to, after what was shown before it.

    A factor is asked for after a check that failed, too, so that being asked tells nobody how the check went.
    """
    if proof is Proof.LOCKED:
        return Conclusion.FAILURE
    if match is Match.NO_FACE:
        return Conclusion.NO_USE
    if _is_to_come(proof.factor, shown):
        return Conclusion.ASK
    return _passed(proof, shown.passes + 1) if match is Match.SAME else Conclusion.FAILURE


def conclude_answer(proof: Proof, shown: Shown, factor: Factor, *, right: bool, most_wrong: int) -> Conclusion:
    """Return what the answer to a factor leads to, after what was shown before it."""
    if proof is Proof.LOCKED:
        return Conclusion.FAILURE
    if not right:
        return Conclusion.ASK if shown.wrong_answers + 1 < most_wrong else Conclusion.FAILURE
    if shown.refused:
        return Conclusion.FAILURE
    now = replace(shown, factors=shown.factors | {factor})
    return Conclusion.ASK if _is_to_come(proof.factor, now) else _passed(proof, now.passes)


def _is_to_come(factor: Factor | None, shown: Shown) -> bool:
    return factor is not None and factor not in shown.factors


def _passed(proof: Proof, passes: int) -> Conclusion:
    return Conclusion.SUCCESS if passes >= proof.scans else Conclusion.ONCE_MORE


def locked_until(failures: Sequence[float], limits: Limits) -> float:
    """Return until when failures (epoch seconds) lock the person out; 0.0 when they do not.

    Each further full number of failures within a day doubles the time, up to a day (liveness-provider advice: five
    failures, then 30 to 60 minutes, longer when it repeats). An additional failure never shortens it.
    """
    ends = [0.0]
    for at in failures:
        if _failures_within(failures, at, limits.lock_out_window_seconds) >= limits.lock_out_failures:
            times = _failures_within(failures, at, _DAY_SECONDS) // limits.lock_out_failures
            ends.append(at + min(limits.lock_out_seconds * 2 ** (times - 1), _DAY_SECONDS))
    return max(ends)


def _failures_within(failures: Iterable[float], end: float, seconds: float) -> int:
    return sum(end - seconds < at <= end for at in failures)


def _is_other(value: str | None, known: Iterable[str | None]) -> bool:
    named = {one for one in known if one is not None}
    return bool(named) and value not in named


def _is_elsewhere(context: Context, successes: Sequence[Past], limits: Limits) -> bool:
    if _is_other(context.country, [one.context.country for one in successes]):
        return True
    placed = [one.context for one in successes if _has_place(one.context)]
    return bool(placed) and not any(_within(limits.far_kilometres, context, one) for one in placed)


def _is_long_absent(successes: Sequence[float], enrolled_at: float, now: float, limits: Limits) -> bool:
    seen = max([*successes, enrolled_at])
    return seen > 0 and now - seen > limits.absent_days * _DAY_SECONDS


def _stands_for_a_scan(
    success: Past, context: Context, failures: Iterable[float], now: float, requester_class: str, limits: Limits
) -> bool:
    """Whether a success is fresh, by the same device, near, for the same class, and nothing failed since."""
    return (
        0 <= now - success.at < limits.skip_seconds
        and context.device is not None
        and context.device == success.context.device
        and _within(limits.near_kilometres, context, success.context)
        and requester_class == success.requester_class
        and not any(at >= success.at for at in failures)
    )


def _has_place(context: Context) -> bool:
    return context.latitude is not None and context.longitude is not None


def _within(kilometres: float, one: Context, other: Context) -> bool:
    """Whether two places are known and at most so far apart."""
    distance = distance_kilometres(one, other)
    return distance is not None and distance <= kilometres


def distance_kilometres(one: Context, other: Context) -> float | None:
    """Return the great-circle distance (haversine), or None when a place is not known."""
    if one.latitude is None or one.longitude is None or other.latitude is None or other.longitude is None:
        return None
    north, south = radians(one.latitude), radians(other.latitude)
    across = radians(other.longitude - one.longitude)
    part = sin((south - north) / 2) ** 2 + cos(north) * cos(south) * sin(across / 2) ** 2
    return 2 * _EARTH_KILOMETRES * asin(min(1.0, sqrt(part)))
