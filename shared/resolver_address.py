"""Where the validating resolver is: on this machine, or at the other end of an authenticated connection.

The AD bit is worth as much as the way that it comes by (RFC 4035 §4.9.3, RFC 6840 §5.8): over the loopback, or over
TLS from a server whose name and certificate were checked (RFC 8310 §5, strict). Anything else is refused.
"""

import ipaddress
from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import AfterValidator

from shared.domain_names import domain_name

_TLS: Final = "tls://"
_TLS_PORT: Final = 853
_HIGHEST_PORT: Final = 65535
_FORM: Final = "not of the form address:port or tls://address:port#name"


@dataclass(frozen=True, slots=True)
class ResolverAddress:
    """An IP address and port; with ``tls_name`` TLS is spoken there, by a server that proves this name."""

    address: str
    port: int
    tls_name: str | None = None


def resolver_address(text: str) -> ResolverAddress:
    """Read ``address:port`` on the loopback, or ``tls://address[:port]#name``. Raises ValueError in one line.

    ``name`` is a domain name or an IP address, as the certificate has it. The address is no name: looking that up
    would need another resolver.
    """
    if not text.startswith(_TLS):
        address, port = _split(text, None)
        if not ipaddress.ip_address(address).is_loopback:
            raise ValueError(
                "the AD bit is worth nothing over a network: name a resolver at a loopback address, or one that speaks "
                "TLS as tls://address:port#name"
            )
        return ResolverAddress(address, port)
    where, sharp, name = text.removeprefix(_TLS).partition("#")
    if not sharp:
        raise ValueError("after tls://address:port there must be #name, which the resolver's certificate must have")
    return ResolverAddress(*_split(where, _TLS_PORT), _certified(name))


def _split(text: str, default_port: int | None) -> tuple[str, int]:
    address, colon, port = text.rpartition(":")
    if not colon or "]" in port:
        address, port = text, "" if default_port is None else str(default_port)
    try:
        parsed = ipaddress.ip_address(address[1:-1] if address.startswith("[") and address.endswith("]") else address)
    except ValueError:
        raise ValueError(_FORM) from None
    bracketed = address.startswith("[")
    if not (port.isascii() and port.isdecimal()) or not 0 < int(port) <= _HIGHEST_PORT:
        raise ValueError(_FORM)
    if bracketed != (parsed.version == 6):  # noqa: PLR2004 - IPv6
        raise ValueError(_FORM)
    return str(parsed), int(port)


def _certified(name: str) -> str:
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return domain_name(name)


def _checked(text: str) -> str:
    resolver_address(text)
    return text


ResolverPlace = Annotated[str, AfterValidator(_checked)]
"""The text of a resolver's address in a setting."""
