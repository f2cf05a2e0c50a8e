"""Delivery to one endpoint of the map: at least once, in order per key, isolated from every other endpoint (rule 3).

While the endpoint is away its messages wait in Kafka: the reader holds a few and fetches no more. A message that fails
while others succeed is put aside after some tries; a message that the endpoint refuses, at once.
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Final

from prometheus_client import Counter, Gauge, Histogram

from services.inbox.endpoint_breaker import Breaker
from services.inbox.endpoint_http import EndpointAnswer, EndpointHttp, Meaning
from services.inbox.endpoint_map import HttpEndpoint, TopicEndpoint
from services.inbox.endpoint_requests import request_headers
from shared.broker import Publisher
from shared.cloudevents import CloudEvent
from shared.errors import RetryLaterError, UnavailableError, UnprocessableError
from shared.events import MESSAGE_TYPE, EndpointRequested
from shared.received import Received
from shared.telemetry import SpanKind, current_traceparent, span

log = logging.getLogger(__name__)

DELIVERED: Final = Counter(
    "facescan_endpoint_deliveries_total", "Deliveries tried, by endpoint and what came of it.", ["endpoint", "outcome"]
)
SECONDS: Final = Histogram(
    "facescan_endpoint_delivery_seconds",
    "Time of one delivery.",
    ["endpoint"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60),
)
HELD: Final = Gauge("facescan_endpoint_held", "1 while an endpoint is left alone because it fails.", ["endpoint"])

# Between the tries of one message: in place where order is kept, by the delay topics where there is none.
IN_PLACE_SECONDS: Final = (0.2, 0.5, 1.0, 2.0, 5.0)
LADDER_SECONDS: Final = (1.0, 5.0, 30.0, 300.0, 1800.0, 7200.0)
_PATIENCE_SECONDS: Final = 0.5
_JITTER: Final = 0.1

# Told of a message that was put aside, and why.
Discarded = Callable[[EndpointRequested, str], Awaitable[None]]


class HttpDelivery:
    """Delivers to one HTTP endpoint; ``stopping`` says whether the reader wants its records back."""

    def __init__(
        self,
        name: str,
        endpoint: HttpEndpoint,
        *,
        source: str,
        discarded: Discarded,
        stopping: Callable[[], bool],
        breaker: Breaker | None = None,
    ) -> None:
        self._name = name
        self._endpoint = endpoint
        self._source = source
        self._discarded = discarded
        self._stopping = stopping
        self._http = EndpointHttp(endpoint)
        self._places = asyncio.Semaphore(endpoint.most_in_flight)
        self._breaker = breaker or Breaker(time.monotonic)
        HELD.labels(name).set(0)

    async def deliver(self, received: Received[EndpointRequested]) -> None:
        """Deliver one message.

        Raises UnprocessableError for one that is put aside, RetryLaterError for one that comes back by a delay topic,
        and UnavailableError when the reader stops meanwhile.
        """
        data, failures = received.data, received.attempt - 1
        while True:
            if self._stopping():
                raise UnavailableError("the reader stops")
            if (datetime.now(UTC) - data.accepted_at).total_seconds() > self._endpoint.give_up_seconds:
                await self._put_aside(data, "given up: its time is over")
            if not await self._breaker.admit(_PATIENCE_SECONDS):
                continue
            answer = await self._post(data)
            if answer.meaning is Meaning.DONE:
                return
            if answer.meaning is Meaning.REFUSED:
                await self._put_aside(data, f"refused: {answer}")
            if not self._breaker.closed():
                continue  # it fails for all: that is no fault of the message
            failures += 1
            if failures >= self._endpoint.most_failures:
                await self._put_aside(data, f"given up: failed {failures} times while others succeeded, last {answer}")
            await self._wait(failures, answer)

    async def _post(self, data: EndpointRequested) -> EndpointAnswer:
        async with self._places:
            with (
                span(f"POST {self._name}", kind=SpanKind.CLIENT),
                SECONDS.labels(self._name).time(),
            ):
                answer = await self._http.post(
                    data.message.encode(),
                    request_headers(data.message_id, self._source, data.subject),
                    timeout_seconds=self._endpoint.timeout_seconds,
                )
        DELIVERED.labels(self._name, answer.meaning.value).inc()
        if answer.meaning is Meaning.TRY_AGAIN:
            self._breaker.failed(answer.retry_after_seconds)
            log.info("delivery is tried again", extra={**_ids(data), "answer": str(answer)})
        else:
            self._breaker.succeeded()
        HELD.labels(self._name).set(0 if self._breaker.closed() else 1)
        return answer

    async def _wait(self, failures: int, answer: EndpointAnswer) -> None:
        if self._endpoint.order_by == "none":
            seconds = max(LADDER_SECONDS[min(failures, len(LADDER_SECONDS)) - 1], answer.retry_after_seconds or 0.0)
            raise RetryLaterError(f"endpoint {self._name}: {answer}", seconds)
        seconds = IN_PLACE_SECONDS[min(failures, len(IN_PLACE_SECONDS)) - 1]
        # Jitter: the keys of one short outage do not all come back at once.
        await asyncio.sleep(seconds * (1 + _JITTER * random.random()))  # noqa: S311 - no secret

    async def _put_aside(self, data: EndpointRequested, why: str) -> None:
        DELIVERED.labels(self._name, "put_aside").inc()
        log.warning("put aside", extra={**_ids(data), "why": why})
        if self._endpoint.feedback:
            await self._discarded(data, why)
        raise UnprocessableError(f"endpoint {self._name}: {why}")

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()


class TopicDelivery:
    """Appends messages to a topic of somebody else's, as they are."""

    def __init__(self, name: str, endpoint: TopicEndpoint, *, publisher: Publisher) -> None:
        self._name = name
        self._topic = endpoint.topic or ""
        self._publisher = publisher

    async def deliver(self, received: Received[EndpointRequested]) -> None:
        """Append one message. Raises UnavailableError while the topic is not there or does not take it."""
        data = received.data
        message = data.message.encode()
        event = CloudEvent(
            id=data.message_id,
            source=self._publisher.source,
            type=MESSAGE_TYPE,
            subject=data.subject,
            data=message,
            traceparent=current_traceparent(),
        )
        await self._publisher.send(self._topic, data.order_key.encode(), message, event.to_headers())
        DELIVERED.labels(self._name, Meaning.DONE.value).inc()

    async def close(self) -> None:
        """Nothing is open."""


def _ids(data: EndpointRequested) -> dict[str, str]:
    return {"endpoint": data.endpoint, "message_id": data.message_id, "subject": data.subject}
