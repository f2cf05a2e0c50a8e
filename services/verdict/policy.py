"""How much proof a person must give, and what the proof that was given decides. Pure, and nowhere else.

From the context in which the page was opened and from how the person's last checks ended follow facts; from the facts
follows the proof; from the proof and what a check has shown follows what becomes of the verification. The order of the
proofs is the rule that tests hold: more risk never means less proof. ``docs/policy.md`` is written from this file.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from math import asin, cos, radians, sin, sqrt
from typing import Final

from services.verdict.domain import Match
from shared.events import Context

_DAY_SECONDS: Final = 86_400.0
_EARTH_KILOMETRES: Final = 6371.0


class Proof(IntEnum):
    """What is asked of the person, from least to most."""

    NOTHING = 0  # a success of a moment ago stands for the scan
    SCAN = 1
    SCAN_TWICE = 2  # two sessions, each of which must succeed
    LOCKED = 3  # no proof is taken now


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


# One failure is a bad light; the second is a pattern.
_FAILURES_THAT_WARN: Final = 2


def proof_for(facts: Facts, least: Proof = Proof.SCAN, *, may_skip: bool = True) -> Proof:
    """Return what is asked of the person. ``least`` and ``may_skip`` are the requester's terms."""
    if facts.locked:
        return Proof.LOCKED
    if facts.risks:
        return max(least, Proof.SCAN_TWICE)
    if facts.recent and may_skip and least <= Proof.SCAN:
        return Proof.NOTHING
    return max(least, Proof.SCAN)


class Conclusion(StrEnum):
    """What a live check leads to."""

    SUCCESS = "success"
    FAILURE = "failure"
    ONCE_MORE = "once_more"  # it counts, and another must follow
    NO_USE = "no_use"  # the picture was no use: the person may try again


def conclude(match: Match, proof: Proof, passes: int) -> Conclusion:
    """Return what a live check leads to; ``passes`` are the earlier sessions of this verification that succeeded."""
    if proof is Proof.LOCKED or match is Match.OTHER:
        return Conclusion.FAILURE
    if match is Match.NO_FACE:
        return Conclusion.NO_USE
    return Conclusion.SUCCESS if passes + 1 >= proof else Conclusion.ONCE_MORE


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
