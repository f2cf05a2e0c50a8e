"""Keys over DNSSEC: asks a validating resolver on this machine and believes its AD bit (RFC 4035 §3.2.3)."""

import asyncio
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
_NEGATIVE_SECONDS: Final = 30.0


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
            return KeyAnswer(Answer.ABSENT, keep_seconds=_NEGATIVE_SECONDS)
        try:
            response, _ = await dns.asyncquery.udp_with_fallback(
                query, self._address, timeout=self._timeout_seconds, port=self._port
            )
        except (dns.exception.DNSException, OSError, EOFError):
            return KeyAnswer(Answer.UNDECIDED)
        return _read(response)


def _read(response: dns.message.Message) -> KeyAnswer:
    secure = bool(response.flags & dns.flags.AD)
    match response.rcode():
        case dns.rcode.NOERROR:
            pass
        case dns.rcode.NXDOMAIN:
            return KeyAnswer(Answer.ABSENT, keep_seconds=_NEGATIVE_SECONDS)
        case dns.rcode.SERVFAIL if any(_says_bogus(option) for option in response.options):
            return KeyAnswer(Answer.BOGUS, keep_seconds=_NEGATIVE_SECONDS)
        case _:
            return KeyAnswer(Answer.UNDECIDED)
    found = [rrset for rrset in response.answer if rrset.rdtype == dns.rdatatype.TXT]
    if not found:
        return KeyAnswer(Answer.ABSENT, keep_seconds=_NEGATIVE_SECONDS)
    keep_seconds = float(min(rrset.ttl for rrset in response.answer))
    if not secure:
        return KeyAnswer(Answer.INSECURE, keep_seconds=keep_seconds)
    # One record may be split into several strings, which are joined without spaces (RFC 6376 §3.6.2.2).
    records = tuple(b"".join(data.strings).decode("utf-8", "replace") for rrset in found for data in rrset)
    return KeyAnswer(Answer.SECURE, records, keep_seconds)


def _says_bogus(option: dns.edns.Option) -> bool:
    # RFC 8914 §4: 6 to 12 tell of failed DNSSEC validation.
    return isinstance(option, dns.edns.EDEOption) and option.code in range(6, 13)


class CachingResolver:
    """Keeps answers for their time to live, within bounds, and asks once at a time for a name.

    ``fresh=True`` goes past what is kept, for a signature that fails: the key may have changed under its name. It does
    so once in ``fresh_seconds`` for a name, so that forged messages cannot make it ask without end.
    """

    def __init__(
        self, inner: Resolver, *, most_names: int = 10_000, longest_seconds: float = 3600.0, fresh_seconds: float = 5.0
    ) -> None:
        self._inner = inner
        self._most_names = most_names
        self._longest_seconds = longest_seconds
        self._fresh_seconds = fresh_seconds
        self._kept: dict[str, tuple[float, float, KeyAnswer]] = {}
        self._asking: dict[str, asyncio.Task[KeyAnswer]] = {}

    async def look_up(self, name: str, *, fresh: bool = False) -> KeyAnswer:
        """See Resolver."""
        now = asyncio.get_running_loop().time()
        kept = self._kept.get(name)
        if kept is not None:
            asked_at, until, answer = kept
            if (now < until and not fresh) or (fresh and now < asked_at + self._fresh_seconds):
                return answer
        asking = self._asking.get(name)
        if asking is None:
            asking = self._asking[name] = asyncio.create_task(self._ask(name))
            asking.add_done_callback(lambda _: self._asking.pop(name, None))
        return await asyncio.shield(asking)

    async def _ask(self, name: str) -> KeyAnswer:
        answer = await self._inner.look_up(name)
        if answer.answer is not Answer.UNDECIDED:
            now = asyncio.get_running_loop().time()
            while len(self._kept) >= self._most_names:
                self._kept.pop(next(iter(self._kept)))  # the one that was learnt first
            self._kept.pop(name, None)
            self._kept[name] = (now, now + min(answer.keep_seconds, self._longest_seconds), answer)
        return answer
