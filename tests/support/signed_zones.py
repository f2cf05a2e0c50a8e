"""Zones that a test signs itself (dnspython, ECDSA P-256), whole or spoiled in one way each."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import dns.dnssec
import dns.name
import dns.rdataset
import dns.rdatatype
import dns.zone
from cryptography.hazmat.primitives.asymmetric import ec
from dns.dnssectypes import Algorithm, DSDigest
from dns.rdtypes.ANY.DNSKEY import DNSKEY

TTL_SECONDS = 60
NEGATIVE_SECONDS = 7
_DAY = 86_400

Spoil = Callable[[dns.zone.Zone], None]


@dataclass
class SignedZone:
    """A zone to be signed; ``records`` are lines of a zone file, names relative to it."""

    name: str
    records: Sequence[str] = ()
    expired: bool = False
    signed: bool = True
    spoil: Spoil | None = None
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    @property
    def dnskey(self) -> str:
        """Its key, as a record."""
        return f"{self.name}. {TTL_SECONDS} IN DNSKEY {self._dnskey()}"

    @property
    def ds(self) -> str:
        """What its parent says of it, as a record."""
        ds = dns.dnssec.make_ds(dns.name.from_text(self.name), self._dnskey(), DSDigest.SHA256)
        return f"{self.name}. {TTL_SECONDS} IN DS {ds}"

    def text(self) -> str:
        """The zone's file."""
        soa = f"@ {TTL_SECONDS} IN SOA ns.{self.name}. host.{self.name}. 1 3600 600 86400 {NEGATIVE_SECONDS}"
        lines = [f"$ORIGIN {self.name}.", f"$TTL {TTL_SECONDS}", soa, f"@ IN NS ns.{self.name}.", "ns IN A 127.0.0.1"]
        zone = dns.zone.from_text("\n".join([*lines, *self.records]), relativize=False)
        if self.signed:
            now = time.time()
            inception, expiration = (now - 30 * _DAY, now - _DAY) if self.expired else (now - _DAY, now + 7 * _DAY)
            dns.dnssec.sign_zone(
                zone, keys=[(self.key, self._dnskey())], inception=inception, expiration=expiration,
                dnskey_ttl=TTL_SECONDS,
            )  # fmt: skip
        if self.spoil is not None:
            self.spoil(zone)
        return str(zone.to_text(relativize=False, want_origin=True))

    def _dnskey(self) -> DNSKEY:
        return dns.dnssec.make_dnskey(self.key.public_key(), Algorithm.ECDSAP256SHA256, flags=257)


def replaced(name: str, old: str, new: str) -> Spoil:
    """A TXT record that was changed after it was signed."""

    def spoil(zone: dns.zone.Zone) -> None:
        owner = dns.name.from_text(name)
        rdataset = zone.find_rdataset(owner, dns.rdatatype.TXT)
        text = rdataset.to_text().replace(old, new)
        assert text != rdataset.to_text()
        lines = [line.split(" TXT ", 1)[1] for line in text.splitlines()]
        zone.replace_rdataset(owner, dns.rdataset.from_text("IN", "TXT", rdataset.ttl, *lines))

    return spoil


def moved(name: str, to: str) -> Spoil:
    """A record and its signature that stand at another name than the one they were made for."""

    def spoil(zone: dns.zone.Zone) -> None:
        node = zone.find_node(dns.name.from_text(name))
        signature = node.find_rdataset(zone.rdclass, dns.rdatatype.RRSIG, dns.rdatatype.TXT)
        target = zone.find_node(dns.name.from_text(to))
        target.replace_rdataset(signature)
        target.replace_rdataset(node.find_rdataset(zone.rdclass, dns.rdatatype.TXT))

    return spoil


def without_denials(zone: dns.zone.Zone) -> None:
    """Nothing proves that a name is not there."""
    for node in zone.nodes.values():
        node.delete_rdataset(zone.rdclass, dns.rdatatype.NSEC)
        node.delete_rdataset(zone.rdclass, dns.rdatatype.RRSIG, dns.rdatatype.NSEC)
