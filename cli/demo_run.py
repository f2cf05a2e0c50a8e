"""Running the demo's cases on a system: enrol, ask all at once, follow the topics, look into the asker's inbox."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import uuid4

from cli.demo_cases import CASES, Case, Seen
from cli.enrolment import Enrolment
from cli.peers import SHOP, WALLET, Peers
from cli.timeline import Step, following
from emulators.pictures import make_picture
from shared.events import derived_id
from shared.locators import new_locator
from shared.settings import StoreSettings
from shared.stores import Aws, Tables

ShowStep = Callable[[str, Step, float, float], None]

# What the answer may take after the deadline: the delay topics are up to a second late, the rest is short.
_GRACE_SECONDS: Final = 8.0
# The last steps are on their way when the last answer has arrived.
_SETTLE_SECONDS: Final = 2.0
# Steps come from several partitions: held back for so long, they are shown in the order in which they happened.
_HOLD_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True)
class DemoSystem:
    """Where the demo runs: addresses of Kafka and the inbox, the peers' base URL, this Identity's domain."""

    kafka: str
    inbox: str
    peers: str
    domain: str
    aws: Aws
    stores: StoreSettings
    verification_seconds: float


class Demo:
    """The cases on one system; ``show`` gets case, step, seconds since the start and since the step before."""

    def __init__(self, system: DemoSystem, show: ShowStep) -> None:
        self._system = system
        self._show = show
        self._seen = {str(uuid4()): Seen(case) for case in CASES}
        self._by_id: dict[str, Seen] = {}
        self._shown: dict[str, float] = {}
        self._began = 0.0
        self._all_told = asyncio.Event()

    async def run(self) -> list[Seen]:
        """Run all cases at once and return what came of them. Raises UnavailableError, ConfigurationError."""
        async with Peers(self._system.peers) as peers, following(self._system.kafka) as steps:
            locators = await asyncio.gather(*(self._prepare(peers, seen.case) for seen in self._seen.values()))
            for correlation, seen in self._seen.items():
                seen.correlation = correlation
                seen.verification_id = derived_id("verification", SHOP, correlation)
                self._by_id[seen.verification_id] = seen
            collecting = asyncio.create_task(self._collect(steps))
            self._began = time.time()
            try:
                await asyncio.gather(
                    *(self._ask(peers, seen, at) for seen, at in zip(self._seen.values(), locators, strict=True))
                )
                await self._settled()
            finally:
                collecting.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await collecting
            messages, popups = await asyncio.gather(peers.messages(SHOP), peers.popups(WALLET))
        for seen in self._seen.values():
            seen.take_messages(messages)
            seen.take_popups(popups)
            seen.steps.sort(key=lambda step: step.at)
        return list(self._seen.values())

    async def _prepare(self, peers: Peers, case: Case) -> str:
        """Enrol a person for the case, order how it behaves, return its locator."""
        person = f"demo-{case.name.replace(' ', '-')}"
        wallet_id = f"{person}-{uuid4().hex[:8]}"
        system = self._system
        enrolment = Enrolment(system.aws, Tables(system.aws, system.stores), system.stores)
        enrolled = await enrolment.enrol(
            person=person,
            photo=make_picture(person),
            photo_name=f"the picture of {person}",
            wallet_domain=WALLET,
            wallet_id=wallet_id,
            locator=new_locator(),
            expires_at=datetime.now(UTC) + timedelta(hours=1),
        )
        order = {
            "wallet": wallet_id,
            "shows_up": case.shows_up,
            "face": case.face or person,
            "confidence": case.confidence_percent,
        }
        await peers.behave(WALLET, order)
        return enrolled.locator

    async def _ask(self, peers: Peers, seen: Seen, locator: str) -> None:
        order = {
            "inbox": self._system.inbox,
            "to": self._system.domain,
            "locator": locator,
            "purpose": "the demo",
            "correlation": seen.correlation,
            "copies": seen.case.copies,
            "forge": seen.case.forge,
        }
        answers = (await peers.ask(SHOP, order))["answers"]
        seen.statuses = tuple(answer["status"] for answer in answers)
        seen.door_seconds = max(answer["seconds"] for answer in answers)
        if seen.case.answered is not None:
            await peers.answer(SHOP, seen.correlation, self._system.verification_seconds + _GRACE_SECONDS)

    async def _collect(self, steps: AsyncIterator[Step]) -> None:
        """Sort the steps to their cases and show them, until cancelled."""
        waiting: list[Step] = []

        async def show_in_order() -> None:
            while True:
                await asyncio.sleep(_HOLD_SECONDS / 2)
                due = time.time() - _HOLD_SECONDS
                for step in sorted((step for step in waiting if step.at <= due), key=lambda step: step.at):
                    waiting.remove(step)
                    self._show_step(step)

        showing = asyncio.create_task(show_in_order())
        try:
            async for step in steps:
                if (seen := self._by_id.get(step.verification_id)) is not None:
                    seen.steps.append(step)
                    waiting.append(step)
                    if all(map(_told, self._seen.values())):
                        self._all_told.set()
        finally:
            showing.cancel()
            for step in sorted(waiting, key=lambda step: step.at):
                self._show_step(step)

    def _show_step(self, step: Step) -> None:
        identifier = step.verification_id
        if step.step == "deadline.passed" and self._by_id[identifier].ended_before(step):
            return  # it comes all the same, and changes nothing
        since_before = step.at - self._shown.get(identifier, self._began)
        self._shown[identifier] = step.at
        self._show(self._by_id[identifier].case.name, step, step.at - self._began, since_before)

    async def _settled(self) -> None:
        """Wait until the topics have told of every delivery of an answer, for a short while at most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SETTLE_SECONDS):
                await self._all_told.wait()
        await asyncio.sleep(_HOLD_SECONDS)


def _told(seen: Seen) -> bool:
    """Whether the deliveries that end a case are known: to the asking domain, and to the wallet."""
    settled = {step.to for step in seen.steps if step.step == "post.settled" and "OpenPopup" not in step.detail}
    return seen.case.answered is None or settled >= {SHOP, WALLET}
