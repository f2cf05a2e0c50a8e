"""One request to an HTTP endpoint of the map: one total deadline, no redirects, the answer's body capped (rule 11).

The map is the operator's own file and its services stand on private addresses by nature, so addresses are not looked
at; certificates are. Each endpoint has a pool of connections of its own, so that a slow one takes none of another's.
"""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from services.inbox.endpoint_map import HttpEndpoint, SyncEndpoint
from shared.deliveries import retry_after

if TYPE_CHECKING:
    import aiohttp

# What is read of an answer that nobody needs, so that its connection can be used again.
MOST_IGNORED_BYTES: Final = 64 * 1024
_CHUNK: Final = 8192
_TRY_AGAIN: Final = frozenset({408, 425, 429})
_CLIENT_ERROR, _SERVER_ERROR = 400, 500
_SUCCESS: Final = range(200, 300)


class Meaning(StrEnum):
    """What an endpoint's answer means."""

    DONE = "done"
    TRY_AGAIN = "try_again"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class EndpointAnswer:
    """The status, or None when there was no answer and ``trouble`` says why; ``body`` is None when it was too long."""

    status: int | None
    trouble: str = ""
    body: bytes | None = b""
    retry_after_seconds: float | None = None

    @property
    def meaning(self) -> Meaning:
        """2xx is done; 408, 425, 429, 5xx and no answer are tried again; the rest, redirects too, is refused."""
        if self.status is None or self.status in _TRY_AGAIN or self.status >= _SERVER_ERROR:
            return Meaning.TRY_AGAIN
        return Meaning.DONE if self.status in _SUCCESS else Meaning.REFUSED

    def __str__(self) -> str:
        return str(self.status or self.trouble)


class EndpointHttp:
    """Posts to one endpoint. Make it inside of the event loop; close it at the end."""

    def __init__(self, endpoint: HttpEndpoint | SyncEndpoint) -> None:
        self._endpoint = endpoint
        self._client: aiohttp.ClientSession | None = None

    def _session(self) -> "aiohttp.ClientSession":
        # Loaded when the map has an endpoint of this kind: 8 MB that no other inbox needs.
        import aiohttp  # noqa: PLC0415

        if self._client is None:
            cafile = self._endpoint.ca_file
            self._client = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=self._endpoint.most_in_flight,
                    ssl=ssl.create_default_context(cafile=str(cafile) if cafile else None),
                    keepalive_timeout=30,
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
            )
        return self._client

    async def post(
        self,
        message: bytes,
        headers: Mapping[str, str],
        *,
        timeout_seconds: float,
        most_bytes: int = MOST_IGNORED_BYTES,
    ) -> EndpointAnswer:
        """Post a message; trouble is an answer without a status, never an exception."""
        try:
            async with asyncio.timeout(timeout_seconds):
                return await self._post(message, headers, most_bytes)
        except TimeoutError:
            return EndpointAnswer(None, "timeout")
        except ssl.SSLError:
            return EndpointAnswer(None, "certificate")
        except OSError as error:  # the client's own errors of connecting are of this kind, too
            certificate = isinstance(getattr(error, "certificate_error", None), Exception)
            return EndpointAnswer(None, "certificate" if certificate else type(error).__name__)
        except Exception as error:
            import aiohttp  # noqa: PLC0415 - as above

            if isinstance(error, (aiohttp.ClientError, ValueError)):
                return EndpointAnswer(None, type(error).__name__)
            raise

    async def _post(self, message: bytes, headers: Mapping[str, str], most_bytes: int) -> EndpointAnswer:
        sent = {"content-type": "application/json", "user-agent": "facescan", **headers}
        if self._endpoint.bearer_file is not None:
            sent["authorization"] = f"Bearer {self._endpoint.bearer_file.read_text().strip()}"
        async with self._session().post(
            self._endpoint.url, data=message, headers=sent, allow_redirects=False
        ) as response:
            chunks, length = [], 0
            async for chunk in response.content.iter_chunked(_CHUNK):
                length += len(chunk)
                if length > most_bytes:
                    response.close()  # an endless body must not hold the connection
                    return EndpointAnswer(response.status, "too long", None)
                chunks.append(chunk)
            wait = retry_after(response.headers.get("retry-after"))
            return EndpointAnswer(response.status, "", b"".join(chunks), wait)

    async def close(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()
