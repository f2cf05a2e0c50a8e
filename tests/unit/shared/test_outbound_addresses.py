"""The corpus of addresses that a name in DNS could lead to, and which of them are public."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.outbound_addresses import AddressRules, is_public, parse_networks

PUBLIC = [
    "93.184.216.34", "8.8.8.8", "1.1.1.1", "100.63.255.255", "100.128.0.1", "172.15.255.255", "172.32.0.1",
    "192.167.1.1",
    "198.17.255.255", "198.20.0.1", "223.255.255.255", "168.63.129.15", "2606:2800:220:1::1", "2a00:1450:4001::1",
    "2001:4860:4860::8888", "2003::1", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8",
]  # fmt: skip
PRIVATE = [
    # IPv4: loopback, private, link-local and metadata, carrier-grade NAT, unspecified, multicast, reserved, broadcast
    "127.0.0.1", "127.255.255.254", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254",
    "169.254.170.2", "100.64.0.1", "100.100.100.200", "168.63.129.16", "0.0.0.0", "0.1.2.3", "224.0.0.1",
    "239.255.255.255", "240.0.0.1", "255.255.255.255",
    # documentation, benchmarking, protocol assignments, 6to4 relays
    "192.0.2.1", "198.51.100.1", "203.0.113.1", "198.18.0.1", "198.19.255.255", "192.0.0.1", "192.0.0.192",
    "192.88.99.1",
    # IPv6: unspecified, loopback, link-local, site-local, unique local and metadata, multicast, discard
    "::", "::1", "fe80::1", "fe80::1%eth0", "febf::1", "fec0::1", "fc00::1", "fd00::1", "fd00:ec2::254", "ff02::1",
    "ff0e::1", "100::1",
    # documentation, benchmarking, ORCHID, Teredo, 6to4, segment routing
    "2001:db8::1", "3fff::1", "2001:2::1", "2001:10::1", "2001:20::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2002:7f00:1::", "2002:a00:1::1", "2002:808:808::1", "5f00::1",
    # IPv4 inside: mapped, compatible, translated, NAT64 well-known and local
    "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:10.0.0.1", "::ffff:7f00:1", "::127.0.0.1", "::10.0.0.1",
    "::ffff:0:127.0.0.1", "64:ff9b::127.0.0.1", "64:ff9b::a00:1", "64:ff9b::169.254.169.254", "64:ff9b:1::8.8.8.8",
    "64:ff9b:1::1", "::ffff:8.8.8.8%eth0",
]  # fmt: skip
# What some libraries take for addresses, and inet_aton does.
NO_ADDRESSES = ["", "localhost", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "127.0.0.1.", "127.0.0.1 ", "[::1]",
                "\uff11\uff12\uff17.0.0.1", "8.8.8.8/32", "8.8.8.8%eth0"]  # fmt: skip


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_of_a_private_or_special_network_is_not(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("text", NO_ADDRESSES)
def test_what_is_no_address_is_not_public(text: str) -> None:
    assert not is_public(text)
    assert not AddressRules(parse_networks("0.0.0.0/0,::/0")).allows(text)


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_judged_the_same_in_each_form_that_carries_it(address: ipaddress.IPv4Address) -> None:
    plain = is_public(str(address))
    assert is_public(f"::ffff:{address}") == plain
    assert is_public(f"64:ff9b::{address}") == plain
    assert not is_public(str(ipaddress.IPv6Address(0x2002 << 112 | int(address) << 80)))
    assert not is_public(f"::{address}")


@given(st.ip_addresses())
def test_nothing_is_public_that_the_standard_library_calls_private_or_reserved(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    special = address.is_private or address.is_loopback or address.is_multicast or address.is_unspecified
    if special and address not in ipaddress.ip_network("64:ff9b::/96"):
        carried = getattr(address, "ipv4_mapped", None)
        assert carried is not None or not is_public(str(address))


def test_a_private_deployment_allows_its_networks_and_no_other() -> None:
    rules = AddressRules(parse_networks("10.1.0.0/16, fd00:1::/32"))
    assert rules.allows("10.1.2.3")
    assert rules.allows("::ffff:10.1.2.3")
    assert rules.allows("fd00:1::5")
    assert rules.allows("8.8.8.8")
    for address in ("10.2.0.1", "127.0.0.1", "fd00:2::1", "fe80::1%eth0", "169.254.169.254"):
        assert not rules.allows(address)


@pytest.mark.parametrize("text", ["10.0.0.0/33", "10.0.0.1/8", "intranet", "10.0.0.0-10.0.0.9"])
def test_what_is_no_network_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="no network") as caught:
        parse_networks(f"10.0.0.0/8,{text}")
    assert text in str(caught.value)
