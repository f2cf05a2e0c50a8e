"""The signer: takes what is to be posted, in batches, and puts signed messages on the queue to send."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from services.async_post.generations import Generations
from services.async_post.key_ring import KeyRing
from shared.broker import Publisher, Record
from shared.cloudevents import CloudEvent
from shared.envelope import EnvelopeError, seal
from shared.errors import UnprocessableError
from shared.events import PostRequested, PostSigned, derived_id
from shared.keys import SigningKey
from shared.received import Received
from shared.telemetry import SpanKind, span, untraced

log = logging.getLogger(__name__)

# So many of a fast key (Ed25519: 40 µs each) are signed in one go on the event loop; a thread for them would only pass
# the interpreter's lock to and fro.
_AT_ONCE: Final = 32
_OFFSET_DIGITS: Final = 18


# Gives the record that holds a message, by its request and where it was read, when it could not be tried now.
Held = Callable[[PostRequested, str], Record | None]


def nothing_held(request: PostRequested, position: str) -> None:
    """Hold nothing: the sender is another process, and holds what it cannot try."""


class Signer:
    """Signs with the current key."""

    def __init__(
        self,
        *,
        domain: str,
        keys: KeyRing,
        generations: Generations,
        publisher: Publisher,
        clock: Callable[[], datetime],
        held: Held = nothing_held,
    ) -> None:
        self._domain = domain
        self._generations = generations
        self._keys = keys
        self._publisher = publisher
        self._clock = clock
        self._held = held

    async def sign(self, batch: Sequence[Received[PostRequested]]) -> Sequence[Exception | None]:
        """Sign and publish a batch. Raises UnavailableError, after which the same batch is signed again."""
        key = await self._keys.current()
        asked = [(self._request(received), received) for received in batch]
        held = [self._held(request, received.position) for request, received in asked]
        wanted = [pair for pair, record in zip(asked, held, strict=True) if record is None]
        if key.slow:
            signed = await asyncio.to_thread(self._sign_all, wanted, key)
        else:
            signed = self._sign_all(wanted[:_AT_ONCE], key)
            for start in range(_AT_ONCE, len(wanted), _AT_ONCE):
                await asyncio.sleep(0)
                signed += self._sign_all(wanted[start : start + _AT_ONCE], key)
        records = [record for record in held if record is not None]
        records += [
            (data.topic, data.key().encode(), event.data, event.to_headers())
            for data, event in (pair for pair in signed if not isinstance(pair, Exception))
        ]
        await self._publisher.send_all(records)
        ends = iter(signed)
        return [end if record is None and isinstance(end := next(ends), Exception) else None for record in held]

    def _sign_all(
        self, wanted: Sequence[tuple[PostRequested, Received[PostRequested]]], key: SigningKey
    ) -> list[tuple[PostSigned, CloudEvent] | Exception]:
        return [self._sign_one(request, received, key) for request, received in wanted]

    def _request(self, received: Received[PostRequested]) -> PostRequested:
        asked = received.data
        return asked.model_copy(
            update={
                "correlation": asked.correlation or derived_id("correlation", received.event.source, received.event.id),
                "first_requested_at": asked.first_requested_at or received.event.time or self._clock(),
                "position": _position(received) if asked.position is None else asked.position,
            }
        )

    def _sign_one(
        self, request: PostRequested, received: Received[PostRequested], key: SigningKey
    ) -> tuple[PostSigned, CloudEvent] | Exception:
        now = self._clock()
        # Not kept in the request: a retry is to speak as the settings say by then.
        generation = self._generations.of(request.to, request.generation)
        try:
            message = seal(
                generation=generation,
                sender=self._domain,
                receiver=request.to,
                subject=request.subject,
                body=request.body,
                correlation=request.correlation or "",
                timestamp=now,
                key=key,
            )
        except EnvelopeError as error:
            return UnprocessableError(str(error))
        data = PostSigned(request=request, message=message.decode(), signed_at=now, generation=generation)
        step = request.correlation or "", str(request.attempt)
        if untraced(received.event.traceparent):
            return data, self._publisher.event(data, *step)
        with span("sign", kind=SpanKind.CONSUMER, parent=received.event.traceparent):
            return data, self._publisher.event(data, *step)


def _position(received: Received[PostRequested]) -> int | None:
    # Anybody can write the header of a record that came back.
    offset = received.position.rpartition("/")[2]
    return int(offset) if offset.isascii() and offset.isdigit() and len(offset) <= _OFFSET_DIGITS else None
