"""Looking up a sender's key in DNS; only an answer marked as DNSSEC-validated (AD, RFC 4035 §3.2.3) counts."""

from __future__ import annotations

from dataclasses import dataclass

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
_EDNS_BYTES = 1232
"""What fits every path without fragments (DNS flag day 2020)."""


class ResolverUnavailableError(RuntimeError):
    """Raised when the resolver gives no usable answer now; the sender may try again (5xx)."""


@dataclass(frozen=True, slots=True)
class Resolver:
    """A validating resolver that this host trusts."""

    host: str
    port: int

    @classmethod
    def at(cls, address: str) -> Resolver:
        """The resolver at `address`, written host:port; raises ValueError."""
        host, _, port = address.rpartition(":")
        if not host or not port.isdecimal() or int(port) > 65535:  # noqa: PLR2004 - the highest port
            raise ValueError(f"{address!r} is not host:port")
        return cls(host, int(port))

    async def key_record(self, name: str) -> str:
        """Contents of the one TXT record at `name`; raises UnprovenMessageError or ResolverUnavailableError."""
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
        records = [record for rrset in answer.answer for record in rrset if isinstance(record, dns.rdtypes.ANY.TXT.TXT)]
        if len(records) != 1:
            raise UnprovenMessageError(f"{name}: one TXT record is expected, {len(records)} found")
        if not answer.flags & dns.flags.AD:
            raise UnprovenMessageError(f"{name}: the answer is not DNSSEC-validated")
        return b"".join(records[0].strings).decode("ascii", "replace")
