"""The clock, passed in wherever time decides something, so that a test can move it."""

from datetime import UTC, datetime


def now_utc() -> datetime:
    """Return the present time, aware."""
    return datetime.now(UTC)
