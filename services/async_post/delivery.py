"""One delivery over HTTP: one total deadline, no redirects, the answer's body capped and thrown away (rule 11)."""

import ssl
from email.utils import parsedate_to_datetime
from typing import Final

import aiohttp

from services.async_post.connect_to import ConnectTo, Destinations
from services.async_post.domain import Answer
from services.async_post.public_addresses import PublicAddresses
from shared.clock import now_utc
from shared.generation import Generation

# What is read of an answer, so that the connection can be used again; nobody needs its contents.
_MOST_ANSWER_BYTES: Final = 64 * 1024


class HttpDelivery:
    """Posts signed messages with one pool of connections."""

    def __init__(self, destinations: Destinations, *, timeout_seconds: float, most_in_flight: int) -> None:
        self._destinations = destinations
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        self._most_in_flight = most_in_flight
        self._session: aiohttp.ClientSession | None = None

    async def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            context = ssl.create_default_context()
            anywhere = aiohttp.ThreadedResolver()
            if isinstance(self._destinations, ConnectTo):
                self._destinations.trust(context)
            resolver = anywhere if isinstance(self._destinations, ConnectTo) else PublicAddresses(anywhere)
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=self._most_in_flight, ssl=context, keepalive_timeout=30, resolver=resolver
                ),
                timeout=self._timeout,
                headers={"content-type": "application/json", "user-agent": "facescan"},
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
            )
        return self._session

    async def post(self, receiver: str, generation: Generation, message: str) -> Answer:
        """Post one message and return the receiver's answer; trouble is an answer without a status."""
        client = await self._client()
        url = self._destinations.url(receiver, generation)
        try:
            async with client.post(url, data=message.encode(), allow_redirects=False) as response:
                read = 0
                async for chunk in response.content.iter_chunked(8192):
                    read += len(chunk)
                    if read > _MOST_ANSWER_BYTES:
                        response.close()  # an endless body must not hold the connection
                        break
                return Answer(response.status, retry_after_seconds=_retry_after(response.headers.get("retry-after")))
        except TimeoutError:
            return Answer(None, "timeout")
        except aiohttp.ClientConnectorCertificateError:
            return Answer(None, "certificate")
        except aiohttp.ClientConnectorDNSError:
            return Answer(None, "dns")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Answer(None, type(error).__name__)

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()


def _retry_after(text: str | None) -> float | None:
    """Return the seconds that a Retry-After header asks for (RFC 9110 §10.2.3), or None."""
    if text is None:
        return None
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - now_utc()).total_seconds())
    except (TypeError, ValueError, OverflowError):
        return None
