"""An attempt's life as the page drives it: a session on the person's click, "done" and "given up" as hints."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, NoReturn

from services.session.context import Fingerprints
from services.session.domain import attempt_end
from services.session.turns import Turns
from shared.broker import Publisher
from shared.delays import publish_at
from shared.errors import FacescanError, UnavailableError
from shared.events import CaptureCompleted, Context, DeadlinePassed, SessionCreated, VerificationOpened
from shared.failure_tallies import KnownBlocks, not_blocked
from shared.failures import Kind, kind_of
from shared.liveness import ProviderTroubleError, Redirect, SessionOrder, Streaming
from shared.liveness_providers import Providers
from shared.stores import ConditionFailedError
from shared.telemetry import SpanKind, span
from shared.verification import Attempt, State, Verification
from shared.verifications import Verifications

log = logging.getLogger(__name__)

# In a transaction that begins an attempt: its own writes come first.
_OWN_WRITES: Final = 2
_FAILED: Final = "ConditionalCheckFailed"


@dataclass(frozen=True, slots=True)
class Wish:
    """What the person agreed to and chose. ``page`` names one loaded page, so that another cannot take its session."""

    page: str = ""
    lights: bool = True
    consent_version: str = ""
    consent_language: str = ""
    address: str = ""  # a keyed hash of where the click came from


PLAIN: Final = Wish(consent_version="plain-1", consent_language="en")


class TakenError(FacescanError):
    """Raised when another page of the same browser has the running attempt."""


class BlockedError(FacescanError):
    """Raised when too many checks of the person, the device, the address or the requester have failed lately."""


class Attempts:
    """Begins attempts and notes that they are done or given up."""

    def __init__(
        self,
        *,
        verifications: Verifications,
        publisher: Publisher,
        providers: Providers,
        turns: Turns,
        fingerprints: Fingerprints,
        blocks: KnownBlocks,
        attempt_seconds: float,
        clock: Callable[[], datetime],
    ) -> None:
        self._verifications = verifications
        self._publisher = publisher
        self._providers = providers
        self._turns = turns
        self._fingerprints = fingerprints
        self._blocks = blocks
        self._attempt_seconds = attempt_seconds
        self._clock = clock

    async def opened(self, verification: Verification) -> None:
        """Tell the policy where and on what the page was opened; a repeat tells it again with the same id."""
        context = Context.model_validate_json(verification.context)
        await self._publisher.publish(VerificationOpened(verification_id=verification.verification_id, context=context))

    async def begin(self, verification: Verification, wish: Wish = PLAIN) -> Attempt:
        """Return the running attempt, or a new one with a session of its own.

        A second click and a click repeated after a crash get the same attempt; its events are published again with the
        same ids. Raises UnavailableError; TakenError; NotYetError while others are before this person;
        ConditionFailedError when the verification has ended.
        """
        if verification.attempt_open:
            attempt = await self._running(verification, wish)
        else:
            attempt = await self._new(verification, wish)
        expires_at = datetime.fromtimestamp(attempt.expires_at, UTC)
        number, step = attempt.attempt, str(attempt.attempt)
        identifier = verification.verification_id
        await asyncio.gather(
            publish_at(
                self._publisher, DeadlinePassed(verification_id=identifier, attempt=number), expires_at, "attempt", step
            ),
            self._publisher.publish(
                SessionCreated(
                    verification_id=identifier, attempt=number, provider=attempt.provider, expires_at=expires_at
                ),
                step,
            ),
        )
        log.info("session created", extra={"verification_id": identifier, "attempt": number})
        return attempt

    async def _running(self, verification: Verification, wish: Wish) -> Attempt:
        attempt = await self._verifications.attempt(verification.verification_id, verification.attempt)
        if attempt is None:
            raise ConditionFailedError
        if attempt.page != wish.page:
            # A session takes one stream: a second page would break the first one's.
            raise TakenError("another page has the running attempt")
        return attempt

    async def _new(self, verification: Verification, wish: Wish) -> Attempt:
        number = verification.attempt + 1
        provider = self._providers.of_requester(verification.requester)
        order = SessionOrder(
            f"{verification.verification_id}-{number}", verification.person, verification.photo, wish.lights
        )
        whoms = self._whoms(verification, wish)
        for whom in whoms:
            if kind_of(whom) is Kind.REQUESTER and await self._blocks.blocked(whom, int(self._clock().timestamp())):
                await self._block(verification, number)
        await self._turns.wait(provider, verification, number)
        # Its time begins when the session does.
        now = self._clock()
        try:
            session_id = await provider.create(order)
        except ProviderTroubleError:
            # Should the person's time be over before the provider is back, it was no fault of theirs.
            with contextlib.suppress(ConditionFailedError, UnavailableError):
                await self._verifications.note_trouble(verification.verification_id, number)
            raise
        attempt = Attempt(
            verification_id=verification.verification_id,
            attempt=number,
            provider=provider.name,
            provider_session_id=session_id,
            created_at=int(now.timestamp()),
            expires_at=int(attempt_end(now, verification.expires_at, self._attempt_seconds).timestamp()),
            person=verification.person,
            photo_key=verification.photo_key,
            photo_version=verification.photo_version,
            photo_sha256=verification.photo_sha256,
            requester=verification.requester,
            locator=verification.locator,
            forget_at=verification.forget_at,
            page=wish.page,
            lights=wish.lights,
            whoms=" ".join(whoms),
            consent_version=wish.consent_version,
            consent_language=wish.consent_language,
        )
        try:
            # Whether anybody is blocked is looked at in the same write; failures alone cost calls of their own.
            checks = not_blocked([whom for whom in whoms if kind_of(whom) is not Kind.REQUESTER], attempt.created_at)
            await self._verifications.begin(attempt, checks)
        except ConditionFailedError as error:
            if _FAILED in error.reasons[_OWN_WRITES:] and _FAILED not in error.reasons[:_OWN_WRITES]:
                await self._block(verification, number)
            # Another click was first; its page gets the session that it made, any other is told so.
            current = await self._verifications.get(verification.verification_id)
            if current is None or not current.attempt_open:
                raise
            return await self._running(current, wish)
        return attempt

    async def _block(self, verification: Verification, number: int) -> NoReturn:
        await self._verifications.block(verification.verification_id, number)
        log.info("blocked", extra={"verification_id": verification.verification_id})
        raise BlockedError("too many failed checks")

    def _whoms(self, verification: Verification, wish: Wish) -> list[str]:
        """For whom a failure is counted. Nobody's locator stands for a person (ADR 19): it is blocked like one."""
        of = {
            Kind.PERSON: self._fingerprints.person(verification.person or f"(nobody) {verification.locator}"),
            Kind.DEVICE: verification.device,
            Kind.ADDRESS: wish.address,
            Kind.REQUESTER: verification.requester,
        }
        return [f"{kind}:{whom}" for kind, whom in of.items() if whom]

    async def done(self, verification_id: str, browser: str) -> Verification | None:
        """Note this browser's "done" and tell the verdict; a repeat tells it again with the same id.

        Returns the record, whoever's it is. Raises UnavailableError.
        """
        verification = await self._verifications.capture(verification_id, browser)
        if verification is not None and verification.state is State.CAPTURED and verification.browser == browser:
            number = verification.attempt
            with span("scan page done", kind=SpanKind.SERVER, parent=verification.traceparent or None):
                await self._publisher.publish(
                    CaptureCompleted(verification_id=verification_id, attempt=number), str(number)
                )
            log.info("capture completed", extra={"verification_id": verification_id, "attempt": number})
        return verification

    async def give_up(self, verification: Verification, attempt: int) -> None:
        """Note that an attempt came to nothing: the verdict takes a last look and ends it. Raises UnavailableError.

        A hint like "done": what the provider has finished meanwhile still counts.
        """
        if verification.attempt != attempt or not verification.attempt_open:
            return
        await self._end_early(verification, attempt)

    async def access(self, attempt: Attempt, return_url: str) -> Streaming | Redirect:
        """Return how the browser gets to an attempt's session. Raises UnavailableError.

        An attempt that the provider lets nobody into is over by no fault of the person's: the next has its own session.
        """
        try:
            return await self._providers.named(attempt.provider).access(attempt, return_url)
        except ProviderTroubleError:
            with contextlib.suppress(ConditionFailedError):
                await self._verifications.end_attempt(attempt.verification_id, attempt.attempt, trouble=True)
            raise

    async def decline(self, verification: Verification) -> None:
        """Note that the person wants no check: the verification ends now, as it would at its deadline."""
        await self._end_early(verification, None)

    async def _end_early(self, verification: Verification, attempt: int | None) -> None:
        identifier = verification.verification_id
        with span("scan page given up", kind=SpanKind.SERVER, parent=verification.traceparent or None):
            over = DeadlinePassed(verification_id=identifier, attempt=attempt, given_up=True)
            await self._publisher.publish(over, "given up", str(attempt or ""))
        log.info("given up", extra={"verification_id": identifier, "attempt": attempt or 0})
