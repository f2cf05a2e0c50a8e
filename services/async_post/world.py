"""What the world sees of our records, through a validating resolver."""

import uuid
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import dns.asyncquery
import dns.exception
import dns.flags
import dns.message
import dns.rdatatype

from services.async_post.records import record_names
from shared.generation import Generation
from shared.keys import KeyProblem, KeyRecordError, key_record, parse_key_record
from shared.resolver import Answer, Resolver, ValidatingResolver

# RFC 2308 §5: what is not there should not be remembered for longer than this.
_LONGEST_NEGATIVE_SECONDS: Final = 3 * 3600.0


class Sight(StrEnum):
    """What is seen of a record; the words are metric labels and the answers of `facescan dns check` too."""

    SEEN = "seen"
    REVOKED = "revoked"
    ABSENT = "absent"
    DIFFERENT = "different"
    NOT_SECURE = "not_secure"
    BOGUS = "bogus"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class Seen:
    """One record as the world sees it; ``text`` is what stands there, joined, when it can be believed."""

    name: str
    sight: Sight
    text: str = ""


class World:
    """Looks up our records at a resolver (address:port)."""

    def __init__(self, resolver: str, timeout_seconds: float, inner: Resolver | None = None) -> None:
        self._resolver = resolver
        self._timeout_seconds = timeout_seconds
        self._inner = inner or ValidatingResolver(resolver, timeout_seconds)

    async def look(self, selector: str, domain: str, record: str | None) -> dict[Generation, Seen]:
        """Return what is seen at the selector's name in each branch, held against ``record``."""
        return {
            generation: await self._look(name, record) for generation, name in record_names(selector, domain).items()
        }

    async def _look(self, name: str, record: str | None) -> Seen:
        found = await self._inner.look_up(name)
        match found.answer:
            case Answer.SECURE:
                text = found.records[0] if len(found.records) == 1 else ""
                return Seen(name, _judge(text, record), text)
            case Answer.ABSENT:
                return Seen(name, Sight.ABSENT)
            case Answer.INSECURE:
                return Seen(name, Sight.NOT_SECURE)
            case Answer.BOGUS:
                return Seen(name, Sight.BOGUS)
            case _:
                return Seen(name, Sight.UNDECIDED)

    async def negative_seconds(self, domain: str) -> float:
        """Return for how long a receiver may remember that a name was not there (RFC 2308 §5), 0 when nobody says.

        The name that is asked for is a fresh one, so that the answer's SOA has its whole time to live.
        """
        longest = 0.0
        for name in record_names(f"never-{uuid.uuid4().hex}", domain).values():
            query = dns.message.make_query(name, dns.rdatatype.TXT, want_dnssec=True)
            address, _, port = self._resolver.rpartition(":")
            try:
                response, _ = await dns.asyncquery.udp_with_fallback(
                    query, address.strip("[]"), port=int(port), timeout=self._timeout_seconds
                )
            except (dns.exception.DNSException, OSError, EOFError):
                continue
            for rrset in response.authority:
                if rrset.rdtype == dns.rdatatype.SOA:
                    longest = max(longest, float(min(rrset.ttl, rrset[0].minimum)))
        return min(longest, _LONGEST_NEGATIVE_SECONDS)


def _judge(text: str, record: str | None) -> Sight:
    try:
        key = parse_key_record(text)
    except KeyRecordError as error:
        return Sight.REVOKED if error.problem is KeyProblem.REVOKED else Sight.DIFFERENT
    # The same key may be written in more than one way.
    return Sight.SEEN if record is not None and key_record(key) == record else Sight.DIFFERENT
