"""No name in DNS leads a message into our own network."""

import socket
from collections.abc import Sequence

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from services.async_post.connect_to import PublicDestinations
from services.async_post.delivery import HttpDelivery
from services.async_post.domain import Answer
from services.async_post.public_addresses import PublicAddresses, is_public
from shared.generation import Generation


class Scripted(AbstractResolver):
    """Gives the same addresses for every name."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self._addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """See AbstractResolver."""
        return [
            ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=0)
            for address in self._addresses
        ]

    async def close(self) -> None:
        """See AbstractResolver."""


@pytest.mark.parametrize("address", ["93.184.216.34", "8.8.8.8", "2606:2800:220:1::1", "::ffff:8.8.8.8"])
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
        "255.255.255.255", "::", "::1", "fe80::1", "fe80::1%eth0", "fd00::1", "ff02::1", "2001:db8::1",
        "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:10.0.0.1",
    ],
)  # fmt: skip
def test_an_address_of_a_private_or_special_network_is_not(address: str) -> None:
    assert not is_public(address)


async def test_only_the_public_addresses_of_a_name_are_connected_to() -> None:
    found = await PublicAddresses(Scripted(["127.0.0.1", "8.8.8.8", "10.0.0.1"])).resolve("nlweb.shop.example", 443)
    assert [result["host"] for result in found] == ["8.8.8.8"]


async def test_a_name_that_leads_inside_is_not_connected_to() -> None:
    connector = aiohttp.TCPConnector(resolver=PublicAddresses(Scripted(["127.0.0.1", "::1"])))
    async with aiohttp.ClientSession(connector=connector) as client:
        with pytest.raises(aiohttp.ClientConnectorDNSError):
            await client.post("https://nlweb.shop.example/inbox")


async def test_deliveries_by_the_protocol_s_rule_are_guarded() -> None:
    """The machine's own name for itself stands for any name that leads inside."""

    class Inside(PublicDestinations):
        def url(self, receiver: str, generation: Generation) -> str:
            return "https://localhost/inbox"

    delivery = HttpDelivery(Inside(), timeout_seconds=5, most_in_flight=1)
    assert await delivery.post("shop.example", Generation.NLWEB, "{}") == Answer(None, "dns")
    await delivery.close()
