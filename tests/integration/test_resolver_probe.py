"""Whether a resolver validates: what is proven, what is disproved, and what cannot be known."""

from collections.abc import Iterator
from pathlib import Path

import dns.flags
import dns.message
import pytest

from emulators.world import write_domain
from shared.resolver import ValidatingResolver
from shared.resolver_probe import Validation, probe
from tests.support.dns_daemons import unbound
from tests.support.dns_relay import relaying, silent_address
from tests.support.real_dns import RealDns, real_dns
from tests.unit.emulators.processes import running
from tests.unit.services.inbox.messages import RECORD

DOMAIN = "signed.example"
BOGUS = "pw1._domainkey.bogus.example"


@pytest.fixture(scope="module")
def internet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealDns]:
    with real_dns(tmp_path_factory.mktemp("dns"), RECORD) as started:
        yield started


async def look(address: str, bogus: str | None = None, seconds: float = 5.0) -> tuple[Validation, str]:
    found = await probe(ValidatingResolver(address, seconds), DOMAIN, bogus)
    return found.validation, found.why


async def test_a_resolver_that_withholds_a_bogus_name_is_proven_to_validate(internet: RealDns) -> None:
    assert await look(internet.unbound.address, BOGUS) == (
        Validation.PROVEN, f"it withholds {BOGUS}, whose signature is wrong",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "why"),
    [
        (None, "FACESCAN_DNS_BOGUS_NAME is not set"),
        ("pw1._domainkey.signed.example", "is answered NOERROR: it is no name with a wrong signature"),
        ("pw1._domainkey.broken.example", "cannot be had at all"),
    ],
)
async def test_without_a_bogus_name_that_can_be_had_nothing_is_proven(
    internet: RealDns, name: str | None, why: str
) -> None:
    validation, said = await look(internet.unbound.address, name)
    assert validation is Validation.NOT_PROVEN
    assert why in said


async def test_a_resolver_that_does_not_validate_is_found_out_by_a_bogus_name_and_suspected_without(
    internet: RealDns, tmp_path: Path
) -> None:
    with unbound(tmp_path, anchors=[], zones=internet.zones, validates=False) as plain:
        assert await look(plain.address, BOGUS) == (
            Validation.DISPROVED, f"it gives out {BOGUS}, whose signature is wrong",
        )  # fmt: skip
        validation, why = await look(plain.address)
        assert (validation, "it does not validate, or no DS leads" in why) == (Validation.NOT_PROVEN, True)


async def test_a_resolver_that_sets_ad_because_it_was_asked_to_is_found_out_without_the_internet(
    internet: RealDns,
) -> None:
    def obliging(answer: dns.message.Message) -> None:
        answer.flags |= dns.flags.AD

    with relaying(internet.unbound.address) as liar:
        liar.change = obliging
        validation, why = await look(liar.address)
    assert validation is Validation.DISPROVED
    assert why.startswith("it marks as validated what has no signature: localhost")


async def test_a_resolver_that_says_nothing_is_silent() -> None:
    address, sock = silent_address()
    with sock:
        assert (await look(address, seconds=0.3))[0] is Validation.SILENT


async def test_the_emulated_internet_s_resolver_is_not_disproved(tmp_path: Path) -> None:
    write_domain(tmp_path, DOMAIN, {"pw1": RECORD})
    with running("emulators.dns", "--world", str(tmp_path), "--port", "0") as (_, address):
        assert (await look(address))[0] is Validation.NOT_PROVEN
