"""What the page's buttons do, and what it watches: topics, records, services."""

import asyncio
import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import uuid4

import aiohttp

from cli.enrolment import Enrolment
from cli.playground.camera import STRANGER, Camera, Who
from cli.playground.facts import event_fact, message_in, opens_at, second_opinion, step_in
from cli.playground.ledger import MOST_VERIFICATIONS, Ledger
from cli.playground.sides import BANK, PHONE, Sides
from cli.system_file import System
from cli.timeline import records
from emulators.keys_over_dns import Resolver
from emulators.pictures import make_picture
from shared.errors import FacescanError, UnavailableError
from shared.events import derived_id
from shared.liveness_settings import REKOGNITION
from shared.locators import new_locator
from shared.settings import StoreSettings
from shared.stores import Aws, Tables
from shared.verification import ENDED
from shared.verifications import Verifications

log = logging.getLogger(__name__)

PURPOSE: Final = "to open an account"
_PERSON: Final = "visitor"
_LOOK_SECONDS: Final = 0.25
_HEALTH_SECONDS: Final = 1.0
_AGAIN_SECONDS: Final = 2.0
_PROBE: Final = aiohttp.ClientTimeout(total=1.0)
_SESSION_CREATED: Final = "session.created"


@dataclass(slots=True)
class Asked:
    """One verification whose pop-up opens on the page; ``by_stand_in``: no camera of this machine is used."""

    verification_id: str
    person: str
    who: Who
    by_stand_in: bool
    filmed: int = 0
    state: str = ""
    over: bool = False


class Desk:
    """Asks and watches, for all pages of one system."""

    def __init__(self, system: System, ledger: Ledger, sides: Sides, aws: Aws, session: aiohttp.ClientSession) -> None:
        stores = StoreSettings()
        tables = Tables(aws, stores)
        self._system = system
        self._ledger = ledger
        self._sides = sides
        self._session = session
        self._camera = Camera(system.aws, session)
        self._enrolment = Enrolment(aws, tables, stores)
        self._verifications = Verifications(tables)
        self._resolver = Resolver.at(system.dns)
        self._asked: dict[str, Asked] = {}
        self._health: dict[str, bool] = {}
        self._who = Who.PERSON
        self._by_stand_in = True

    # -- the buttons ---------------------------------------------------------------------------------------------

    async def verify(self, who: Who, *, by_stand_in: bool) -> dict[str, Any]:
        """Enrol somebody new and let the bank ask for them; return {id, status}. Raises UnavailableError.

        Somebody new each time: what one visitor fails is not counted against the next.
        """
        person = f"{_PERSON}-{uuid4().hex[:8]}"
        self._who, self._by_stand_in = who, by_stand_in
        await self._camera.set_stage(who, person)
        enrolled = await self._enrolment.enrol(
            person=person,
            photo=make_picture(person),
            photo_name=f"the picture of {person}",
            wallet_domain=PHONE,
            wallet_id=person,
            locator=new_locator(),
            expires_at=datetime.now(UTC) + timedelta(hours=1),
        )
        correlation = str(uuid4())
        verification_id = derived_id("verification", BANK, correlation)
        self._remember(verification_id, person)
        self._sides.expect(correlation, verification_id)
        self._ledger.add("asked", verification_id, who=who, by_stand_in=by_stand_in, bank=BANK, phone=PHONE)
        order = {"inbox": self._system.inbox, "to": self._system.domain, "correlation": correlation}
        asked = await self._sides.bank.ask(order | {"locator": enrolled.locator, "purpose": PURPOSE})
        answer = asked["answers"][0]
        self._ledger.add("answered", verification_id, status=answer["status"], seconds=answer["seconds"])
        if answer["status"] != 200:  # noqa: PLR2004 - HTTP's OK
            self._asked[verification_id].over = True
            raise UnavailableError(f"the inbox answered {answer['status']}: {answer['body'][:200]}")
        return {"id": verification_id, "status": answer["status"]}

    async def stage(self, who: Who, *, by_stand_in: bool) -> None:
        """Put somebody else before the camera, for what is filmed from now on. Raises UnavailableError."""
        self._who, self._by_stand_in = who, by_stand_in
        if not self._asked:
            return
        newest = next(reversed(self._asked.values()))
        newest.who = who
        await self._camera.set_stage(who, newest.person)
        if not newest.over:
            self._ledger.add("stage", newest.verification_id, who=who)

    # -- what is watched -----------------------------------------------------------------------------------------

    async def read_topics(self, ready: asyncio.Event) -> None:
        """Note every event of every verification, without end; ``ready`` is set once nothing can be missed."""
        while True:
            try:
                async with records(self._system.kafka) as consumer:
                    ready.set()
                    async for record in consumer:
                        await self._take(record)
            except UnavailableError as error:
                self._ledger.add("trouble", text=str(error))
            await asyncio.sleep(_AGAIN_SECONDS)

    async def watch_records(self) -> None:
        """Note each new state of the verifications that are on their way, while a page is open."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            for asked in [one for one in self._asked.values() if not one.over] if self._ledger.watched else []:
                try:
                    await self._look(asked)
                except FacescanError as error:
                    log.debug("no state now: %s", error)

    async def watch_services(self) -> None:
        """Note which services are ready, while a page is open, when that changes."""
        while True:
            if self._ledger.watched:
                ready = await asyncio.gather(*(self._is_ready(url) for url in self._system.ops.values()))
                health = dict(zip(self._system.ops, ready, strict=True))
                if health != self._health:
                    self._health = health
                    self._ledger.add("health", services=health)
            await asyncio.sleep(_HEALTH_SECONDS)

    # -- steps ---------------------------------------------------------------------------------------------------

    async def _take(self, record: Any) -> None:
        step = step_in(record)
        if step is None:
            return
        if not step.verification_id:
            return
        asked = self._asked.get(step.verification_id)
        if asked is None and opens_at(step, PHONE):
            asked = await self._adopt(step.verification_id)
        fact = event_fact(record, step, whole=asked is not None)
        self._ledger.add("event", step.verification_id, at=step.at, **fact)
        if asked is None:
            return
        if (text := message_in(record)) is not None:
            opinion = await second_opinion(text, self._resolver)
            self._ledger.add("message", step.verification_id, at=step.at, **opinion)
        attempt = fact["data"].get("attempt", 0) if step.step == _SESSION_CREATED else 0
        if attempt > asked.filmed and asked.by_stand_in:
            asked.filmed = attempt
            await self._film(asked, attempt)
        await self._look(asked)

    def _remember(self, verification_id: str, person: str) -> Asked:
        asked = Asked(verification_id, person, self._who, self._by_stand_in)
        self._asked[verification_id] = asked
        while len(self._asked) > MOST_VERIFICATIONS:
            del self._asked[next(iter(self._asked))]
        return asked

    async def _adopt(self, verification_id: str) -> Asked | None:
        """Take a verification that was asked for elsewhere, and whose pop-up comes to the phone of this page."""
        try:
            record = await self._verifications.get(verification_id)
            if record is None:
                return None
            asked = self._remember(verification_id, record.person)
            self._ledger.add("adopted", verification_id, who=asked.who, by_stand_in=asked.by_stand_in)
            await self._camera.set_stage(asked.who, asked.person or STRANGER)
        except FacescanError as error:
            self._ledger.add("trouble", verification_id, text=str(error))
            return None
        return asked

    async def _film(self, asked: Asked, number: int) -> None:
        try:
            attempt = await self._verifications.attempt(asked.verification_id, number)
            if attempt is None or attempt.provider != REKOGNITION:
                return
            await self._camera.film(attempt.provider_session_id, asked.who, asked.person)
            self._ledger.add("filmed", asked.verification_id, who=asked.who, attempt=number)
        except FacescanError as error:
            self._ledger.add("trouble", asked.verification_id, text=str(error))

    async def _look(self, asked: Asked) -> None:
        record = await self._verifications.get(asked.verification_id)
        if record is None or record.state == asked.state:
            return
        asked.state = record.state
        asked.over = record.state in ENDED and record.state == ENDED[-1]
        facts = {"attempt": record.attempt, "expires_at": record.expires_at}
        self._ledger.add("state", asked.verification_id, state=record.state.value, **facts)

    async def _is_ready(self, url: str) -> bool:
        try:
            async with self._session.get(f"{url}/readyz", timeout=_PROBE) as answer:
                return answer.status == 200  # noqa: PLR2004 - HTTP's OK
        except (aiohttp.ClientError, OSError, TimeoutError):
            return False
