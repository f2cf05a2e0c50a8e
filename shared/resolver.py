"""Keys over DNSSEC: asks a validating resolver on this machine and believes its AD bit (RFC 4035 §3.2.3)."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

import dns.asyncquery
import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype

# RFC 9715: what fits a UDP answer without fragments.
_UDP_BYTES: Final = 1232
# No answer says for how long it is bogus; its owner is mending it, one hopes.
_BOGUS_SECONDS: Final = 5.0


class Answer(StrEnum):
    """What DNS says about a key record."""

    SECURE = "secure"
    INSECURE = "insecure"
    BOGUS = "bogus"
    ABSENT = "absent"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class KeyAnswer:
    """The answer for one name: the TXT contents when it is secure, and for how long it may be kept (seconds)."""

    answer: Answer
    records: tuple[str, ...] = ()
    keep_seconds: float = 0.0


class Resolver(Protocol):
    """Looks up key records."""

    async def look_up(self, name: str) -> KeyAnswer:
        """Return what DNS says about the TXT record at ``name``; trouble is ``undecided``, never an exception."""


class ValidatingResolver:
    """A resolver at ``address:port`` on the loopback, which validates DNSSEC itself."""

    def __init__(self, where: str, timeout_seconds: float) -> None:
        address, _, port = where.rpartition(":")
        self._address = address.strip("[]")
        self._port = int(port)
        self._timeout_seconds = timeout_seconds

    async def look_up(self, name: str) -> KeyAnswer:
        """See Resolver."""
        try:
            query = dns.message.make_query(
                name, dns.rdatatype.TXT, use_edns=0, want_dnssec=True, payload=_UDP_BYTES,
                flags=dns.flags.RD | dns.flags.AD,
            )  # fmt: skip
        except dns.exception.DNSException:
            # No such name can exist (RFC 1035 §2.3.4): a long sender with a long selector.
            return KeyAnswer(Answer.ABSENT, keep_seconds=_BOGUS_SECONDS)
        try:
            response, _ = await dns.asyncquery.udp_with_fallback(
                query, self._address, timeout=self._timeout_seconds, port=self._port
            )
        except (dns.exception.DNSException, OSError, EOFError):
            return KeyAnswer(Answer.UNDECIDED)
        return _read(response)


def _read(response: dns.message.Message) -> KeyAnswer:
    match response.rcode():
        case dns.rcode.NOERROR:
            return _read_chain(response)
        case dns.rcode.NXDOMAIN:
            return KeyAnswer(Answer.ABSENT, keep_seconds=_negative_seconds(response))
        case dns.rcode.SERVFAIL if any(_says_bogus(option) for option in response.options):
            return KeyAnswer(Answer.BOGUS, keep_seconds=_BOGUS_SECONDS)
        case _:
            return KeyAnswer(Answer.UNDECIDED)


def _read_chain(response: dns.message.Message) -> KeyAnswer:
    try:
        # Follows aliases from the name that was asked for; records of any other name are not looked at.
        chain = response.resolve_chaining()  # type: ignore[attr-defined] # a response to a query is a QueryMessage
    except dns.exception.DNSException:
        return KeyAnswer(Answer.UNDECIDED)
    if chain.answer is None:
        return KeyAnswer(Answer.ABSENT, keep_seconds=_negative_seconds(response))
    if not response.flags & dns.flags.AD:
        return KeyAnswer(Answer.INSECURE, keep_seconds=float(chain.minimum_ttl))
    # One record may be split into several strings, which are joined without spaces (RFC 6376 §3.6.2.2).
    records = tuple(b"".join(data.strings).decode("utf-8", "replace") for data in chain.answer)
    return KeyAnswer(Answer.SECURE, records, float(chain.minimum_ttl))


def _negative_seconds(response: dns.message.Message) -> float:
    """For how long an absence holds: the lesser of the SOA's own time to live and its minimum (RFC 2308 §5)."""
    for rrset in response.authority:
        if rrset.rdtype == dns.rdatatype.SOA:
            return float(min(rrset.ttl, rrset[0].minimum))
    return 0.0


def _says_bogus(option: dns.edns.Option) -> bool:
    # RFC 8914 §4: 6 to 12 tell of failed DNSSEC validation.
    return isinstance(option, dns.edns.EDEOption) and option.code in range(6, 13)
