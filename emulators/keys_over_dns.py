"""Looking up a sender's key in DNS; only an answer marked as DNSSEC-validated (AD, RFC 4035 §3.2.3) counts."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import dns.asyncquery
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rdtypes.ANY.TXT

from emulators.envelopes import UnprovenMessageError

_TIMEOUT_SECONDS = 5.0
_MOST_KEPT = 1000
_KEPT_SECONDS = 1.0
"""An answer serves the messages of the same second, never beyond its time to live."""
_EDNS_BYTES = 1232
"""What fits every path without fragments (DNS flag day 2020)."""


class ResolverUnavailableError(RuntimeError):
    """Raised when the resolver gives no usable answer now; the sender may try again (5xx)."""


@dataclass(frozen=True, slots=True)
class Resolver:
    """A validating resolver that this host trusts."""

    host: str
    port: int
    _kept: dict[str, tuple[float, str]] = field(init=False, default_factory=dict, compare=False, repr=False)

    @classmethod
    def at(cls, address: str) -> Resolver:
        """The resolver at `address`, written host:port; raises ValueError."""
        host, _, port = address.rpartition(":")
        if not host or not port.isdecimal() or int(port) > 65535:  # noqa: PLR2004 - the highest port
            raise ValueError(f"{address!r} is not host:port")
        return cls(host, int(port))

    async def key_record(self, name: str) -> str:
        """Contents of the one TXT record at `name`; raises UnprovenMessageError or ResolverUnavailableError."""
        until, text = self._kept.get(name, (0.0, ""))
        if time.monotonic() < until:
            return text
        text, ttl = await self._ask(name)
        if len(self._kept) >= _MOST_KEPT:
            self._kept.clear()
        self._kept[name] = (time.monotonic() + min(ttl, _KEPT_SECONDS), text)
        return text

    async def _ask(self, name: str) -> tuple[str, float]:
        """The record's contents and its time to live in seconds."""
        try:
            query = dns.message.make_query(name, dns.rdatatype.TXT, use_edns=0, want_dnssec=True, payload=_EDNS_BYTES)
        except (dns.exception.DNSException, UnicodeError):
            raise UnprovenMessageError(f"{name} is no DNS name") from None
        query.flags |= dns.flags.AD
        try:
            answer, _ = await dns.asyncquery.udp_with_fallback(query, self.host, _TIMEOUT_SECONDS, self.port)
        except (OSError, dns.exception.DNSException) as error:
            raise ResolverUnavailableError(f"no answer for {name}: {error or type(error).__name__}") from None
        if answer.rcode() not in {dns.rcode.NOERROR, dns.rcode.NXDOMAIN}:
            raise ResolverUnavailableError(f"{name}: {dns.rcode.to_text(answer.rcode())}")
        found = [
            (record, rrset.ttl)
            for rrset in answer.answer
            for record in rrset
            if isinstance(record, dns.rdtypes.ANY.TXT.TXT)
        ]
        if len(found) != 1:
            raise UnprovenMessageError(f"{name}: one TXT record is expected, {len(found)} found")
        if not answer.flags & dns.flags.AD:
            raise UnprovenMessageError(f"{name}: the answer is not DNSSEC-validated")
        record, ttl = found[0]
        return b"".join(record.strings).decode("ascii", "replace"), float(ttl)
