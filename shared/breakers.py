"""What is known of receivers in trouble: a breaker for each, with one probe at a time, in bounded memory. Pure.

A receiver that answers has no state here. One that fails several times in a row is left alone for a while, then one
message tries it; each failed probe makes the pause longer. Messages to it are held in Kafka's delay topics meanwhile,
and the longer it is away or the more of them wait, the longer they rest there, so that what waits costs little however
much it is. A replica knows only what it has met; a new owner of a partition learns anew by as many failures.
"""

from collections import OrderedDict
from dataclasses import dataclass
from math import inf
from typing import Final

from shared.delays import whole_rung
from shared.topics import DELAY_RUNGS_SECONDS

FAILURES_TO_OPEN: Final = 5
# The pauses between probes; the last one repeats. A day of silence costs about sixteen probes.
PROBE_PAUSES_SECONDS: Final = (5.0, 30.0, 300.0, 1800.0, 7200.0)
# Messages held for one receiver come back no faster than this on average.
RETURNS_PER_SECOND: Final = 500.0
MOST_STATES: Final = 50_000
# Held messages rest for this share of the time that their receiver has been away.
_SHARE_OF_OUTAGE: Final = 0.5


@dataclass(slots=True)
class _Breaker:
    failures: int = 0
    failing_since: float = 0.0
    failed_at: float = 0.0
    pause: int = -1  # an index of PROBE_PAUSES_SECONDS; negative while closed
    open_until: float = 0.0
    probing_until: float = 0.0
    next_return: float = 0.0

    def shut(self, now: float) -> bool:
        return now < self.open_until or now < self.probing_until


class Breakers:
    """The receivers that failed last. Times are seconds of any clock that runs forward."""

    def __init__(self, *, probe_patience_seconds: float, most_states: int = MOST_STATES) -> None:
        self._probe_patience_seconds = probe_patience_seconds
        self._most_states = most_states
        self._states: OrderedDict[str, _Breaker] = OrderedDict()

    def __len__(self) -> int:
        return len(self._states)

    def admit(self, receiver: str, now: float) -> bool:
        """Whether a delivery may be tried now; of an open breaker whose pause is over, one is: the probe."""
        state = self._states.get(receiver)
        if state is None or state.pause < 0:
            return True
        if state.shut(now):
            return False
        # A probe that never reports (its process loses the partition) must not shut the receiver off for ever.
        state.probing_until = now + self._probe_patience_seconds
        return True

    def blocked(self, receiver: str, now: float, *, known_since: float = -inf) -> bool:
        """Whether a delivery would not be admitted now; asking changes nothing.

        ``known_since`` is for who asks about receivers that may be another replica's by now: what was seen before then
        does not count.
        """
        state = self._states.get(receiver)
        return state is not None and state.pause >= 0 and state.failed_at >= known_since and state.shut(now)

    def answered(self, receiver: str) -> bool:
        """Forget the receiver's failures; True when its breaker was open."""
        state = self._states.pop(receiver, None)
        return state is not None and state.pause >= 0

    def failed(self, receiver: str, now: float) -> bool:
        """Note a failure; True when the breaker opens by it."""
        state = self._states.get(receiver)
        if state is None:
            state = self._states[receiver] = _Breaker(failing_since=now)
            if len(self._states) > self._most_states:
                self._states.popitem(last=False)
        self._states.move_to_end(receiver)
        state.failures += 1
        state.failed_at = now
        if state.pause < 0:
            if state.failures < FAILURES_TO_OPEN:
                return False
            self._open(state, 0, now)
            return True
        if state.probing_until and now >= state.open_until:
            self._open(state, min(state.pause + 1, len(PROBE_PAUSES_SECONDS) - 1), now)
        return False

    @staticmethod
    def _open(state: _Breaker, pause: int, now: float) -> None:
        state.pause = pause
        state.open_until = now + PROBE_PAUSES_SECONDS[pause]
        state.probing_until = 0.0

    def hold_seconds(self, receiver: str, now: float) -> int:
        """Return for how long to hold a message that was not admitted: one of the delay topics' own times."""
        state = self._states.get(receiver)
        if state is None:
            return DELAY_RUNGS_SECONDS[0]
        rest = max(
            max(state.open_until, state.probing_until) - now,
            (now - state.failing_since) * _SHARE_OF_OUTAGE,
            state.next_return - now,
        )
        state.next_return = max(state.next_return, now) + 1 / RETURNS_PER_SECOND
        return whole_rung(rest)

    @property
    def open(self) -> int:
        """How many breakers are open. Looks at all: for a metric, not for a message."""
        return sum(state.pause >= 0 for state in self._states.values())
