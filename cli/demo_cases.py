"""The six cases of the demo: what is done, what must come of it, and what came."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from cli.timeline import Step

LIVE_PERCENT: Final = 98.5
SPOOF_PERCENT: Final = 12.0


@dataclass(frozen=True, slots=True)
class Case:
    """One verification. ``face`` is who stands before the camera (None: the person); percent as the provider says it.

    Expected: ``statuses``, the answers to the request; ``answered``, the Result of the answer (None: no answer).
    """

    name: str
    statuses: tuple[int, ...] = (200,)
    answered: str | None = "SUCCESS"
    face: str | None = None
    confidence_percent: float = LIVE_PERCENT
    shows_up: bool = True
    forge: bool = False

    @property
    def copies(self) -> int:
        """How many times the same request is delivered."""
        return len(self.statuses)


CASES: Final = (
    Case("success"),
    Case("wrong person", answered="FAILURE", face="mallory"),
    Case("spoof", answered="FAILURE", confidence_percent=SPOOF_PERCENT),
    Case("nobody comes", answered="FAILURE", shows_up=False),
    Case("forged", statuses=(401,), answered=None, forge=True),
    Case("three copies", statuses=(200, 200, 200)),
)

# Each hop of our own: its name, the step that begins it, the step that ends it.
HOPS: Final = (
    ("route", "inbox.accepted", "verification.requested"),
    ("prompt", "verification.requested", "post.requested OpenPopup@Wallet"),
    ("sign", "post.requested OpenPopup@Wallet", "post.signed OpenPopup@Wallet"),
    ("send", "post.signed OpenPopup@Wallet", "post.settled OpenPopup@Wallet"),
    ("verdict", "capture.completed", "verdict.reached"),
    ("sign answer", "post.requested LocatorVerified@Domain", "post.signed LocatorVerified@Domain"),
    ("send answer", "post.signed LocatorVerified@Domain", "post.settled LocatorVerified@Domain"),
)
DOOR: Final = "door"


@dataclass(slots=True)
class Seen:
    """What came of a case. ``door_seconds`` is the slowest answer to the request; ``answers`` are messages in the
    asking domain's inbox that name it, copies not counted; ``unverified`` of them that it could not verify;
    ``trouble`` is what the wallet met on the scan page.
    """  # noqa: D205 - one sentence of two lines

    case: Case
    correlation: str = ""
    verification_id: str = ""
    statuses: tuple[int, ...] = ()
    door_seconds: float = 0.0
    results: list[str] = field(default_factory=list)
    unverified: int = 0
    trouble: str = ""
    steps: list[Step] = field(default_factory=list)

    @property
    def answered(self) -> str | None:
        """The Result that the asking domain got first, or None."""
        return self.results[0] if self.results else None

    def take_messages(self, messages: Sequence[dict[str, Any]]) -> None:
        """Find the answers among the messages that the asking domain remembers."""
        for received in messages:
            body = (received.get("message") or {}).get("Body") or {}
            if received["duplicate"] or str(body.get("Request", "")).lower() != self.correlation.lower():
                continue
            if received["verified"]:
                self.results.append(str(body.get("Result")))
            else:
                self.unverified += 1

    def take_popups(self, popups: Sequence[dict[str, Any]]) -> None:
        """Find the wallet's story of this case."""
        for popup in popups:
            if popup["popup"] == self.verification_id and popup["problem"]:
                self.trouble = str(popup["problem"])

    def ended_before(self, step: Step) -> bool:
        """Whether the verdict was reached before ``step``."""
        return any(other.step == "verdict.reached" and other.at <= step.at for other in self.steps)

    def hops(self) -> dict[str, float]:
        """Milliseconds of each hop that this case went through."""
        first: dict[str, float] = {}
        for step in self.steps:
            name = f"{step.step} {step.detail.split(' ')[0].rstrip(',')}" if step.to else step.step
            first.setdefault(name, step.at)
        taken = {DOOR: self.door_seconds * 1000} if self.statuses else {}
        for hop, begins, ends in HOPS:
            if begins in first and ends in first:
                taken[hop] = (first[ends] - first[begins]) * 1000
        return taken

    def deviations(self) -> list[str]:
        """What is not as it must be, one line each."""
        found = []
        if self.statuses != self.case.statuses:
            found.append(f"asked: {_listed(self.case.statuses)} was expected, {_listed(self.statuses)} came")
        if self.unverified:
            found.append(f"checked: {self.unverified} answers could not be verified by the asking domain")
        expected = [self.case.answered] if self.case.answered else []
        if self.results != expected:
            came = " and ".join(self.results) or "none"
            trouble = f" (the wallet says: {self.trouble})" if self.trouble else ""
            found.append(f"answered: {self.case.answered or 'none'} was expected, {came} came{trouble}")
        return [f"{self.case.name}: {line}" for line in found]


def _listed(statuses: Sequence[int]) -> str:
    return ", ".join(map(str, statuses)) or "nothing"
