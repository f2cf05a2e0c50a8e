"""Locators issued and revoked, as domains ask by message and systems of ours by event (protocol §7)."""

import logging
from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta

from services.verdict.settings import VerdictSettings
from shared.broker import Publisher
from shared.clock import now_utc
from shared.consuming import Consuming
from shared.errors import UnprocessableError
from shared.events import LocatorRequested, LocatorSettled, PostRequested, derived_id, utc_text
from shared.locators import NOBODY, Issue, Issued, LocatorKind, Locators, TakenTokenError
from shared.received import Received, event_decoder
from shared.service import Service

log = logging.getLogger(__name__)


class Issuing:
    """Handles ``locator.requested``. Whoever may ask learns nothing of who is known: an answer always has a locator."""

    def __init__(
        self,
        *,
        locators: Locators,
        publisher: Publisher,
        issuers: Collection[str],
        most_days: int,
        answer_subject: str,
        clock: Callable[[], datetime],
    ) -> None:
        self._locators = locators
        self._publisher = publisher
        self._issuers = issuers
        self._most_days = most_days
        self._answer_subject = answer_subject
        self._clock = clock

    async def on_requested(self, received: Received[LocatorRequested]) -> None:
        """Issue or revoke, and answer whoever asked. A repeat has the same answer."""
        data = received.data
        refused = data.requester is not None and data.requester.domain not in self._issuers
        settled = LocatorSettled(request_id=data.request_id, result="refused") if refused else await self._settle(data)
        log.info("locator request", extra={"request_id": data.request_id, "result": settled.result})
        if data.requester is None:
            await self._publisher.publish(settled)
        else:
            await self._publisher.publish(self._answer(data, settled), "locator", data.request_id)

    async def _settle(self, data: LocatorRequested) -> LocatorSettled:
        if data.action == "revoke":
            return await self._revoke(data)
        issuer = data.requester.domain if data.requester else data.issuer
        if not issuer or not data.token or (data.person is None) == (data.locator is None):
            raise UnprocessableError("issuer, token, person or locator: one person's, and of whose token, is needed")
        now = self._clock()
        latest = now + timedelta(days=self._most_days)
        issue = Issue(
            issuer=issuer,
            token=data.token,
            person=await self._person(data, now),
            expires_at=min(data.expires_at or latest, latest),
            kind=LocatorKind(data.kind),
        )
        try:
            issued = await self._locators.issue(issue, now)
        except TakenTokenError:
            return LocatorSettled(request_id=data.request_id, result="refused")
        expires_at = datetime.fromtimestamp(issued.expires_at, UTC)
        return LocatorSettled(
            request_id=data.request_id, result="issued", locator=issued.locator, expires_at=expires_at
        )

    async def _person(self, data: LocatorRequested, now: datetime) -> str:
        if data.person is not None:
            return data.person
        base = await self._locators.get(data.locator or "")
        # A base that leads nowhere gets a locator that leads nowhere: who is known is not told.
        return base.person if base is not None and base.good(now) else NOBODY

    async def _revoke(self, data: LocatorRequested) -> LocatorSettled:
        if data.locator is None:
            raise UnprocessableError("locator: the one that is to end is needed")
        found = await self._locators.get(data.locator)
        if found is not None and self._may_revoke(data, found):
            await self._locators.revoke(data.locator)
        # The same for a locator that there is not, or that is another issuer's.
        return LocatorSettled(request_id=data.request_id, result="revoked", locator=data.locator)

    @staticmethod
    def _may_revoke(data: LocatorRequested, found: Issued) -> bool:
        return data.requester is None or found.issuer == data.requester.domain

    def _answer(self, data: LocatorRequested, settled: LocatorSettled) -> PostRequested:
        assert data.requester is not None  # noqa: S101 - for the type checker: only then is there an answer
        body = {
            "Request": data.requester.correlation,
            "Token": data.token,
            "Result": settled.result.upper(),
            "Locator": settled.locator,
            "Expires": utc_text(settled.expires_at) if settled.expires_at else None,
        }
        return PostRequested(
            to=data.requester.domain,
            subject=self._answer_subject,
            body={name: value for name, value in body.items() if value is not None},
            generation=data.requester.generation,
            correlation=derived_id("locator", data.request_id),
            order_key=data.request_id,
        )


def issue_locators(service: Service, settings: VerdictSettings) -> None:
    """Let the service read requests for locators."""
    issuing = Issuing(
        locators=Locators(service.tables),
        publisher=service.publisher,
        issuers=frozenset(settings.locator_issuers.split(",")),
        most_days=settings.locator_days,
        answer_subject=settings.locator_subject,
        clock=now_utc,
    )
    service.read(
        Consuming(
            topic=LocatorRequested.topic,
            group="facescan.verdict.locators",
            decode=event_decoder(LocatorRequested),
            publisher=service.publisher,
            handle=issuing.on_requested,
            drain_seconds=settings.drain_seconds,
        ),
        LocatorRequested,
        "Issues and revokes locators.",
    )
