"""A person of whom a test knows all: enrolled, with a wallet, and with whatever else they are asked for."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

from cli.enrolment import Enrolment
from cli.peers import SHOP, WALLET, Peers
from emulators.pictures import make_picture
from shared.enrolled_factors import EnrolledFactors
from shared.factors import enrolment_uri
from shared.person_keys import PersonKeys
from shared.queries import Queries
from shared.stores import Tables
from tests.e2e.conftest import Running
from tests.e2e.test_loop import awaited, post


@dataclass
class Somebody:
    """An enrolled person with a wallet of the same name."""

    running: Running
    peers: Peers
    name: str = field(default_factory=lambda: f"p-{uuid4().hex[:12]}")

    @property
    def locator(self) -> str:
        return f"locator-{self.name}"

    async def enrol(self) -> None:
        demo = self.running.demo
        await Enrolment(demo.aws, Tables(demo.aws, demo.stores), demo.stores).enrol(
            person=self.name, photo=make_picture(self.name), photo_name="photo", wallet_domain=WALLET,
            wallet_id=self.name, locator=self.locator, expires_at=datetime.now(UTC) + timedelta(days=1),
        )  # fmt: skip

    @property
    def factors(self) -> EnrolledFactors:
        demo = self.running.demo
        tables = Tables(demo.aws, demo.stores)
        return EnrolledFactors(tables, Queries(demo.aws, demo.stores), PersonKeys(demo.aws, tables, demo.stores))

    async def authenticator(self) -> str:
        """Enrol one-time passwords and return what the authenticator has read of the address."""
        address = enrolment_uri(await self.factors.enrol_code(self.name), "id.example", "identity")
        return parse_qs(urlsplit(address).query)["secret"][0]

    async def behave(self, **behaviour: Any) -> None:
        order = {"wallet": self.name, "shows_up": True, "face": self.name, "steps": 5}
        await self.peers.behave(WALLET, {**order, **behaviour})

    async def asked(self, purpose: str) -> tuple[str, dict[str, Any]]:
        """Be asked for by the shop; return the answer and the story of the pop-up."""
        correlation, demo = str(uuid4()), self.running.demo
        before = {one["popup"] for one in await self.peers.popups(WALLET)}
        order = {"inbox": demo.inbox, "to": demo.domain, "locator": self.locator, "purpose": purpose}
        await self.peers.ask(SHOP, {**order, "correlation": correlation})
        answer = await self.peers.answer(SHOP, correlation, 40)
        assert answer is not None
        assert set(answer["body"]) == {"Request", "Locator", "Result", "Nonce", "Expires"}
        return answer["body"]["Result"], await self._popup(before)

    async def invited(self, context: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Be asked for in a chat whose wallet says where and on what; return as above."""
        demo = self.running.demo
        before = {one["popup"] for one in await self.peers.popups(WALLET)}
        order = {"inbox": demo.inbox, "to": demo.domain, "biostamp": self.locator, "wallet": self.name}
        invited = await post(self.running.demo.peers, f"{WALLET}/invite", {**order, "context": context})
        answer = await awaited(self.running, f"{WALLET}/answer/{invited['correlation']}", 40)
        return answer["body"]["Result"], await self._popup(before)

    async def _popup(self, before: set[str]) -> dict[str, Any]:
        popups = await self.peers.popups(WALLET)
        (popup,) = (one for one in popups if one["wallet"] == self.name and one["popup"] not in before)
        assert popup["problem"] is None
        return popup


async def somebody(running: Running, peers: Peers, **behaviour: Any) -> Somebody:
    one = Somebody(running, peers)
    await one.enrol()
    await one.behave(**behaviour)
    return one
