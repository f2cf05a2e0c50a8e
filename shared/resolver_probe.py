"""Does the resolver validate? What can be seen of that from outside, without the internet and with it.

Without: whether it marks as validated what has no signature (it sets AD because it was asked to), and whether the
signed records of a domain of ours come without AD (it does not validate, or nothing vouches for the domain). With a
name whose signature is known to be wrong: whether that is withheld, and given when CD says that nobody need validate.
What nobody can see: that a resolver which is asked in clear forwards to one that validates. So it has to be on this
machine, or at the other end of TLS.
"""

import uuid
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype

from shared.resolver import ValidatingResolver

_TROUBLE: Final = (dns.exception.DNSException, OSError, EOFError)


class Validation(StrEnum):
    """What is known of a resolver."""

    PROVEN = "proven"
    NOT_PROVEN = "not_proven"
    DISPROVED = "disproved"
    SILENT = "silent"


@dataclass(frozen=True, slots=True)
class Finding:
    """What is known, and from what."""

    validation: Validation
    why: str


async def probe(resolver: ValidatingResolver, domain: str, bogus_name: str | None) -> Finding:
    """Ask ``resolver`` for names of ``domain`` and of nobody, and for ``bogus_name`` if there is one."""
    try:
        own = await resolver.ask(domain, "SOA")
        for name, kind in ((f"never-{uuid.uuid4().hex}.{domain}", "TXT"), ("localhost", "A")):
            if _unfounded(await resolver.ask(name, kind)):
                return Finding(Validation.DISPROVED, f"it marks as validated what has no signature: {name} {kind}")
    except _TROUBLE as error:
        return Finding(Validation.SILENT, f"it does not answer: {type(error).__name__}")
    if _unfounded(own):
        return Finding(Validation.DISPROVED, f"it marks as validated what has no signature: {domain} SOA")
    if bogus_name is not None:
        return await _probe_bogus(resolver, bogus_name, validates_own=bool(own.flags & dns.flags.AD))
    if _has_signature(own) and not own.flags & dns.flags.AD:
        return Finding(
            Validation.NOT_PROVEN,
            f"{domain} is signed, but it does not say so: it does not validate, or no DS leads to the zone",
        )
    return Finding(Validation.NOT_PROVEN, "FACESCAN_DNS_BOGUS_NAME is not set")


async def _probe_bogus(resolver: ValidatingResolver, name: str, *, validates_own: bool) -> Finding:
    try:
        checked = await resolver.ask(name)
        unchecked = await resolver.ask(name, checking_disabled=True)
    except _TROUBLE as error:
        return Finding(Validation.NOT_PROVEN, f"{name} cannot be asked for now: {type(error).__name__}")
    if checked.rcode() != dns.rcode.SERVFAIL:
        rcode = dns.rcode.to_text(checked.rcode())
        if checked.rcode() == dns.rcode.NOERROR and not (validates_own or checked.flags & dns.flags.AD):
            return Finding(Validation.DISPROVED, f"it gives out {name}, whose signature is wrong")
        # It validates other names: the owner of this one has mended it, or given up its signatures.
        return Finding(Validation.NOT_PROVEN, f"{name} is answered {rcode}: it is no name with a wrong signature")
    if unchecked.rcode() == dns.rcode.NOERROR:
        return Finding(Validation.PROVEN, f"it withholds {name}, whose signature is wrong")
    return Finding(Validation.NOT_PROVEN, f"{name} cannot be had at all, so nothing is seen of validation")


def _unfounded(response: dns.message.Message) -> bool:
    return bool(response.flags & dns.flags.AD) and not _has_signature(response)


def _has_signature(response: dns.message.Message) -> bool:
    return any(one.rdtype == dns.rdatatype.RRSIG for one in (*response.answer, *response.authority))
