"""What the world sees of our records, through a validating resolver."""

import uuid
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import dns.exception
import dns.message
import dns.rdatatype

from services.async_post.records import record_names
from shared.generation import Generation
from shared.keys import KeyProblem, KeyRecordError, key_record, parse_key_record
from shared.resolver import Answer, ValidatingResolver

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
    """Looks up our records at a resolver."""

    def __init__(self, resolver: ValidatingResolver) -> None:
        self._resolver = resolver

    async def look(self, selector: str, domain: str, record: str | None) -> dict[Generation, Seen]:
        """Return what is seen at the selector's name in each branch, held against ``record``."""
        return {
            generation: await self._look(name, record) for generation, name in record_names(selector, domain).items()
        }

    async def _look(self, name: str, record: str | None) -> Seen:
        found = await self._resolver.look_up(name)
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

        Asked for is a fresh name. The answer may be made of proofs that the resolver has had for a while (RFC 8198),
        whose times have run down; the signatures have the times as the zone gives them.
        """
        longest = 0.0
        for name in record_names(f"never-{uuid.uuid4().hex}", domain).values():
            try:
                response = await self._resolver.ask(name)
            except (dns.exception.DNSException, OSError, EOFError):
                continue
            longest = max(longest, _negative_seconds(response))
        return min(longest, _LONGEST_NEGATIVE_SECONDS)


def _negative_seconds(response: dns.message.Message) -> float:
    whole = {
        (one.name, one.covers): one[0].original_ttl for one in response.authority if one.rdtype == dns.rdatatype.RRSIG
    }
    longest = 0.0
    for one in response.authority:
        seconds = max(one.ttl, whole.get((one.name, one.rdtype), 0))
        if one.rdtype == dns.rdatatype.SOA:
            longest = max(longest, float(min(seconds, one[0].minimum)))
        elif one.rdtype in (dns.rdatatype.NSEC, dns.rdatatype.NSEC3):
            # By them a resolver denies names that nobody has asked for yet.
            longest = max(longest, float(seconds))
    return longest


def _judge(text: str, record: str | None) -> Sight:
    try:
        key = parse_key_record(text)
    except KeyRecordError as error:
        return Sight.REVOKED if error.problem is KeyProblem.REVOKED else Sight.DIFFERENT
    # The same key may be written in more than one way.
    return Sight.SEEN if record is not None and key_record(key) == record else Sight.DIFFERENT
