"""Quotas of an emulated service: a bucket of one second's calls for each operation, filled again steadily.

AWS throttles so (General Reference, "Service quotas"; API throttling as a token bucket), without saying how large the
bucket is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from emulators.aws_errors import AwsError

if TYPE_CHECKING:
    from emulators.liveness_sessions import Clock


@dataclass(slots=True)
class _Bucket:
    per_second: float
    left: float
    filled_at: float


class Quotas:
    """Not thread-safe, as `Sessions`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._buckets: dict[str, _Bucket] = {}

    def set(self, operation: str, per_second: float) -> None:
        """Allow so many calls a second; 0: as many as come."""
        self._buckets.pop(operation, None)
        if per_second:
            self._buckets[operation] = _Bucket(per_second, max(1.0, per_second), self._clock.now())

    def take(self, operation: str) -> None:
        """Count a call; raises ThrottlingException beyond the quota."""
        bucket = self._buckets.get(operation)
        if bucket is None:
            return
        now = self._clock.now()
        most = max(1.0, bucket.per_second)
        bucket.left = min(most, bucket.left + (now - bucket.filled_at) * bucket.per_second)
        bucket.filled_at = now
        if bucket.left < 1:
            raise AwsError("ThrottlingException", "Rate exceeded")
        bucket.left -= 1
