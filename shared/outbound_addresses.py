"""Which IP addresses this system may connect to on behalf of a name that somebody else controls (rule 11).

Only addresses of one host of the public internet, by the IANA special-purpose address registries (RFC 6890), and those
that carry an IPv4 address inside are judged by what they carry. Everything that is not known to be good is refused.
"""

import ipaddress
from collections.abc import Iterable
from typing import Final

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

REFUSED_IPV4: Final = tuple(
    ipaddress.IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # this network, unspecified (RFC 791)
        "10.0.0.0/8",  # private (RFC 1918)
        "100.64.0.0/10",  # carrier-grade NAT (RFC 6598); some clouds' metadata
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # Azure's metadata, in a public range
        "169.254.0.0/16",  # link-local (RFC 3927); most clouds' metadata
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments (RFC 6890); Oracle's metadata
        "192.0.2.0/24",  # documentation (RFC 5737)
        "192.88.99.0/24",  # 6to4 relays, deprecated (RFC 7526)
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarking (RFC 2544)
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
    )
)
# What global unicast addresses are made of (RFC 4291); loopback, unique local, link-local, multicast lie outside.
GLOBAL_IPV6: Final = ipaddress.IPv6Network("2000::/3")
REFUSED_IPV6: Final = tuple(
    ipaddress.IPv6Network(text)
    for text in (
        "2001::/23",  # protocol assignments: Teredo 2001::/32, benchmarking 2001:2::/48, ORCHID (RFC 6890)
        "2001:db8::/32",  # documentation (RFC 3849)
        "2002::/16",  # 6to4, which carries any IPv4 address (RFC 3056, deprecated by RFC 7526)
        "3fff::/20",  # documentation (RFC 9637)
    )
)
_MAPPED: Final = ipaddress.IPv6Network("::ffff:0:0/96")
# The well-known prefix of NAT64 (RFC 6052): how a network without IPv4 reaches it. Its local-use sibling
# 64:ff9b:1::/48 (RFC 8215) leads wherever that network wants and is refused, being outside 2000::/3.
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_IPV4_BITS: Final = 0xFFFFFFFF


def _carried(address: Address) -> Address:
    """Return the IPv4 address that a mapped or NAT64 address really leads to, else the address itself."""
    if isinstance(address, ipaddress.IPv6Address) and (address in _MAPPED or address in _NAT64):
        return ipaddress.IPv4Address(int(address) & _IPV4_BITS)
    return address


def _parsed(text: str) -> Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    # A zone makes sense for link-local addresses alone.
    return None if isinstance(address, ipaddress.IPv6Address) and address.scope_id else address


def is_public(text: str) -> bool:
    """Whether ``text`` is the address of one host of the public internet; False for what is no address."""
    address = _parsed(text)
    if address is None:
        return False
    address = _carried(address)
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in network for network in REFUSED_IPV4)
    return address in GLOBAL_IPV6 and not any(address in network for network in REFUSED_IPV6)


class AddressRules:
    """Judges addresses: public ones, and those of the networks that a private deployment allows by name."""

    def __init__(self, allowed: Iterable[Network] = ()) -> None:
        self._allowed = tuple(allowed)

    def allows(self, text: str) -> bool:
        """Whether ``text`` may be connected to."""
        if is_public(text):
            return True
        address = _parsed(text)
        if address is None:
            return False
        address = _carried(address)
        return any(address.version == network.version and address in network for network in self._allowed)


class AnyAddress(AddressRules):
    """Allows every address: for development, where the emulated internet is this machine."""

    def allows(self, text: str) -> bool:
        """See AddressRules."""
        return _parsed(text.partition("%")[0]) is not None


def parse_networks(text: str) -> tuple[Network, ...]:
    """Return the networks of ``CIDR[,CIDR…]``. Raises ValueError naming the part that is none."""
    networks: list[Network] = []
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        try:
            networks.append(ipaddress.ip_network(part))
        except ValueError as error:
            raise ValueError(f"{part!r} is no network such as 10.1.0.0/16: {error}") from None
    return tuple(networks)
