"""Debian's unbound over zones that the test signs and spoils: what is believed of its answers, and what is not."""

from collections.abc import Iterator

import dns.edns
import dns.flags
import dns.message
import pytest

from shared.resolver import Answer, ValidatingResolver
from tests.support.dns_daemons import unbound
from tests.support.dns_relay import relaying
from tests.support.real_dns import RealDns, real_dns
from tests.unit.services.inbox.messages import RECORD


@pytest.fixture(scope="module")
def internet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealDns]:
    with real_dns(tmp_path_factory.mktemp("dns"), RECORD) as started:
        yield started


@pytest.fixture
def resolver(internet: RealDns) -> ValidatingResolver:
    return ValidatingResolver(internet.unbound.address, 3.0)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("pw1._domainkey.bogus.example", Answer.BOGUS),
        ("pw1._domainkey.expired.example", Answer.BOGUS),
        ("pw2._domainkey.moved.example", Answer.BOGUS),
        ("pw1._domainkey.stripped.example", Answer.BOGUS),
        ("pw1._domainkey.other-ds.example", Answer.BOGUS),
        ("pw9._domainkey.denial.example", Answer.BOGUS),
    ],
    ids=["tampered", "expired", "signature for another name", "signatures taken away", "DS of another key",
         "a denial without proof"],
)  # fmt: skip
async def test_what_fails_validation_is_bogus_each_time_it_is_asked_for(
    resolver: ValidatingResolver, name: str, expected: Answer
) -> None:
    assert [(await resolver.look_up(name)).answer for _ in range(2)] == [expected] * 2


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("alias._domainkey.signed.example", Answer.SECURE),
        ("any.wild._domainkey.signed.example", Answer.SECURE),
        ("abroad._domainkey.signed.example", Answer.INSECURE),
        ("astray._domainkey.signed.example", Answer.BOGUS),
        ("nowhere._domainkey.signed.example", Answer.ABSENT),
        ("circle._domainkey.signed.example", Answer.UNDECIDED),
    ],
)
async def test_an_alias_is_as_secure_as_all_of_its_way(
    resolver: ValidatingResolver, name: str, expected: Answer
) -> None:
    found = await resolver.look_up(name)
    assert found.answer is expected
    assert found.records == ((RECORD,) if expected is Answer.SECURE else ())


async def test_a_zone_whose_key_cannot_be_fetched_now_is_undecided_though_the_resolver_calls_it_bogus(
    internet: RealDns, resolver: ValidatingResolver
) -> None:
    def without_key(answer: dns.message.Message) -> None:
        if answer.question[0].rdtype == dns.rdatatype.DNSKEY:
            answer.answer.clear()
            answer.set_rcode(dns.rcode.SERVFAIL)

    internet.outage.change = without_key
    response = await resolver.ask("pw1._domainkey.outage.example")
    assert [option.code for option in response.options if isinstance(option, dns.edns.EDEOption)] == [9]
    assert (await resolver.look_up("pw1._domainkey.outage.example")).answer is Answer.UNDECIDED


async def test_a_resolver_that_marks_as_validated_what_has_no_signature_is_not_believed(
    internet: RealDns, caplog: pytest.LogCaptureFixture
) -> None:
    def lie(answer: dns.message.Message) -> None:
        answer.flags |= dns.flags.AD

    with relaying(internet.unbound.address) as liar:
        liar.change = lie
        believing = ValidatingResolver(liar.address, 3.0)
        assert (await believing.look_up("pw1._domainkey.signed.example")).answer is Answer.SECURE
        assert (await believing.look_up("pw1._domainkey.unsigned.example")).answer is Answer.UNDECIDED
    assert "its AD bit is worth nothing" in caplog.text


async def test_a_resolver_that_does_not_validate_makes_nobody_secure(
    internet: RealDns, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("plain")
    with unbound(folder, anchors=[], zones=internet.zones, validates=False) as plain:
        for name in ("signed", "bogus", "expired"):
            found = await ValidatingResolver(plain.address, 3.0).look_up(f"pw1._domainkey.{name}.example")
            assert found.answer is Answer.INSECURE
