"""The resolver port's contract, on the embedded resolver and on Debian's unbound over zones that the test signs.

What differs: the embedded resolver's signatures lead to no trust anchor, so it says of a domain what its file says; it
has no aliases and no wildcards, and its zones' denials carry no proofs. What needs those is in test_real_unbound.py.
"""

import json
from collections.abc import Iterator

import pytest

from emulators.world import write_domain
from services.async_post.world import Sight, World
from shared.generation import Generation
from shared.resolver import Answer, ValidatingResolver
from tests.support.real_dns import LONG_TEXT_BYTES, real_dns
from tests.unit.emulators.processes import running
from tests.unit.services.inbox.messages import RECORD


@pytest.fixture(scope="module", params=["embedded", "unbound"])
def where(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("dns")
    if request.param == "unbound":
        with real_dns(folder, RECORD) as internet:
            yield internet.unbound.address
        return
    long = RECORD + ";n=" + "x" * LONG_TEXT_BYTES
    write_domain(folder, "signed.example", {"pw1": RECORD, "long": long})
    write_domain(folder, "unsigned.example", {"pw1": RECORD}, secure=False)
    for name, behaviour in {
        "bogus": {"bogus": True}, "broken": {"servfail": True}, "slow": {"delay_seconds": 5},
    }.items():  # fmt: skip
        fields = {"secure": True, "keys": {"pw1": RECORD}, "dns": behaviour}
        (folder / f"{name}.example.json").write_text(json.dumps(fields))
    with running("emulators.dns", "--world", str(folder), "--port", "0") as (_, address):
        yield address


@pytest.mark.parametrize("branch", ["_domainkey", "_domainkey.pw"])
async def test_a_key_of_a_signed_domain_is_secure_in_both_branches(where: str, branch: str) -> None:
    found = await ValidatingResolver(where, 5.0).look_up(f"pw1.{branch}.signed.example")
    assert (found.answer, found.records) == (Answer.SECURE, (RECORD,))
    assert 0 < found.keep_seconds <= 60


async def test_a_name_is_found_in_any_case(where: str) -> None:
    assert (await ValidatingResolver(where, 5.0).look_up("PW1._domainKEY.Signed.Example")).answer is Answer.SECURE


async def test_a_record_too_long_for_udp_comes_whole_over_tcp(where: str) -> None:
    found = await ValidatingResolver(where, 5.0).look_up("long._domainkey.signed.example")
    assert found.answer is Answer.SECURE
    assert found.records == (RECORD + ";n=" + "x" * LONG_TEXT_BYTES,)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("pw2._domainkey.signed.example", Answer.ABSENT),
        ("pw1._domainkey.nowhere.signed.example", Answer.ABSENT),
        ("_domainkey.signed.example", Answer.ABSENT),
        ("pw1._domainkey.nobody.example", Answer.ABSENT),
        ("pw2._domainkey.unsigned.example", Answer.ABSENT),
        ("pw1._domainkey.unsigned.example", Answer.INSECURE),
        ("pw1._domainkey.bogus.example", Answer.BOGUS),
        ("pw1._domainkey.broken.example", Answer.UNDECIDED),
        ("pw1._domainkey.slow.example", Answer.UNDECIDED),
    ],
)
async def test_what_gives_no_key_has_the_answer_that_says_why(where: str, name: str, expected: Answer) -> None:
    found = await ValidatingResolver(where, 0.5 if ".slow." in name else 5.0).look_up(name)
    assert (found.answer, found.records) == (expected, ())
    if expected is Answer.ABSENT:
        assert 0 < found.keep_seconds <= 7


async def test_an_identity_sees_its_own_records_as_the_world_does(where: str) -> None:
    world = World(ValidatingResolver(where, 5.0))
    seen = await world.look("pw1", "signed.example", RECORD)
    assert {generation: one.sight for generation, one in seen.items()} == dict.fromkeys(Generation, Sight.SEEN)
    assert (await world.look("pw1", "signed.example", "v=DKIM1;k=rsa;p=AA"))[Generation.NLWEB].sight is Sight.DIFFERENT
    for domain, sight in {"unsigned.example": Sight.NOT_SECURE, "bogus.example": Sight.BOGUS}.items():
        assert (await world.look("pw1", domain, RECORD))[Generation.NLWEB].sight is sight
    assert 0 < await world.negative_seconds("signed.example") <= 7
