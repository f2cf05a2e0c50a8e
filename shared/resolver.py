"""Keys over DNSSEC: asks a validating resolver, here or over TLS, and believes its AD bit (RFC 4035 §3.2.3)."""

import logging
import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final, Protocol

import dns.asyncquery
import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from shared.dns_over_tls import DnsOverTls
from shared.resolver_address import resolver_address

log = logging.getLogger(__name__)

# RFC 9715: what fits a UDP answer without fragments.
_UDP_BYTES: Final = 1232
# RFC 8467 §4.1: of encrypted questions, so that their length does not tell the name.
_PADDED_BYTES: Final = 128
# No answer says for how long it is bogus; its owner is mending it, one hopes.
_BOGUS_SECONDS: Final = 5.0
_SAID_SECONDS: Final = 60.0
_TOLD: Final = frozenset({dns.rcode.NOERROR, dns.rcode.NXDOMAIN})


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
    """The resolver at ``where``, which validates DNSSEC itself: see ``shared.resolver_address`` for the forms.

    ``authority`` is a PEM file of the authorities whose certificate it must have, over TLS; None: the known ones.
    Raises ValueError for another form, OSError for a file that cannot be read.
    """

    def __init__(self, where: str, timeout_seconds: float, *, authority: Path | None = None) -> None:
        self._where = resolver_address(where)
        self._timeout_seconds = timeout_seconds
        self._tls = DnsOverTls(self._where, authority) if self._where.tls_name is not None else None
        self._said_at = -_SAID_SECONDS

    async def look_up(self, name: str) -> KeyAnswer:
        """See Resolver."""
        try:
            dns.name.from_text(name)
        except dns.exception.DNSException:
            # No such name can exist (RFC 1035 §2.3.4): a long sender with a long selector.
            return KeyAnswer(Answer.ABSENT, keep_seconds=_BOGUS_SECONDS)
        try:
            response = await self.ask(name)
        except (dns.exception.DNSException, OSError, EOFError):
            return KeyAnswer(Answer.UNDECIDED)
        answer = _read(response)
        if answer.answer is Answer.SECURE and not signed(response):
            self._say(name)
            return KeyAnswer(Answer.UNDECIDED)
        if answer.answer is Answer.BOGUS and not await self._can_be_judged(name):
            return KeyAnswer(Answer.UNDECIDED)
        return answer

    async def _can_be_judged(self, name: str) -> bool:
        """Whether the record and the key of its zone can be had at all, validated or not.

        unbound says bogus (EDE 6) also while it cannot fetch the zone's DNSKEY, and an outage is not a no.
        """
        try:
            record = await self.ask(name, checking_disabled=True)
            if record.rcode() not in _TOLD:
                return False
            for zone in {one[0].signer for one in record.answer if one.rdtype == dns.rdatatype.RRSIG}:
                key = await self.ask(zone.to_text(), "DNSKEY", checking_disabled=True)
                if key.rcode() not in _TOLD:
                    return False
        except (dns.exception.DNSException, OSError, EOFError):
            return False
        return True

    async def ask(self, name: str, kind: str = "TXT", *, checking_disabled: bool = False) -> dns.message.Message:
        """Return the whole answer to a question with RD, AD and DO set. Raises DNSException, OSError, EOFError.

        ``checking_disabled`` sets CD: give what there is, validated or not (RFC 4035 §3.2.2).
        """
        flags = dns.flags.RD | dns.flags.AD | (dns.flags.CD if checking_disabled else 0)
        query = dns.message.make_query(
            name, kind, use_edns=0, want_dnssec=True, payload=_UDP_BYTES, flags=flags,
            pad=0 if self._tls is None else _PADDED_BYTES,
        )  # fmt: skip
        if self._tls is not None:
            return await self._tls.ask(query, self._timeout_seconds)
        response, _ = await dns.asyncquery.udp_with_fallback(
            query, self._where.address, timeout=self._timeout_seconds, port=self._where.port
        )
        return response

    async def close(self) -> None:
        """Close the connection, if one is kept."""
        if self._tls is not None:
            await self._tls.close()

    def _say(self, name: str) -> None:
        if time.monotonic() - self._said_at >= _SAID_SECONDS:
            self._said_at = time.monotonic()
            log.error(
                "the resolver says that it validated what has no signature: its AD bit is worth nothing",
                extra={"resolver": f"{self._where.address}:{self._where.port}", "record": name},
            )


def signed(response: dns.message.Message) -> bool:
    """Whether the last records of the answer's chain come with a signature (RRSIG).

    A resolver that validated them has it, and gives it to whoever sets DO (RFC 4035 §3.2.1). One that sets AD because
    it was asked to, or copies it from a stranger, gives none for a zone that is not signed.
    """
    chain = response.resolve_chaining()  # type: ignore[attr-defined] # a response to a query is a QueryMessage
    rrset: dns.rrset.RRset | None = chain.answer
    return rrset is not None and any(
        one.rdtype == dns.rdatatype.RRSIG and one.covers == rrset.rdtype and one.name == rrset.name
        for one in response.answer
    )


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
