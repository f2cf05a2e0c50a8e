from __future__ import annotations

import asyncio
import json
import socket
import time
from typing import TYPE_CHECKING, Any

import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import pytest

from emulators.envelopes import Generation, UnprovenMessageError, public_key_txt
from emulators.keys_over_dns import Resolver, ResolverUnavailableError
from emulators.world import make_key, write_domain

if TYPE_CHECKING:
    from pathlib import Path

LONG = "v=DKIM1;k=rsa;p=" + "A" * 700


@pytest.fixture(scope="module", autouse=True)
def domains(world_folder: Path) -> None:
    write_domain(world_folder, "shop.example", {"pw1": "v=DKIM1;k=ed25519;p=AAAA", "long": LONG})
    write_domain(world_folder, "open.example", {"pw1": "v=DKIM1;p=AAAA"}, secure=False)
    for name, behaviour in {"broken": {"servfail": True}, "slow": {"delay_seconds": 0.4}}.items():
        fields = {"secure": True, "keys": {"pw1": "v=DKIM1;p=AAAA"}, "dns": behaviour, "ttl": 7}
        (world_folder / f"{name}.example.json").write_text(json.dumps(fields))


def ask(address: str, name: str, kind: str = "TXT", *, tcp: bool = False, **options: Any) -> dns.message.Message:
    query = dns.message.make_query(name, kind, **options)
    host, _, port = address.rpartition(":")
    send = dns.query.tcp if tcp else dns.query.udp
    return send(query, host, timeout=3, port=int(port))


def texts(answer: dns.message.Message) -> list[str]:
    return [b"".join(record.strings).decode() for rrset in answer.answer for record in rrset]


@pytest.mark.parametrize("generation", list(Generation))
def test_a_key_is_found_under_the_names_of_both_generations(dns_address: str, generation: Generation) -> None:
    name = generation.key_name("SHOP.example", "PW1")
    assert texts(ask(dns_address, name)) == ["v=DKIM1;k=ed25519;p=AAAA"]
    assert texts(ask(dns_address, name, tcp=True)) == ["v=DKIM1;k=ed25519;p=AAAA"]


def test_the_answer_is_marked_as_validated_only_for_a_secure_domain_and_who_asks_so(dns_address: str) -> None:
    name = "pw1._domainkey.shop.example"
    ad: Any = {"flags": dns.flags.RD | dns.flags.AD}
    assert ask(dns_address, name, **ad).flags & dns.flags.AD
    assert ask(dns_address, name, want_dnssec=True).flags & dns.flags.AD
    assert not ask(dns_address, name).flags & dns.flags.AD
    assert not ask(dns_address, "pw1._domainkey.open.example", want_dnssec=True, **ad).flags & dns.flags.AD


@pytest.mark.parametrize("name", ["shop.example", "nlweb.shop.example", "pw.shop.example"])
def test_the_hosts_of_a_domain_are_on_loopback(dns_address: str, name: str) -> None:
    answer = ask(dns_address, name, "A")
    assert [record.address for record in answer.answer[0]] == ["127.0.0.1"]
    assert ask(dns_address, name, "AAAA").rcode() == dns.rcode.NOERROR
    assert ask(dns_address, name, "AAAA").answer == []


@pytest.mark.parametrize("name", ["pw9._domainkey.shop.example", "www.shop.example", "nobody.invalid"])
def test_a_name_that_does_not_exist_is_denied_with_an_soa(dns_address: str, name: str) -> None:
    answer = ask(dns_address, name)
    assert answer.rcode() == dns.rcode.NXDOMAIN
    assert answer.authority[0].rdtype == dns.rdatatype.SOA


@pytest.mark.parametrize("name", ["shop.example", "_domainkey.shop.example", "_domainkey.pw.shop.example"])
def test_a_name_without_such_a_record_exists_all_the_same(dns_address: str, name: str) -> None:
    answer = ask(dns_address, name)
    assert (answer.rcode(), answer.answer) == (dns.rcode.NOERROR, [])
    assert answer.authority[0].rdtype == dns.rdatatype.SOA


def test_a_long_key_comes_in_several_strings_and_over_tcp_if_it_is_too_long(dns_address: str) -> None:
    name = "long._domainkey.shop.example"
    small = ask(dns_address, name)
    assert small.flags & dns.flags.TC
    assert small.answer == []
    large = ask(dns_address, name, use_edns=0, payload=1232)
    assert texts(large) == [LONG]
    assert len(large.answer[0][0].strings) == 3
    assert texts(ask(dns_address, name, tcp=True)) == [LONG]


def test_a_domain_can_be_out_of_order_or_slow_without_slowing_others(dns_address: str) -> None:
    assert ask(dns_address, "pw1._domainkey.broken.example").rcode() == dns.rcode.SERVFAIL

    async def both() -> tuple[float, float]:
        async def timed(name: str) -> float:
            began = time.perf_counter()
            await asyncio.to_thread(ask, dns_address, name)
            return time.perf_counter() - began

        slow, quick = await asyncio.gather(timed("pw1._domainkey.slow.example"), timed("pw1._domainkey.shop.example"))
        return slow, quick

    slow, quick = asyncio.run(both())
    assert slow > 0.4
    assert quick < 0.3


def test_a_domain_appears_and_changes_while_the_resolver_runs(dns_address: str, world_folder: Path) -> None:
    name = "pw1._domainkey.late.example"
    assert ask(dns_address, name).rcode() == dns.rcode.NXDOMAIN
    write_domain(world_folder, "late.example", {"pw1": "first"})
    assert texts(ask(dns_address, name)) == ["first"]
    write_domain(world_folder, "late.example", {"pw1": "second"})
    answer = ask(dns_address, name)
    assert texts(answer) == ["second"]
    assert answer.answer[0].ttl == 60


def test_junk_is_answered_as_such_or_not_at_all(dns_address: str) -> None:
    host, _, port = dns_address.rpartition(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(0.3)
        client.connect((host, int(port)))
        client.send(b"\x12\x34" + b"\x00" * 3 + b"\x09" + b"\xff" * 20)
        reply = client.recv(512)
        assert reply[:2] == b"\x12\x34"
        assert reply[3] & 0x0F == dns.rcode.FORMERR
        client.send(b"abc")
        with pytest.raises(TimeoutError):
            client.recv(512)


async def test_a_key_counts_only_if_it_is_validated(dns_address: str, world_folder: Path) -> None:
    txt = public_key_txt(make_key("rsa"))
    write_domain(world_folder, "rsa.example", {"pw1": txt})
    resolver = Resolver.at(dns_address)
    assert await resolver.key_record("pw1._domainkey.pw.rsa.example") == txt
    for name in ("pw1._domainkey.open.example", "pw9._domainkey.rsa.example", "a..b"):
        with pytest.raises(UnprovenMessageError):
            await resolver.key_record(name)
    with pytest.raises(ResolverUnavailableError):
        await resolver.key_record("pw1._domainkey.broken.example")
