"""Whether a message is what it says it is: every answer of DNS, keys that change, forgers that insist."""

import asyncio
import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from emulators.envelopes import Generation, public_key_txt
from emulators.world import make_key
from services.inbox.domain import Reason, RefusedError, SenderKind
from services.inbox.opener import Opener
from services.inbox.router import decode_accepted
from services.inbox.settings import InboxSettings
from shared.cloudevents import CloudEvent
from shared.envelope import Envelope
from shared.events import INBOX_ACCEPTED_TYPE
from shared.resolver import Answer, KeyAnswer
from tests.unit.services.inbox.messages import (
    DOMAIN,
    KEY,
    NAMES,
    OTHER_KEY,
    RECORD,
    SENDER,
    ScriptedResolver,
    as_bytes,
    message,
    opener,
    secure,
)

NAME = NAMES[Generation.NLWEB]


async def reason(opening: Opener, data: bytes) -> Reason:
    with pytest.raises(RefusedError) as caught:
        await opening.open(data)
    return caught.value.reason


@pytest.mark.parametrize("generation", Generation)
async def test_a_signed_message_is_opened_with_the_key_at_its_generation_s_name(generation: Generation) -> None:
    resolver = ScriptedResolver()
    envelope = await opener(resolver).open(as_bytes(message(generation=generation)))
    assert (envelope.sender, envelope.generation.value) == (SENDER, generation.value)
    assert resolver.asked == [NAMES[generation]]


@pytest.mark.parametrize(
    "more", [{"Deep": json.loads("[" * 60 + "]" * 60)}, {"Full": {str(number): number for number in range(1500)}}]
)  # fmt: skip
async def test_a_message_may_be_as_deep_and_as_full_as_the_settings_say_at_the_door_and_at_the_router(
    more: dict[str, object],
) -> None:
    data = as_bytes(message({"Locator": "loc-1", **more}))
    needed: dict[str, Any] = {"domain": DOMAIN, "kafka_bootstrap": "127.0.0.1:1"}
    usual, wide = InboxSettings(**needed), InboxSettings(**needed, deepest_json=64, most_json_names=2000)
    assert await reason(opener(ScriptedResolver(), json_bounds=usual.json_bounds), data) is Reason.COMPLEX
    opened = await opener(ScriptedResolver(), json_bounds=wide.json_bounds).open(data)
    event = CloudEvent("1", "//x", INBOX_ACCEPTED_TYPE, data)
    assert decode_accepted(event) == opened


async def test_an_rsa_signature_is_opened() -> None:
    key = make_key("rsa")
    resolver = ScriptedResolver({NAME: secure(public_key_txt(key))})
    await opener(resolver).open(as_bytes(message(key=key)))


async def test_one_usable_key_among_several_records_is_enough() -> None:
    resolver = ScriptedResolver(
        {NAME: secure("v=DKIM1;k=dsa;p=AAAA", "v=spf1 -all", public_key_txt(OTHER_KEY), RECORD)}
    )
    await opener(resolver).open(as_bytes(message()))


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer.INSECURE, Reason.INSECURE),
        (Answer.BOGUS, Reason.BOGUS),
        (Answer.ABSENT, Reason.KEY_ABSENT),
        (Answer.UNDECIDED, Reason.UNDECIDED),
    ],
)
async def test_each_answer_of_dns_without_a_key_has_its_reason(answer: Answer, expected: Reason) -> None:
    resolver = ScriptedResolver({NAME: KeyAnswer(answer)})
    assert await reason(opener(resolver), as_bytes(message())) is expected


async def test_a_key_in_an_insecure_answer_is_not_believed() -> None:
    resolver = ScriptedResolver({NAME: KeyAnswer(Answer.INSECURE, (RECORD,), 60.0)})
    assert await reason(opener(resolver), as_bytes(message())) is Reason.INSECURE


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ("v=DKIM1;k=ed25519;p=", Reason.KEY_REVOKED),
        ("v=DKIM1;k=ed25519;p=AAAA", Reason.KEY_MALFORMED),
        ("no record at all", Reason.KEY_MALFORMED),
        ("v=DKIM1;k=dsa;p=AAAA", Reason.KEY_UNSUPPORTED),
        (public_key_txt(rsa.generate_private_key(65537, 1024)), Reason.KEY_WEAK),
        (public_key_txt(OTHER_KEY), Reason.SIGNATURE),
    ],
    ids=["revoked", "short", "no record", "unknown kind", "weak", "another's"],
)
async def test_a_record_without_the_right_key_has_its_reason(record: str, expected: Reason) -> None:
    assert await reason(opener(ScriptedResolver({NAME: secure(record)})), as_bytes(message())) is expected


async def test_a_body_that_was_changed_on_the_way_is_refused_before_dns_is_asked() -> None:
    document, resolver = message(), ScriptedResolver()
    document["Body"]["Locator"] = "another"
    assert await reason(opener(resolver), as_bytes(document)) is Reason.SIGNATURE
    assert resolver.asked == []


async def test_a_signature_of_another_message_is_refused() -> None:
    document = message()
    document["Signature"] = message()["Signature"]
    assert await reason(opener(ScriptedResolver()), as_bytes(document)) is Reason.SIGNATURE


@pytest.mark.parametrize("length", [0, 63, 65])
async def test_a_signature_of_a_wrong_length_is_refused(length: int) -> None:
    document = message()
    document["Signature"] = base64.b64encode(bytes(length)).decode()
    assert await reason(opener(ScriptedResolver()), as_bytes(document)) is Reason.SIGNATURE


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", Reason.NOT_JSON),
        (b"{", Reason.NOT_JSON),
        (b"\xff", Reason.NOT_JSON),
        (b"[]", Reason.SCHEMA),
        (b"{}", Reason.SCHEMA),
        (b'{"Header":{},"Body":{}}', Reason.VERSION),
        ('{"🤝":"nlweb.org/MSG:9.9","Header":{},"Body":{}}'.encode(), Reason.VERSION),
    ],
)
async def test_what_is_no_message_is_refused_without_dns(data: bytes, expected: Reason) -> None:
    resolver = ScriptedResolver()
    assert await reason(opener(resolver), data) is expected
    assert resolver.asked == []


async def test_a_bad_body_is_refused_without_dns() -> None:
    resolver = ScriptedResolver()
    assert await reason(opener(resolver), as_bytes(message({}))) is Reason.BODY
    assert resolver.asked == []


async def test_a_key_that_changed_under_its_selector_is_found_past_the_cache() -> None:
    resolver = ScriptedResolver()
    opening = opener(resolver)
    await opening.open(as_bytes(message()))
    resolver.answers[NAME] = secure(public_key_txt(OTHER_KEY))
    await opening.open(as_bytes(message(key=OTHER_KEY)))
    assert resolver.asked == [NAME, NAME]


async def test_a_key_that_appears_after_it_was_found_absent_is_accepted() -> None:
    resolver = ScriptedResolver({})
    opening = opener(resolver)
    assert await reason(opening, as_bytes(message())) is Reason.KEY_ABSENT
    resolver.answers[NAME] = secure(RECORD)
    await opening.open(as_bytes(message()))


async def test_forged_signatures_cost_the_budget_s_look_ups_and_are_too_many_beyond_it() -> None:
    resolver = ScriptedResolver()
    opening = opener(resolver, again_seconds=60.0)
    await opening.open(as_bytes(message()))
    reasons = [await reason(opening, as_bytes(message(key=OTHER_KEY))) for _ in range(20)]
    # The first message took one of the ten look-ups.
    assert reasons == [Reason.SIGNATURE] * 9 + [Reason.LOOK_UPS] * 11
    assert resolver.asked == [NAME] * 10


async def test_a_forger_who_spends_the_budget_turns_no_rotation_into_a_refusal() -> None:
    resolver = ScriptedResolver()
    opening = opener(resolver)
    await opening.open(as_bytes(message()))
    for number in range(30):
        await reason(opening, as_bytes(message(key=OTHER_KEY, selector=f"forged{number}x")))
    assert len(resolver.asked) == 10
    # The next selector in number, and another key under the same one, are found all the same.
    resolver.answers[f"pw2._domainkey.{SENDER}"] = secure(public_key_txt(OTHER_KEY))
    await opening.open(as_bytes(message(key=OTHER_KEY, selector="pw2")))
    resolver.answers[NAME] = secure(public_key_txt(OTHER_KEY))
    await opening.open(as_bytes(message(key=OTHER_KEY)))
    # A name that nobody could expect is not looked up now: its sender is told to come again (429), not refused.
    resolver.answers[f"new._domainkey.{SENDER}"] = secure(RECORD)
    assert await reason(opening, as_bytes(message(selector="new"))) is Reason.LOOK_UPS
    with pytest.raises(RefusedError):  # at once: nothing is to be waited for
        opening.prove(opening.read(as_bytes(message(selector="new"))))
    assert len(resolver.asked) == 12


class AllKinds:
    """Takes the subject from every kind of sender."""

    senders = frozenset(SenderKind)

    def check(self, envelope: Envelope) -> None:
        """See Taken."""

    def find(self, _subject: str) -> "AllKinds":
        """See Subjects."""
        return self


WALLET = "125a5c75-cb72-43d2-9695-37026dfcaa48"


async def test_a_wallet_is_verified_by_its_registered_key_and_never_by_dns() -> None:
    dns, registered = ScriptedResolver({}), ScriptedResolver({WALLET: secure(RECORD)})
    opening = opener(dns, registered=registered, subjects=AllKinds())
    await opening.open(as_bytes(message(From=WALLET.upper())))
    assert await reason(opening, as_bytes(message(From=WALLET, key=OTHER_KEY))) is Reason.SIGNATURE
    assert await reason(opening, as_bytes(message(From=WALLET.replace("1", "2")))) is Reason.KEY_ABSENT
    unsigned = message(From=WALLET)
    del unsigned["Signature"]
    assert await reason(opening, as_bytes(unsigned)) is Reason.UNSIGNED
    assert dns.asked == []
    assert set(registered.asked) == {WALLET, WALLET.replace("1", "2")}


async def test_an_anonymous_message_is_taken_unsigned_and_no_key_is_asked_for() -> None:
    dns, registered = ScriptedResolver({}), ScriptedResolver({})
    opening = opener(dns, registered=registered, subjects=AllKinds())
    document = message(From="Anonymous")
    await opening.open(as_bytes(document))
    del document["Hash"], document["Signature"]
    await opening.open(as_bytes(document))
    assert dns.asked == registered.asked == []


async def test_rotation_under_ten_thousand_messages_refuses_none_and_asks_a_handful_of_times() -> None:
    # Both keys in turn from the moment that the second is published, then another key under the second's selector.
    resolver, keys = ScriptedResolver(), [make_key() for _ in range(3)]
    name = {selector: f"{selector}._domainkey.{SENDER}" for selector in ("pw1", "pw2")}
    resolver.answers = {name["pw1"]: secure(public_key_txt(keys[0]))}
    opening, each = opener(resolver), 3334
    for _ in range(each):
        await opening.open(as_bytes(message(key=keys[0])))
    resolver.answers[name["pw2"]] = secure(public_key_txt(keys[1]))
    for number in range(each):
        await opening.open(as_bytes(message(key=keys[number % 2], selector=("pw1", "pw2")[number % 2])))
    resolver.answers[name["pw2"]] = secure(public_key_txt(keys[2]))
    for _ in range(each):
        await opening.open(as_bytes(message(key=keys[2], selector="pw2")))
    assert resolver.asked == [name["pw1"], name["pw2"], name["pw2"]]


async def test_forged_signatures_at_once_share_their_look_ups() -> None:
    resolver = ScriptedResolver()
    opening = opener(resolver)
    await opening.open(as_bytes(message()))
    await asyncio.gather(*(reason(opening, as_bytes(message(key=OTHER_KEY))) for _ in range(20)))
    # Those that came after the first fresh look-up had begun share the next.
    assert resolver.asked == [NAME] * 3


async def test_a_known_key_is_used_while_dns_is_away() -> None:
    resolver = ScriptedResolver()
    opening = opener(resolver)
    await opening.open(as_bytes(message()))
    resolver.answers[NAME] = KeyAnswer(Answer.UNDECIDED)
    await opening.open(as_bytes(message()))


async def test_a_revoked_key_is_refused_when_its_time_in_the_cache_is_over() -> None:
    resolver = ScriptedResolver({NAME: secure(RECORD, keep_seconds=0.0)})
    opening = opener(resolver)
    await opening.open(as_bytes(message()))
    resolver.answers[NAME] = secure("v=DKIM1;k=ed25519;p=")
    assert await reason(opening, as_bytes(message(key=KEY))) is Reason.KEY_REVOKED
