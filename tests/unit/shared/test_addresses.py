"""Whose request it is, behind proxies that are trusted and behind those that are not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.addresses import Addresses, networks

BEHIND = Addresses(networks("10.0.0.0/8, fd00::/8"))


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("192.0.2.1", [], "192.0.2.1"),
        ("192.0.2.1", [b"198.51.100.7"], "192.0.2.1"),  # anybody can write that
        ("10.0.0.1", [b"198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", [b"203.0.113.9, 198.51.100.7"], "198.51.100.7"),  # the left one is the client's own claim
        ("10.0.0.1", [b"203.0.113.9", b"198.51.100.7, 10.1.1.1"], "198.51.100.7"),
        ("10.0.0.1", [b"nonsense"], "10.0.0.1"),
        ("10.0.0.1", [b"198.51.100.7, nonsense"], "10.0.0.1"),
        ("10.0.0.1", [b""], "10.0.0.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("fd00::1", [b"2001:db8:1:2:3:4:5:6"], "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", [], "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.1", [], "192.0.2.1"),
        ("::ffff:10.0.0.1", [b"198.51.100.7"], "198.51.100.7"),
        ("fe80::1%eth0", [], "fe80::/64"),
    ],
)
def test_the_client_is_the_first_address_from_the_right_that_is_no_trusted_proxy(
    peer: str, forwarded: list[bytes], client: str
) -> None:
    assert BEHIND.client(peer, forwarded) == client


@given(st.lists(st.binary(max_size=60), max_size=3))
def test_whatever_stands_in_the_header_there_is_a_client(forwarded: list[bytes]) -> None:
    assert BEHIND.client("10.0.0.1", forwarded)


def test_a_network_that_is_none_is_named() -> None:
    with pytest.raises(ValueError, match=r"10\.0\.0\.300"):
        networks("10.0.0.0/8,10.0.0.300")
