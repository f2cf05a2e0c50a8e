"""Who is asking: the peer's address, or what a trusted proxy says it is; IPv6 by the network that one customer has."""

import ipaddress
from collections.abc import Sequence
from typing import Final

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# RFC 6177: the least that a site is given. Whoever has one address of it has all of them.
_IPV6_PREFIX: Final = 64
# So many proxies in a row are looked through.
_MOST_HOPS: Final = 16
# Addresses that were worked out are kept: a busy sender comes from the same one all day.
_MOST_KEPT: Final = 4096


def networks(text: str) -> tuple[Network, ...]:
    """Return the networks in a comma-separated list. Raises ValueError, naming the one that is none."""
    return tuple(ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip())


def bucket_key(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    """Return what stands for everybody who shares this address: itself, or its /64 for IPv6."""
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, _IPV6_PREFIX), strict=False).network_address) + "/64"


class Addresses:
    """Finds the client behind trusted proxies: ``X-Forwarded-For`` is believed from those alone, from right to left."""

    def __init__(self, trusted: Sequence[Network]) -> None:
        self._trusted = tuple(trusted)
        self._kept: dict[str, tuple[str, bool]] = {}

    def client(self, peer: str, forwarded: Sequence[bytes]) -> str:
        """Return the key of the client's bucket."""
        key, trusted = self._look(peer)
        if not trusted or not forwarded:
            return key
        hops = b",".join(forwarded).decode("latin-1").rsplit(",", _MOST_HOPS)
        for hop in reversed(hops[-_MOST_HOPS:]):
            try:
                found = self._look(hop.strip())
            except ValueError:
                break  # nobody that we trust wrote this: the last proxy that we trust stands for it
            key, trusted = found
            if not trusted:
                break
        return key

    def trusts(self, peer: str) -> bool:
        """Whether ``peer`` is one of the proxies."""
        return self._look(peer)[1]

    def _look(self, text: str) -> tuple[str, bool]:
        found = self._kept.get(text)
        if found is None:
            address = ipaddress.ip_address(text.partition("%")[0])
            key = bucket_key(address)
            plain = getattr(address, "ipv4_mapped", None) or address
            found = key, any(plain in network for network in self._trusted)
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            self._kept[text] = found
        return found
