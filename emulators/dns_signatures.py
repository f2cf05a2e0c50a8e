"""Signatures in the emulated internet's answers (RFC 4035 §3.1): a key for all zones, made anew by each resolver.

There is no trust anchor to check them up to; they stand where the answers of a validating resolver have them.
"""

from __future__ import annotations

import time

import dns.dnssec
import dns.dnssectypes
import dns.name
import dns.rrset
from cryptography.hazmat.primitives.asymmetric import ed25519

_DAY_SECONDS = 86_400
_ZONE_KEY_FLAGS = 257


class Signatures:
    """Signs records of any zone."""

    def __init__(self) -> None:
        self._key = ed25519.Ed25519PrivateKey.generate()
        self._dnskey = dns.dnssec.make_dnskey(
            self._key.public_key(), dns.dnssectypes.Algorithm.ED25519, flags=_ZONE_KEY_FLAGS
        )

    def dnskey(self, apex: dns.name.Name, ttl_seconds: int) -> dns.rrset.RRset:
        """The zone's key."""
        return dns.rrset.from_rdata(apex, ttl_seconds, self._dnskey)

    def of(self, rrset: dns.rrset.RRset, apex: dns.name.Name) -> dns.rrset.RRset:
        """The signature over `rrset`, a record of the zone `apex`."""
        now = int(time.time())
        signature = dns.dnssec.sign(
            rrset, self._key, apex, self._dnskey, inception=now - _DAY_SECONDS, expiration=now + _DAY_SECONDS
        )
        return dns.rrset.from_rdata(rrset.name, rrset.ttl, signature)
