"""The synchronous Post: signs one message, posts it, and waits for the reply within a deadline (protocol §5, §8).

It tries once: whoever asked waits, and decides. What may have arrived although no reply came is asked for again with
the same Correlation, so that the receiver sees a copy and gives the same reply.
"""

import asyncio
import logging
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import Any, Final

from prometheus_client import Counter, Histogram
from pydantic import BaseModel, ConfigDict, Field

from services.async_post.delivery import HttpDelivery
from services.async_post.domain import meaning
from services.async_post.generations import Generations
from services.async_post.key_ring import KeyRing
from shared.deliveries import Answer, Meaning, retry_after
from shared.domain_names import DomainName
from shared.envelope import EnvelopeError, seal
from shared.errors import FacescanError, UnavailableError, UnprocessableError
from shared.events import Subject
from shared.generation import Generation
from shared.outbound import OutboundError, Reply, Trouble
from shared.synchronous_replies import ReplyError, read_reply

log = logging.getLogger(__name__)

POSTS: Final = Counter("facescan_sync_posts_total", "Synchronous posts, by how they ended.", ["outcome"])
POST_SECONDS: Final = Histogram(
    "facescan_sync_post_seconds",
    "Time of a synchronous post, signature to reply.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
LONGEST_DEADLINE_SECONDS: Final = 60.0


class Outcome(StrEnum):
    """How a synchronous post ended; the words are reason codes and metric labels too."""

    REPLIED = "replied"
    DELIVERED = "delivered"  # a 2xx that has no reply
    REFUSED = "refused"  # a status or a certificate that another try will not change
    UNAVAILABLE = "unavailable"  # a status or a network's trouble that may pass
    DEADLINE = "deadline"
    BLOCKED_ADDRESS = "blocked_address"
    BAD_REPLY = "bad_reply"  # a 2xx with what is no reply to this message, or no HTTP


_BY_TROUBLE: Final = {
    Trouble.TIMEOUT: Outcome.DEADLINE,
    Trouble.ADDRESS: Outcome.BLOCKED_ADDRESS,
    Trouble.NOT_HTTP: Outcome.BAD_REPLY,
    Trouble.TOO_LARGE: Outcome.BAD_REPLY,
}
_BY_MEANING: Final = {Meaning.TRY_AGAIN: Outcome.UNAVAILABLE, Meaning.REFUSED: Outcome.REFUSED}


class BusyError(FacescanError):
    """Raised when so many posts are under way, to this receiver or in all, that another one has no place."""


class PostCall(BaseModel):
    """One message that is to be signed, posted, and replied to."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    to: DomainName = Field(description="The receiving domain.")
    subject: Subject = Field(description="Method@Role.")
    body: dict[str, Any] = Field(description="The Body of the message.")
    correlation: str = Field(
        default_factory=lambda: str(uuid.uuid4()),
        pattern=r"^[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$",
        description="The message's Correlation, a UUID; made by chance when absent. Asking again for the same message "
        "is asking with the same one.",
    )
    generation: Generation | None = Field(
        default=None, description="The generation to speak; the receiver's configured one when absent."
    )
    deadline_seconds: float = Field(
        default=10.0,
        gt=0,
        le=LONGEST_DEADLINE_SECONDS,
        description="For everything: the key, the signature, the connection, the reply.",
    )


@dataclass(frozen=True, slots=True)
class Posted:
    """How a post ended. ``status`` is the receiver's, None without an answer; ``trouble`` is the outbound guard's word.

    ``response`` is there with REPLIED alone; ``detail`` is one line for people.
    """

    outcome: Outcome
    correlation: str
    status: int | None = None
    trouble: str = ""
    detail: str = ""
    response: dict[str, Any] | None = None
    retry_after_seconds: float | None = None


class SynchronousPost:
    """Posts and waits. Shares the signer's key and the sender's connections."""

    def __init__(
        self,
        *,
        domain: str,
        keys: KeyRing,
        generations: Generations,
        delivery: HttpDelivery,
        most_in_flight: int,
        most_in_flight_per_domain: int,
        most_reply_bytes: int,
        clock: Callable[[], datetime],
    ) -> None:
        self._domain = domain
        self._keys = keys
        self._generations = generations
        self._delivery = delivery
        self._most_in_flight = most_in_flight
        self._most_in_flight_per_domain = most_in_flight_per_domain
        self._most_reply_bytes = most_reply_bytes
        self._clock = clock
        self._in_flight = 0
        self._per_domain: dict[str, int] = {}

    async def post(self, call: PostCall) -> Posted:
        """Post one message and return how it ended, within its deadline.

        Raises BusyError, UnavailableError while there is no key to sign with, and UnprocessableError for a body or a
        receiver that no message can have. After either of them nothing was posted.
        """
        own = self._per_domain.get(call.to, 0)
        if self._in_flight >= self._most_in_flight or own >= self._most_in_flight_per_domain:
            raise BusyError(f"{self._in_flight} posts are under way, {own} of them to {call.to}")
        self._in_flight += 1
        self._per_domain[call.to] = own + 1
        try:
            with POST_SECONDS.time():
                posted = await self._post(call, asyncio.get_running_loop().time() + call.deadline_seconds)
        finally:
            self._in_flight -= 1
            self._per_domain[call.to] -= 1
            if not self._per_domain[call.to]:
                del self._per_domain[call.to]
        POSTS.labels(posted.outcome.value).inc()
        log.info(
            "synchronous post",
            extra={
                "to": call.to,
                "subject": call.subject,
                "correlation": posted.correlation,
                "outcome": posted.outcome.value,
                "status": posted.status,
                "trouble": posted.trouble,
            },
        )
        return posted

    async def _post(self, call: PostCall, deadline: float) -> Posted:
        correlation, generation = call.correlation.lower(), self._generations.of(call.to, call.generation)
        try:
            async with asyncio.timeout_at(deadline):
                message = await self._signed(call, generation, correlation)
        except TimeoutError as error:
            raise UnavailableError("no key to sign with was found within the deadline") from error
        try:
            reply = await self._delivery.exchange(
                call.to,
                generation,
                message,
                timeout_seconds=deadline - asyncio.get_running_loop().time(),
                most_answer_bytes=self._most_reply_bytes,
            )
        except OutboundError as error:
            return _without_answer(error, correlation)
        return self._answered(reply, correlation)

    async def _signed(self, call: PostCall, generation: Generation, correlation: str) -> bytes:
        key = await self._keys.current()
        sign = partial(
            seal,
            generation=generation,
            sender=self._domain,
            receiver=call.to,
            subject=call.subject,
            body=call.body,
            correlation=correlation,
            timestamp=self._clock(),
            key=key,
        )
        try:
            return await asyncio.to_thread(sign) if key.slow else sign()
        except EnvelopeError as error:
            raise UnprocessableError(str(error)) from error

    def _answered(self, reply: Reply, correlation: str) -> Posted:
        what = meaning(Answer(reply.status))
        if what is not Meaning.DELIVERED:
            return Posted(
                _BY_MEANING[what],
                correlation,
                reply.status,
                detail=f"the receiver answered {reply.status}",
                retry_after_seconds=retry_after(reply.headers.get("retry-after")),
            )
        if reply.cut:
            detail = f"the reply is longer than {self._most_reply_bytes} bytes, or broke off"
            return Posted(Outcome.BAD_REPLY, correlation, reply.status, detail=detail)
        try:
            response = read_reply(reply.body, sender=self._domain, correlation=correlation)
        except ReplyError as error:
            return Posted(Outcome.BAD_REPLY, correlation, reply.status, detail=str(error))
        outcome = Outcome.DELIVERED if response is None else Outcome.REPLIED
        return Posted(outcome, correlation, reply.status, response=response)


def _without_answer(error: OutboundError, correlation: str) -> Posted:
    if error.trouble is Trouble.URL:
        raise UnprocessableError(f"to: {error}") from error
    outcome = _BY_TROUBLE.get(error.trouble) or _BY_MEANING[meaning(Answer(None, error.trouble.value))]
    return Posted(outcome, correlation, trouble=error.trouble.value, detail=str(error))
