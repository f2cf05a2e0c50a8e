"""What is refused before any key is asked for, and the HTTP status of every refusal (protocol §3)."""

from datetime import timedelta
from typing import Any

import pytest

from emulators.envelopes import Generation
from services.inbox.domain import ENVELOPE_REASON, KEY_REASON, STATUS, Reason, RefusedError, check_addressing
from shared.envelope import EnvelopeProblem, parse
from shared.keys import KeyProblem
from tests.unit.services.inbox.messages import DOMAIN, MAP, MOMENT, as_bytes, message


def check(document: dict[str, Any], window_seconds: float = 300.0) -> None:
    check_addressing(parse(as_bytes(document)), domain=DOMAIN, now=MOMENT, window_seconds=window_seconds, subjects=MAP)


def refusal(document: dict[str, Any]) -> RefusedError:
    with pytest.raises(RefusedError) as caught:
        check(document)
    return caught.value


def test_every_reason_has_the_status_of_the_protocol() -> None:
    expected = dict.fromkeys(Reason, 401) | {
        Reason.MALFORMED: 400,
        Reason.NOT_FOUND: 404,
        Reason.METHOD: 405,
        Reason.SLOW: 408,
        Reason.TOO_LARGE: 413,
        Reason.ENCODING: 415,
        Reason.EXPECTATION: 417,
        Reason.HEAD: 431,
        Reason.INTERNAL: 500,
        **dict.fromkeys(
            (Reason.CONNECTIONS, Reason.ADDRESS_RATE, Reason.UNVERIFIED_RATE, Reason.SENDER_RATE, Reason.LOOK_UPS),
            429,
        ),
        **dict.fromkeys((Reason.UNDECIDED, Reason.BROKER, Reason.OVERLOADED, Reason.HANDLER, Reason.IN_PROGRESS,
                         Reason.REPLY), 503),
        Reason.HANDLER_REFUSED: 422,
        **dict.fromkeys(
            (
                Reason.NOT_JSON, Reason.COMPLEX, Reason.DUPLICATE_NAME, Reason.VERSION, Reason.SCHEMA,
                Reason.RECEIVER, Reason.WINDOW, Reason.SUBJECT, Reason.BODY,
            ),
            422,
        ),
    }  # fmt: skip
    assert {reason: RefusedError(reason, "").status for reason in Reason} == expected
    assert set(STATUS) == set(Reason)


def test_every_problem_of_an_envelope_and_of_a_key_has_a_reason() -> None:
    assert set(ENVELOPE_REASON) == set(EnvelopeProblem)
    assert set(KEY_REASON) == set(KeyProblem)


@pytest.mark.parametrize("generation", Generation)
def test_a_message_to_this_domain_in_the_window_with_a_known_subject_passes(generation: Generation) -> None:
    check(message(generation=generation))


def test_the_receiver_is_compared_without_case() -> None:
    check(message(To=DOMAIN.upper()))


def test_another_receiver_is_refused() -> None:
    error = refusal(message(To="other.example"))
    assert (error.reason, error.status, error.detail) == (Reason.RECEIVER, 422, "Header.To: not this domain")


@pytest.mark.parametrize("seconds", [-300.0, 300.0])
def test_the_window_s_very_edges_are_inside(seconds: float) -> None:
    check(message(at=MOMENT + timedelta(seconds=seconds)))


@pytest.mark.parametrize("seconds", [-300.001, 300.001, 86400.0])
def test_a_timestamp_too_old_or_too_far_ahead_is_refused(seconds: float) -> None:
    error = refusal(message(at=MOMENT + timedelta(seconds=seconds)))
    assert (error.reason, error.status) == (Reason.WINDOW, 422)
    assert "Header.Timestamp" in error.detail


@pytest.mark.parametrize("subject", ["Other@Identity", "verifylocator@identity", "Feedback@Buffer"])
def test_a_subject_that_is_not_handled_is_refused(subject: str) -> None:
    error = refusal(message(Subject=subject))
    assert (error.reason, error.status) == (Reason.SUBJECT, 422)


@pytest.mark.parametrize("sender", ["Anonymous", "125a5c75-cb72-43d2-9695-37026dfcaa48"])
def test_a_sender_that_is_no_domain_is_refused_as_unsigned(sender: str) -> None:
    error = refusal(message(From=sender))
    assert (error.reason, error.status) == (Reason.UNSIGNED, 401)


@pytest.mark.parametrize("member", ["Hash", "Signature"])
def test_a_message_without_hash_or_signature_is_refused_as_unsigned(member: str) -> None:
    document = message()
    del document[member]
    assert refusal(document).reason is Reason.UNSIGNED


def test_a_message_without_a_selector_is_refused_as_unsigned() -> None:
    document = message()
    del document["Header"]["DKIM"]
    assert refusal(document).reason is Reason.UNSIGNED
