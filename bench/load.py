"""Verifications in an open loop against a running system, measured from outside: by the wallet and the asking domain.

Requests leave on a fixed clock whether answers come or not, so a slow system cannot slow its own measurement down
(coordinated omission).
"""

import asyncio
import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from itertools import cycle
from typing import Any, Final
from uuid import uuid4

from cli.demo_run import DemoSystem
from cli.enrolment import Enrolment
from cli.peers import SHOP, WALLET, Peers
from emulators.pictures import make_picture
from shared.errors import UnavailableError
from shared.events import derived_id
from shared.locators import new_locator
from shared.stores import Tables

_ENROLLED_FOR: Final = timedelta(hours=6)
_ASK_AGAIN_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Role:
    """How the person of a verification behaves, and what the answer must be."""

    name: str
    expected: str
    face: str = ""
    confidence: float = 97.0
    shows_up: bool = True
    # How long the person takes before the camera.
    think_seconds: float = 0.0


SUCCESS: Final = Role("success", "SUCCESS")
WRONG_PERSON: Final = Role("wrong person", "FAILURE", face="somebody-else")
SPOOF: Final = Role("spoof", "FAILURE", confidence=9.0)
MIXED: Final = (SUCCESS, SUCCESS, SUCCESS, WRONG_PERSON, SPOOF)


@dataclass(slots=True)
class Verified:
    """One verification as seen from outside. Times are epoch seconds."""

    role: Role
    correlation: str
    accepted_at: float = 0.0
    asked: int = 0
    answers: list[dict[str, Any]] = field(default_factory=list)
    popup: dict[str, Any] | None = None

    @property
    def verification_id(self) -> str:
        """The id that the inbox gives this request."""
        return derived_id("verification", SHOP, self.correlation)

    @property
    def results(self) -> list[str]:
        """What the verified, first-time answers said."""
        return [answer["message"]["Body"]["Result"] for answer in self.answers]

    @property
    def own_milliseconds(self) -> float | None:
        """From the accepted message to the delivered answer, without the person's time and the camera's."""
        if self.popup is None or not self.answers or self.popup["captured_at"] is None:
            return None
        to_popup = self.popup["received_at"] - self.accepted_at
        page = self.popup["seconds"]["page"] + self.popup["seconds"]["start"]
        to_answer = self.answers[0]["received_at"] - self.popup["captured_at"]
        return float((to_popup + page + to_answer) * 1000)


class Load:
    """Drives one system; ``domain`` asks. Use ``enrol`` before ``run``."""

    def __init__(self, system: DemoSystem, peers: Peers) -> None:
        self._system = system
        self._peers = peers
        self._locators: dict[Role, list[str]] = {}
        self._wallets: dict[Role, list[str]] = {}

    async def enrol(self, roles: tuple[Role, ...], persons_each: int = 4) -> None:
        """Register persons for each role and order how they behave."""
        system = self._system
        enrolment = Enrolment(system.aws, Tables(system.aws, system.stores), system.stores)
        for role in set(roles):
            for _ in range(persons_each):
                person = f"load-{uuid4().hex[:12]}"
                locator = new_locator()
                await enrolment.enrol(
                    person=person,
                    photo=make_picture(person),
                    photo_name=person,
                    wallet_domain=WALLET,
                    wallet_id=person,
                    locator=locator,
                    expires_at=datetime.now(UTC) + _ENROLLED_FOR,
                )
                order = {
                    "wallet": person,
                    "shows_up": role.shows_up,
                    "face": role.face or person,
                    "confidence": role.confidence,
                    "think_seconds": role.think_seconds,
                }
                await self._peers.behave(WALLET, order)
                self._locators.setdefault(role, []).append(locator)
                self._wallets.setdefault(role, []).append(person)

    def locator(self, role: Role) -> str:
        """Return a locator of somebody who was enrolled for ``role``."""
        return self._locators[role][0]

    def wallet(self, role: Role) -> str:
        """Return the wallet's id of the same person."""
        return self._wallets[role][0]

    async def new_popup(self, before: set[str], seconds: float = 20.0) -> dict[str, Any]:
        """Return the next pop-up of the wallet whose id is not among ``before``. Raises TimeoutError."""
        async with asyncio.timeout(seconds):
            while True:
                for popup in await self._peers.popups(WALLET):
                    if popup["popup"] not in before:
                        return popup
                await asyncio.sleep(0.1)

    async def run(
        self,
        count: int,
        per_second: float,
        roles: tuple[Role, ...] = (SUCCESS,),
        *,
        answer_seconds: float = 60.0,
        ask_again_seconds: float = 0.0,
        on_asked: Callable[[int], None] = lambda _: None,
    ) -> list[Verified]:
        """Ask ``count`` times and wait for the answers, each up to ``answer_seconds``.

        With ``ask_again_seconds`` a request that the inbox did not take (5xx, no connection) is sent again for so
        long, as a real asking domain would: the same message, the same Correlation.
        """
        locators = {role: cycle(self._locators[role]) for role in set(roles)}
        chosen = [role for role, _ in zip(cycle(roles), range(count), strict=False)]
        random.Random(count).shuffle(chosen)  # noqa: S311 - a repeatable mix
        verified = [Verified(role, str(uuid4())) for role in chosen]
        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for number, one in enumerate(verified):
                await asyncio.sleep(max(0.0, began + number / per_second - time.monotonic()))
                group.create_task(self._ask(one, next(locators[one.role]), answer_seconds, ask_again_seconds))
                on_asked(number + 1)
        await self._collect(verified)
        return verified

    async def _ask(self, one: Verified, locator: str, answer_seconds: float, ask_again_seconds: float) -> None:
        order = {
            "inbox": self._system.inbox,
            "to": self._system.domain,
            "locator": locator,
            "correlation": one.correlation,
        }
        until = time.monotonic() + ask_again_seconds
        while True:
            asked = await self._peers.ask(SHOP, order)
            one.asked += 1
            answer = asked["answers"][0]
            if answer["status"] == 200:
                one.accepted_at = asked["sent_at"] + answer["seconds"]
                break
            if time.monotonic() > until:
                raise UnavailableError(f"the inbox answered {answer['status']}: {answer['body'][:200]}")
            await asyncio.sleep(_ASK_AGAIN_SECONDS)
        await self._peers.answer(SHOP, one.correlation, answer_seconds)

    async def _collect(self, verified: list[Verified]) -> None:
        """Find each one's answers and pop-up in what the peers remember."""
        by_correlation = {one.correlation: one for one in verified}
        for message in await self._peers.messages(SHOP):
            body = (message.get("message") or {}).get("Body") or {}
            one = by_correlation.get(body.get("Request", ""))
            # One that was answered otherwise, as ordered, was not taken: it comes again.
            taken = message["verified"] and message["status"] == HTTPStatus.OK
            if one is not None and taken and not message["duplicate"]:
                one.answers.append(message)
        by_id = {one.verification_id: one for one in verified}
        for popup in await self._peers.popups(WALLET):
            if popup["popup"] in by_id:
                by_id[popup["popup"]].popup = popup


def percentile(values: list[float], share: float) -> float:
    """Return the value that ``share`` (0 to 1) of the values do not exceed (nearest rank). Raises ValueError."""
    if not 0 <= share <= 1:
        raise ValueError(f"{share} is no share: 0 to 1")
    ranked = sorted(values)
    return ranked[max(0, math.ceil(share * len(ranked)) - 1)]
