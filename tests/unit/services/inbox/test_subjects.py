"""What the messages that ask for a verification become, and which member of a bad Body is named."""

import base64
from typing import Any

import pytest

from emulators.envelopes import Generation
from services.inbox.domain import Reason, RefusedError
from services.inbox.subjects import TRANSLATIONS, change_locator, requested, supervised_match, verify_locator
from shared.envelope import parse
from shared.events import Chat, LocatorRequested, MatchRequested, VerificationRequested
from tests.unit.services.inbox.messages import RECORD, SENDER, as_bytes, message


def become(body: dict[str, Any], **options: Any) -> VerificationRequested:
    return verify_locator(parse(as_bytes(message(body, **options))))


@pytest.mark.parametrize("generation", Generation)
def test_a_request_keeps_who_asked_and_in_which_generation(generation: Generation) -> None:
    document = message({"Locator": "loc-1", "Purpose": "to open an account"}, generation=generation)
    event = verify_locator(parse(as_bytes(document)))
    assert (event.locator, event.purpose) == ("loc-1", "to open an account")
    assert event.requester is not None
    assert event.requester.domain == SENDER
    assert event.requester.generation == generation.value
    assert event.requester.correlation == document["Header"]["Correlation"]


def test_a_copy_is_the_same_verification_and_another_message_another_one() -> None:
    document = message()
    first, copy = (verify_locator(parse(as_bytes(document))) for _ in range(2))
    assert first.verification_id == copy.verification_id
    assert verify_locator(parse(as_bytes(message()))).verification_id != first.verification_id


def test_one_correlation_of_two_senders_is_two_verifications() -> None:
    correlation = "125a5c75-cb72-43d2-9695-37026dfcaa48"
    ids = {
        become({"Locator": "a"}, From=sender, Correlation=correlation).verification_id
        for sender in ("a.example", "b.example")
    }
    assert len(ids) == 2


def test_unknown_members_of_the_body_are_ignored() -> None:
    assert become({"Locator": "loc-1", "Extra": [1]}).locator == "loc-1"


@pytest.mark.parametrize(
    ("body", "member"),
    [
        ({}, "Body.Locator"),
        ({"locator": "lower-case"}, "Body.Locator"),
        ({"Locator": ""}, "Body.Locator"),
        ({"Locator": None}, "Body.Locator"),
        ({"Locator": 7}, "Body.Locator"),
        ({"Locator": ["a"]}, "Body.Locator"),
        ({"Locator": "a b"}, "Body.Locator"),
        ({"Locator": "a\n"}, "Body.Locator"),
        ({"Locator": "x" * 201}, "Body.Locator"),
        ({"Locator": "a", "Purpose": 1}, "Body.Purpose"),
        ({"Locator": "a", "Purpose": "x" * 201}, "Body.Purpose"),
    ],
)
def test_a_bad_body_is_refused_by_the_name_of_its_member(body: dict[str, Any], member: str) -> None:
    with pytest.raises(RefusedError) as caught:
        become(body)
    assert (caught.value.reason, caught.value.status) == (Reason.BODY, 422)
    assert caught.value.detail.startswith(f"{member}: ")


def test_a_refusal_does_not_repeat_what_the_sender_wrote() -> None:
    with pytest.raises(RefusedError) as caught:
        become({"Locator": "<script>alert(1)</script>"})
    assert "script" not in caught.value.detail


def test_the_events_that_messages_become_are_listed_in_one_place() -> None:
    assert {name: translation.event for name, translation in TRANSLATIONS.items()} == {
        VerificationRequested.type: requested,
        LocatorRequested.type: change_locator,
        MatchRequested.type: supervised_match,
    }


CHAT = "0190a1b2-0000-7000-8000-000000000001"


def invitation(**change: Any) -> VerificationRequested:
    body = {"Chat": CHAT, "PublicKey": RECORD, "Biostamp": "loc-1", "Purpose": "to buy"} | change
    return requested(parse(as_bytes(message(body, generation=Generation.POLLYWEB, Subject="Hello@Host"))))


def test_a_broker_s_invitation_asks_for_the_owner_of_the_biostamp_in_its_chat() -> None:
    event = invitation(Chat=CHAT.upper())
    assert event.chat == Chat(chat=CHAT, broker=SENDER, public_key=RECORD)
    assert (event.locator, event.purpose, event.hook) == ("loc-1", "to buy", None)


def test_a_chat_s_key_may_be_written_as_brokers_do() -> None:
    raw = base64.b64decode(RECORD.rpartition("p=")[2])
    der = bytes.fromhex("302a300506032b6570032100") + raw
    pem = f"-----BEGIN PUBLIC KEY-----\n{base64.b64encode(der).decode()}\n-----END PUBLIC KEY-----\n"
    for written in (base64.b64encode(raw).decode(), base64.b64encode(der).decode(), pem, RECORD):
        event = invitation(PublicKey=written)
        assert event.chat is not None
        assert event.chat.public_key == RECORD


def test_the_call_of_a_hosted_function_asks_for_its_citizen_and_keeps_the_hook() -> None:
    body = {"Hook": CHAT, "Function": "Liveness", "Arguments": [{"Citizen": "loc-1"}]}
    event = requested(parse(as_bytes(message(body, generation=Generation.POLLYWEB, Subject="Handle@Hosted"))))
    assert (event.locator, event.hook, event.chat) == ("loc-1", CHAT, None)


@pytest.mark.parametrize(
    ("subject", "body", "member"),
    [
        ("Hello@Host", {"Chat": "x", "PublicKey": RECORD, "Biostamp": "loc-1"}, "Body.Chat"),
        ("Hello@Host", {"Chat": CHAT, "PublicKey": "x", "Biostamp": "loc-1"}, "Body.PublicKey"),
        ("Hello@Host", {"Chat": CHAT, "PublicKey": "v=DKIM1;k=ed25519;p=", "Biostamp": "loc-1"}, "Body.PublicKey"),
        ("Hello@Host", {"Chat": CHAT, "PublicKey": RECORD}, "Body.Biostamp"),
        ("Handle@Hosted", {"Hook": CHAT, "Function": "Other", "Arguments": [{"Citizen": "a"}]}, "Body.Function"),
        ("Handle@Hosted", {"Hook": CHAT, "Function": "Liveness", "Arguments": []}, "Body.Arguments"),
        ("Handle@Hosted", {"Function": "Liveness", "Arguments": [{"Citizen": "a"}]}, "Body.Hook"),
    ],
)
def test_a_wrong_invitation_or_call_is_told_which_member(subject: str, body: dict[str, Any], member: str) -> None:
    with pytest.raises(RefusedError) as caught:
        requested(parse(as_bytes(message(body, generation=Generation.POLLYWEB, Subject=subject))))
    assert caught.value.detail.startswith(f"{member}: ")
    assert "\n" not in caught.value.detail


def test_issuing_and_revoking_become_one_event_each() -> None:
    body = {"Locator": "loc-1", "Token": "card-7", "Kind": "biostamp", "Expires": "2030-01-01T00:00:00Z"}
    issue = change_locator(parse(as_bytes(message(body, Subject="IssueLocator@Identity"))))
    assert (issue.action, issue.locator, issue.token, issue.kind) == ("issue", "loc-1", "card-7", "biostamp")
    assert issue.expires_at is not None
    assert issue.expires_at.isoformat() == "2030-01-01T00:00:00+00:00"
    assert issue.requester is not None
    assert (issue.requester.domain, issue.issuer, issue.person) == (SENDER, None, None)
    revoke = change_locator(parse(as_bytes(message({"Locator": "loc-1"}, Subject="RevokeLocator@Identity"))))
    assert (revoke.action, revoke.locator) == ("revoke", "loc-1")


@pytest.mark.parametrize(
    ("body", "member"),
    [
        ({"Locator": "loc-1"}, "Body.Token"),
        ({"Token": "card-7"}, "Body.Locator"),
        ({"Locator": "loc-1", "Token": "card-7", "Kind": "other"}, "Body.Kind"),
        ({"Locator": "loc-1", "Token": "card-7", "Expires": "tomorrow"}, "Body.Expires"),
        ({"Locator": "loc-1", "Token": "card-7", "Expires": "2030-01-01T00:00:00"}, "Body.Expires"),
    ],
)
def test_a_wrong_member_of_an_issue_is_named(body: dict[str, Any], member: str) -> None:
    with pytest.raises(RefusedError) as caught:
        change_locator(parse(as_bytes(message(body, Subject="IssueLocator@Identity"))))
    assert caught.value.reason is Reason.BODY
    assert caught.value.detail.startswith(f"{member}: ")
