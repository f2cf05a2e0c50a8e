"""A primary that takes dynamic updates and signs by itself (knot), and unbound, which trusts its key."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dns.message
import dns.query
import dns.rdatatype

from services.async_post.dynamic_update import DynamicUpdate
from services.async_post.world import World
from shared.resolver import ValidatingResolver
from tests.support.dns_daemons import Daemon, knot, unbound

TSIG_NAME = "facescan"
TSIG = "ZmFjZXNjYW4tZmFjZXNjYW4tZmFjZXNjYW4tMTIzNDU="

_CONFIGURATION = """
key:
  - id: {tsig_name}
    algorithm: hmac-sha256
    secret: {tsig}
acl:
  - id: update
    key: {tsig_name}
    action: update
policy:
  - id: signed
    algorithm: ecdsap256sha256
    single-type-signing: on
zone:
  - domain: {domain}
    file: "{file}"
    zonefile-sync: -1
    acl: update
    dnssec-signing: on
    dnssec-policy: signed
"""


@dataclass(frozen=True)
class Site:
    """One domain's DNS: its primary, and a resolver that validates its records."""

    domain: str
    primary: Daemon
    unbound: Daemon

    def writer(self, *, secret: str = TSIG, name: str = TSIG_NAME, ttl_seconds: int = 1) -> DynamicUpdate:
        """Return who updates the zone."""
        return DynamicUpdate(self.primary.address, name, secret, ttl_seconds=ttl_seconds, timeout_seconds=5)

    @property
    def resolver(self) -> ValidatingResolver:
        return ValidatingResolver(self.unbound.address, 5)

    @property
    def world(self) -> World:
        return World(self.resolver)


@contextmanager
def signing_primary(folder: Path, domain: str, *, negative_seconds: int = 1) -> Iterator[Site]:
    """Run both; a name that is not there is remembered for ``negative_seconds``."""
    file = folder / f"{domain}.zone"
    file.write_text(
        f"$ORIGIN {domain}.\n@ {negative_seconds} IN SOA ns host 1 3600 600 86400 {negative_seconds}\n"
        "@ 60 NS ns\nns 60 A 127.0.0.1\n"
    )
    configuration = _CONFIGURATION.format(tsig_name=TSIG_NAME, tsig=TSIG, domain=domain, file=file)
    with knot(folder / "knot", configuration, zone=domain) as primary:
        query = dns.message.make_query(domain, "DNSKEY")
        answer = dns.query.tcp(query, "127.0.0.1", port=primary.port, timeout=5)
        (keys,) = [rrset for rrset in answer.answer if rrset.rdtype == dns.rdatatype.DNSKEY]
        anchors = [f"{domain}. 60 IN DNSKEY {key}" for key in keys]
        with unbound(folder / "unbound", anchors=anchors, zones={domain: primary.address}) as validating:
            yield Site(domain, primary, validating)
