"""Name resolution that gives public addresses only (rule 11): a name in DNS must not lead into our own network.

The client connects to what it gets here and asks nobody again, so what was checked is what is connected to.
"""

import ipaddress
import socket

from aiohttp.abc import AbstractResolver, ResolveResult


class PublicAddresses(AbstractResolver):
    """Another resolver's answers without those that are not of the public internet."""

    def __init__(self, inner: AbstractResolver) -> None:
        self._inner = inner

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the public addresses of ``host``. Raises OSError when it has none."""
        found = [result for result in await self._inner.resolve(host, port, family) if is_public(result["host"])]
        if not found:
            raise OSError("no public address")
        return found

    async def close(self) -> None:
        """Close the other resolver."""
        await self._inner.close()


def is_public(text: str) -> bool:
    """Whether an IP address belongs to one host of the public internet."""
    address = ipaddress.ip_address(text.partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None) or address
    return mapped.is_global and not mapped.is_multicast
