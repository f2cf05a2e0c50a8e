"""A small internet of real servers: zones signed by the test, served by knot, asked for by unbound.

``example`` is the trust anchor. Below it ``signed`` is whole; ``unsigned`` has no DS; the others are spoiled, each in
the way that its name says.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import dns.dnssec
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.zone

from tests.support.dns_daemons import Daemon, knot, unbound
from tests.support.dns_relay import DnsRelay, relaying, silent_address
from tests.support.signed_zones import SignedZone, moved, replaced, without_denials

LONG_TEXT_BYTES = 3000


@dataclass(frozen=True)
class RealDns:
    """``unbound`` validates and is asked; ``outage`` lies between it and the zone of the same name."""

    unbound: Daemon
    outage: DnsRelay
    trust_anchor: str
    zones: dict[str, str]


def strings(text: str) -> str:
    """Return ``text`` as the strings of a TXT record in a zone file."""
    return " ".join(f'"{text[at : at + 250]}"' for at in range(0, len(text), 250))


def _keys(record: str) -> list[str]:
    return [f"{name} TXT {strings(record)}" for name in ("pw1._domainkey", "pw1._domainkey.pw")]


def _without_signatures(zone: dns.zone.Zone) -> None:
    for node in zone.nodes.values():
        node.delete_rdataset(zone.rdclass, dns.rdatatype.RRSIG, dns.rdatatype.TXT)


def internet(record: str) -> list[SignedZone]:
    """Return the zones; ``record`` is the key record at ``pw1`` in each."""
    long, keys = record + ";n=" + "x" * LONG_TEXT_BYTES, _keys(record)
    zones = [
        SignedZone(
            "signed.example",
            [
                *keys,
                f"long._domainkey TXT {strings(long)}",
                f"*.wild._domainkey TXT {strings(record)}",
                "alias._domainkey CNAME pw1._domainkey",
                "abroad._domainkey CNAME pw1._domainkey.unsigned.example.",
                "astray._domainkey CNAME pw1._domainkey.bogus.example.",
                "nowhere._domainkey CNAME nothing._domainkey",
                "circle._domainkey CNAME circle2._domainkey",
                "circle2._domainkey CNAME circle._domainkey",
            ],
        ),
        SignedZone("unsigned.example", keys, signed=False),
        SignedZone("bogus.example", keys, spoil=replaced("pw1._domainkey.bogus.example", "k=", "h=sha256;k=")),
        SignedZone("expired.example", keys, expired=True),
        SignedZone(
            "moved.example", [*keys, 'pw2._domainkey TXT "x"'],
            spoil=moved("pw1._domainkey.moved.example", "pw2._domainkey.moved.example"),
        ),
        SignedZone("stripped.example", keys, spoil=_without_signatures),
        SignedZone("denial.example", keys, spoil=without_denials),
        SignedZone("other-ds.example", keys),
        SignedZone("outage.example", keys),
        SignedZone("broken.example", keys),
        SignedZone("slow.example", keys),
    ]  # fmt: skip
    delegations = []
    for zone in zones:
        delegations += [f"{zone.name}. NS ns.{zone.name}.", f"ns.{zone.name}. A 127.0.0.1"]
        if zone.signed:
            delegations.append(SignedZone(zone.name).ds if zone.name == "other-ds.example" else zone.ds)
    return [SignedZone("example", delegations), *zones]


def zone_configuration(folder: Path, zones: list[SignedZone]) -> str:
    """Write the zones' files and return what knot reads of them."""
    lines = ["zone:"]
    for zone in zones:
        file = folder / f"{zone.name}.zone"
        file.write_text(zone.text())
        lines += [f"  - domain: {zone.name}", f'    file: "{file}"']
    return "\n".join(lines) + "\n"


def _fails(answer: dns.message.Message) -> None:
    answer.answer.clear()
    answer.authority.clear()
    answer.set_rcode(dns.rcode.SERVFAIL)


@contextmanager
def real_dns(folder: Path, record: str, *, tls: tuple[Path, Path] | None = None, server: str = "") -> Iterator[RealDns]:
    """Run it all; see ``internet``."""
    zones = internet(record)
    with ExitStack() as stack:
        silent, sock = silent_address()
        stack.callback(sock.close)
        served = stack.enter_context(knot(folder / "knot", zone_configuration(folder, zones), zone="example"))
        outage = stack.enter_context(relaying(served.address))
        broken = stack.enter_context(relaying(served.address))
        broken.change = _fails
        special = {"outage.example": outage.address, "broken.example": broken.address, "slow.example": silent}
        places = {zone.name: special.get(zone.name, served.address) for zone in zones}
        anchor = zones[0].dnskey
        validating = stack.enter_context(
            unbound(folder / "unbound", anchors=[anchor], zones=places, tls=tls, server=server)
        )
        yield RealDns(validating, outage, anchor, places)
