"""When the door has too much to do: it says so at once, before memory grows, and while it can still say so in time."""

from dataclasses import dataclass

from prometheus_client import Gauge

IN_FLIGHT = Gauge("facescan_inbox_in_flight", "Messages at the front door that are not answered yet.")
BODY_BYTES = Gauge("facescan_inbox_body_bytes", "Bytes of message bodies that the front door holds.")
LAG_SECONDS = Gauge("facescan_inbox_loop_lag_seconds", "How late the front door's event loop came to its last tick.")


@dataclass(frozen=True, slots=True)
class LoadLimits:
    """Messages in flight (which bounds what the producer holds), bytes of bodies, and lateness of the event loop."""

    most_in_flight: int = 2000
    most_body_bytes: int = 64 * 1024 * 1024
    longest_lag_seconds: float = 1.0


class Load:
    """What the door has in hand."""

    def __init__(self, limits: LoadLimits) -> None:
        self._limits = limits
        self.in_flight = 0
        self.body_bytes = 0
        self.lag_seconds = 0.0
        IN_FLIGHT.set_function(lambda: self.in_flight)
        BODY_BYTES.set_function(lambda: self.body_bytes)
        LAG_SECONDS.set_function(lambda: self.lag_seconds)

    @property
    def too_much(self) -> bool:
        """Whether a new message is to be sent away."""
        return self.in_flight >= self._limits.most_in_flight or self.lag_seconds > self._limits.longest_lag_seconds

    def reserve(self, count: int) -> bool:
        """Whether ``count`` more bytes of bodies may be held; if so they are counted until ``release``."""
        if self.body_bytes + count > self._limits.most_body_bytes:
            return False
        self.body_bytes += count
        return True

    def release(self, count: int) -> None:
        """Give back what was reserved."""
        self.body_bytes -= count
