"""Answers of a resolver over UDP and TCP: what is believed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from emulators.world import write_domain
from shared.envelope import key_name
from shared.generation import Generation
from shared.resolver import Answer, ValidatingResolver
from tests.unit.emulators.processes import free_port, running
from tests.unit.services.inbox.messages import RECORD


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    long = RECORD + ";n=" + "x" * 600
    write_domain(folder, "signed.example", {"pw1": RECORD, "long": long})
    write_domain(folder, "unsigned.example", {"pw1": RECORD}, secure=False)
    (folder / "broken.example.json").write_text('{"secure": true, "keys": {}, "dns": {"servfail": true}}')
    (folder / "slow.example.json").write_text('{"secure": true, "keys": {}, "dns": {"delay_seconds": 5}}')
    return folder


@pytest.fixture(scope="module")
def dns_address(world: Path) -> Iterator[str]:
    with running("emulators.dns", "--world", str(world), "--port", "0") as (_, address):
        yield address


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("pw1._domainkey.signed.example", Answer.SECURE),
        ("pw1._domainkey.pw.signed.example", Answer.SECURE),
        ("pw2._domainkey.signed.example", Answer.ABSENT),
        ("pw1._domainkey.nowhere.example", Answer.ABSENT),
        ("pw1._domainkey.unsigned.example", Answer.INSECURE),
        ("pw1._domainkey.broken.example", Answer.UNDECIDED),
        ("pw1._domainkey.slow.example", Answer.UNDECIDED),
    ],
)
async def test_what_a_resolver_says_is_read(dns_address: str, name: str, expected: Answer) -> None:
    answer = await ValidatingResolver(dns_address, 0.3).look_up(name)
    assert answer.answer is expected
    assert answer.records == ((RECORD,) if expected is Answer.SECURE else ())


async def test_a_record_of_several_strings_is_joined_and_may_be_too_long_for_udp(dns_address: str) -> None:
    answer = await ValidatingResolver(dns_address, 2.0).look_up("long._domainkey.signed.example")
    assert answer.answer is Answer.SECURE
    assert answer.records[0].startswith(f"{RECORD};n=xxx")
    assert len(answer.records[0]) == len(RECORD) + 603


async def test_a_resolver_that_is_not_there_is_undecided() -> None:
    answer = await ValidatingResolver(f"127.0.0.1:{free_port()}", 0.3).look_up("pw1._domainkey.signed.example")
    assert answer.answer is Answer.UNDECIDED


async def test_a_name_too_long_for_dns_is_absent_for_trying_again_would_not_help(dns_address: str) -> None:
    sender = ".".join(["x" * 60] * 4) + ".example"
    name = key_name(Generation.POLLYWEB, "s" * 60, sender)
    assert (await ValidatingResolver(dns_address, 0.3).look_up(name)).answer is Answer.ABSENT
