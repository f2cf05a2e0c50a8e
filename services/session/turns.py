"""Turns at a liveness provider: it creates only so many sessions a second, whatever the number of our replicas.

The line is one moment in the store for each provider: when its next session may be created. Whoever needs one moves
that moment on by one interval and has the turn that it stood at, so everybody is served in the order of asking and
knows when. A turn that is near is waited for here; one further off is noted in the verification, told to the person,
and still theirs when the page asks again. No more than one conditional write where nobody waits, none without a limit.
"""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final

from prometheus_client import Histogram

from shared.errors import FacescanError
from shared.liveness import LivenessProvider
from shared.stores import Tables
from shared.tables import TURNS
from shared.verification import Verification
from shared.verifications import Verifications

log = logging.getLogger(__name__)

WAITED: Final = Histogram(
    "facescan_turn_seconds",
    "How far off a person's turn at the provider was.",
    ["provider"],
    buckets=(0, 0.2, 0.5, 1, 2, 5, 10, 20, 40, 80, 160),
)

# A shorter wait is not worth a screen.
SHORT_MILLISECONDS: Final = 1500
# A turn is kept for a page that is late: the others behind it have theirs, so it may not be kept for ever.
KEPT_MILLISECONDS: Final = 10_000


class NotYetError(FacescanError):
    """Raised when the person's turn is ``seconds`` away; it is noted, and asking again before costs nothing."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the turn is in {seconds:.1f} s")
        self.seconds = seconds

    @property
    def about_seconds(self) -> int:
        """What the person is told."""
        return math.ceil(self.seconds)

    @property
    def ask_again_seconds(self) -> int:
        """When to ask again: a little before, because the last moment is waited for here, to the millisecond."""
        return max(1, math.floor(self.seconds))


class Turns:
    """Lets attempts pass one by one. ``sleep`` waits for seconds."""

    def __init__(
        self,
        *,
        tables: Tables,
        verifications: Verifications,
        clock: Callable[[], datetime],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._tables = tables
        self._verifications = verifications
        self._clock = clock
        self._sleep = sleep

    async def wait(self, provider: LivenessProvider, verification: Verification, attempt: int) -> None:
        """Return when a session for ``attempt`` may be created.

        Raises NotYetError; UnavailableError; ConditionFailedError when that attempt is not the next one any more.
        """
        per_second = provider.sessions_per_second
        if not per_second:
            return
        now = int(self._clock().timestamp() * 1000)
        at = verification.turn_at
        noted = verification.turn_attempt == attempt and now <= at + KEPT_MILLISECONDS
        if not noted:
            interval = math.ceil(1000 / per_second)
            at = await self._tables.advance(TURNS.name, {TURNS.partition_key: provider.name}, "next_at", now, interval)
            WAITED.labels(provider.name).observe((at - now) / 1000)
        wait = at - now
        if wait > SHORT_MILLISECONDS:
            if not noted:
                await self._verifications.wait_in_line(verification.verification_id, attempt, at)
                log.info("in line", extra={"verification_id": verification.verification_id, "seconds": wait // 1000})
            raise NotYetError(wait / 1000)
        if wait > 0:
            await self._sleep(wait / 1000)
