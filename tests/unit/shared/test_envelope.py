"""Domain messages of both generations: sealed, parsed, verified, or refused with the member that was wrong."""

import base64
import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st

from shared.canonical import canonical_bytes
from shared.envelope import (
    ANONYMOUS,
    Envelope,
    EnvelopeError,
    EnvelopeProblem,
    inbox_host,
    key_name,
    parse,
    seal,
)
from shared.generation import Generation
from shared.keys import SigningKey, sha256_hex

ED25519 = SigningKey.generate("pw1")
RSA = SigningKey("pk1", rsa.generate_private_key(65537, 2048))
CORRELATION = "125a5c75-cb72-43d2-9695-37026dfcaa48"
MOMENT = datetime(2026, 1, 31, 12, 0, 0, 123456, tzinfo=UTC)

texts = st.text(st.characters(exclude_categories=["Cs"]))
json_values = st.recursive(
    st.none()
    | st.booleans()
    | texts
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
    max_leaves=15,
)
bodies = st.dictionaries(texts, json_values, max_size=5)
generations = st.sampled_from(Generation)
signing_keys = st.sampled_from([ED25519, RSA])


def sealed(
    generation: Generation = Generation.NLWEB, key: SigningKey = ED25519, body: dict[str, Any] | None = None
) -> bytes:
    return seal(
        generation=generation,
        sender="any-sender.com",
        receiver="any-receiver.com",
        subject="VerifyLocator@Identity",
        body={"Locator": "abc"} if body is None else body,
        correlation=CORRELATION,
        timestamp=MOMENT,
        key=key,
    )


def changed(change: Callable[[dict[str, Any]], object], generation: Generation = Generation.NLWEB) -> bytes:
    message = json.loads(sealed(generation))
    change(message)
    return json.dumps(message, ensure_ascii=False).encode()


def with_header(name: str, value: Any, generation: Generation = Generation.NLWEB) -> bytes:
    return changed(lambda message: message["Header"].update({name: value}), generation)


def refused(data: bytes | str) -> EnvelopeError:
    with pytest.raises(EnvelopeError) as caught:
        parse(data)
    assert "\n" not in str(caught.value)
    return caught.value


@given(generation=generations, key=signing_keys, body=bodies)
def test_what_is_sealed_is_parsed_and_verified_with_the_same_key(
    generation: Generation, key: SigningKey, body: dict[str, Any]
) -> None:
    envelope = parse(sealed(generation, key, body))
    assert envelope.hash_matches()
    assert envelope.signed_by(key.private.public_key())
    assert canonical_bytes(envelope.body) == canonical_bytes(body)
    assert (envelope.generation, envelope.selector) == (generation, key.selector)
    assert (envelope.sender, envelope.receiver) == ("any-sender.com", "any-receiver.com")
    assert (envelope.subject, envelope.correlation) == ("VerifyLocator@Identity", CORRELATION)
    assert envelope.timestamp == MOMENT.replace(microsecond=123000)


@pytest.mark.parametrize("generation", Generation)
def test_the_canonical_bytes_are_those_of_header_and_body_alone(generation: Generation) -> None:
    data = sealed(generation)
    message = json.loads(data)
    canonical = canonical_bytes({"Body": message["Body"], "Header": message["Header"]})
    assert parse(data).canonical == canonical
    assert message["Hash"] == sha256_hex(canonical)


def test_each_generation_puts_its_schema_and_its_selector_where_the_protocol_says() -> None:
    nlweb, pollyweb = json.loads(sealed(Generation.NLWEB)), json.loads(sealed(Generation.POLLYWEB))
    assert nlweb["🤝"] == "nlweb.org/MSG:1.0"
    assert nlweb["Header"]["DKIM"] == "pw1"
    assert {"Schema", "Selector"}.isdisjoint(nlweb["Header"])
    assert set(pollyweb) == {"Header", "Body", "Hash", "Signature"}
    assert pollyweb["Header"]["Schema"] == "pollyweb.org/MSG:1.0"
    assert pollyweb["Header"]["Selector"] == "pw1"
    assert "DKIM" not in pollyweb["Header"]


@given(data=st.data(), generation=generations)
def test_a_change_of_any_header_member_or_of_the_body_breaks_hash_and_signature(
    data: st.DataObject, generation: Generation
) -> None:
    message = json.loads(sealed(generation))
    part = data.draw(st.sampled_from(["Header.From", "Header.To", "Header.Correlation", "Header.Timestamp",
                                      "Header.Subject", "Header.New", "Body"]))  # fmt: skip
    match part:
        case "Body":
            message["Body"]["Locator"] = data.draw(texts.filter(lambda text: text != "abc"))
        case "Header.New":
            message["Header"]["New"] = data.draw(json_values)
        case "Header.Correlation":
            message["Header"]["Correlation"] = str(uuid.uuid4())
        case "Header.Timestamp":
            message["Header"]["Timestamp"] = "2026-01-31T12:00:00.124Z"
        case "Header.Subject":
            message["Header"]["Subject"] = "Other@Identity"
        case _:
            message["Header"][part.removeprefix("Header.")] = "other.example"
    envelope = parse(orjson.dumps(message))
    assert not envelope.hash_matches()
    assert not envelope.signed_by(ED25519.private.public_key())


def test_the_same_header_in_another_case_is_not_what_was_signed() -> None:
    envelope = parse(with_header("To", "ANY-receiver.com"))
    assert envelope.receiver == "any-receiver.com"
    assert not envelope.signed_by(ED25519.private.public_key())


def test_another_hash_or_another_signature_does_not_verify() -> None:
    def another_hash(message: dict[str, Any]) -> None:
        message["Hash"] = "0" * 64

    def another_signature(message: dict[str, Any]) -> None:
        message["Signature"] = base64.b64encode(bytes(64)).decode()

    envelope = parse(changed(another_hash))
    assert not envelope.hash_matches()
    assert envelope.signed_by(ED25519.private.public_key())
    envelope = parse(changed(another_signature))
    assert envelope.hash_matches()
    assert not envelope.signed_by(ED25519.private.public_key())
    assert not parse(sealed()).signed_by(SigningKey.generate("pw1").private.public_key())
    assert not parse(sealed()).signed_by(RSA.private.public_key())


def test_members_in_another_order_with_white_space_verify_all_the_same() -> None:
    message = json.loads(sealed())
    text = json.dumps(dict(reversed(message.items())), indent=3, ensure_ascii=True)
    assert parse(text).signed_by(ED25519.private.public_key())


def test_an_unsigned_message_is_a_message_that_nobody_has_signed() -> None:
    def unsigned(message: dict[str, Any]) -> None:
        del message["Hash"], message["Signature"], message["Header"]["Selector"]
        message["Header"]["From"] = ANONYMOUS

    envelope = parse(changed(unsigned, Generation.POLLYWEB))
    assert (envelope.sender, envelope.selector, envelope.hash, envelope.signature) == (ANONYMOUS, None, None, None)
    assert not envelope.sender_is_domain
    assert not envelope.hash_matches()
    assert not envelope.signed_by(ED25519.private.public_key())


@pytest.mark.parametrize(
    ("sender", "parsed", "is_domain"),
    [
        ("Example.COM", "example.com", True),
        ("Anonymous", "Anonymous", False),
        ("125A5C75-CB72-43D2-9695-37026DFCAA48", CORRELATION, False),
    ],
)
def test_a_sender_is_a_domain_a_wallet_or_anonymous(sender: str, parsed: str, is_domain: bool) -> None:
    envelope = parse(with_header("From", sender))
    assert (envelope.sender, envelope.sender_is_domain) == (parsed, is_domain)


MALFORMED: dict[str, list[Any]] = {
            "From": [None, 1, "", "localhost", "anonymous", "a b.c", ["a.b"], "example.com.", CORRELATION[:-1]],
            "To": [None, 1, "", "Anonymous", CORRELATION, "http://a.b", {}],
            "Correlation": [None, 5, "", CORRELATION[:-1], "{" + CORRELATION + "}", CORRELATION.replace("-", ""),
                            "urn:uuid:" + CORRELATION, CORRELATION + "\n"],
            "Timestamp": [None, 0, "", "2026-01-31", "2026-01-31T12:00:00", "2026-01-31T12:00:00+00:00",
                          "2026-02-30T12:00:00Z", "2026-01-31T25:00:00Z", "2026-01-31T12:00:00,5Z",
                          "2026-01-31T12:00:00.Z", "2026-01-31t12:00:00z", "2026-01-31T12:00:00Z\n",
                          "٢٠٢٦-01-31T12:00:00Z", "0000-01-01T00:00:00Z"],
            "Subject": [None, True, "", "Verify", "@Identity", "Verify@", "Verify@Identity@More", "Ver ify@Identity",
                        "1Verify@Identity", "Verify@Identity\n", "V" * 65 + "@Identity"],
            "DKIM": [1, "", "pk1.evil", "-pk1", "pk1-", "pk 1", "p" * 64, "pk1\n", {}],
        }  # fmt: skip


@pytest.mark.parametrize(
    ("member", "value"), [(member, value) for member, values in MALFORMED.items() for value in values]
)
def test_a_malformed_header_member_is_named(member: str, value: Any) -> None:
    error = refused(with_header(member, value))
    assert (error.problem, error.where) == (EnvelopeProblem.SCHEMA, f"Header.{member}")
    assert str(error).startswith(f"Header.{member}: ")


def test_a_malformed_selector_of_the_other_generation_is_named_too() -> None:
    assert refused(with_header("Selector", "a.b", Generation.POLLYWEB)).where == "Header.Selector"


@pytest.mark.parametrize("member", ["From", "To", "Correlation", "Timestamp", "Subject"])
def test_an_absent_header_member_is_named(member: str) -> None:
    error = refused(changed(lambda message: message["Header"].pop(member)))
    assert str(error) == f"Header.{member}: missing"


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("Header", None), ("Header", []), ("Header", "x"),
        ("Body", None), ("Body", []), ("Body", "x"), ("Body", 1),
        ("Hash", 1), ("Hash", ""), ("Hash", "A" * 64), ("Hash", "a" * 63), ("Hash", "a" * 64 + "\n"), ("Hash", {}),
        ("Signature", 1), ("Signature", "*"), ("Signature", "YQ"), ("Signature", "YQ==\n"), ("Signature", "é"),
        ("Signature", {}),
    ],
)  # fmt: skip
def test_a_malformed_top_level_member_is_named(member: str, value: Any) -> None:
    error = refused(changed(lambda message: message.update({member: value})))
    assert (error.problem, error.where) == (EnvelopeProblem.SCHEMA, member)


@pytest.mark.parametrize(
    "schema", ["nlweb.org/MSG:1.1", "nlweb.org/MSG:2.0", "NLWEB.ORG/MSG:1.0", "pollyweb.org/MSG:1.0", "", 1, {}, []]
)
def test_another_version_under_the_handshake_is_not_understood(schema: Any) -> None:
    error = refused(changed(lambda message: message.update({"🤝": schema})))
    assert (error.problem, error.where) == (EnvelopeProblem.VERSION, "🤝")


@pytest.mark.parametrize("schema", ["pollyweb.org/MSG:1.1", "nlweb.org/MSG:1.0", "", 1, {}])
def test_another_version_in_the_header_is_not_understood(schema: Any) -> None:
    error = refused(with_header("Schema", schema, Generation.POLLYWEB))
    assert (error.problem, error.where) == (EnvelopeProblem.VERSION, "Header.Schema")


def test_a_message_that_names_no_version_is_not_understood() -> None:
    assert refused(changed(lambda message: message.pop("🤝"))).problem is EnvelopeProblem.VERSION
    assert refused(with_header("Schema", None, Generation.POLLYWEB)).problem is EnvelopeProblem.VERSION
    assert refused(changed(lambda message: message.update({"🤝": None}))).problem is EnvelopeProblem.VERSION


def test_the_selector_of_the_other_generation_is_not_this_ones_selector() -> None:
    def mixed(message: dict[str, Any]) -> None:
        message["Header"]["Selector"] = message["Header"].pop("DKIM")

    assert parse(changed(mixed)).selector is None


@pytest.mark.parametrize(
    ("text", "microseconds"),
    [("2026-01-31T12:00:00Z", 0), ("2026-01-31T12:00:00.5Z", 500_000), ("2026-01-31T12:00:00.123Z", 123_000),
     ("2026-01-31T12:00:00.123456Z", 123_456), ("2026-01-31T12:00:00.123456789Z", 123_456)],
)  # fmt: skip
def test_a_timestamp_comes_with_or_without_fractions(text: str, microseconds: int) -> None:
    moment = parse(with_header("Timestamp", text)).timestamp
    assert moment == MOMENT.replace(microsecond=microseconds)
    assert moment.utcoffset() == timedelta(0)


def test_a_message_is_sealed_with_the_time_in_utc_and_milliseconds() -> None:
    data = seal(
        generation=Generation.NLWEB, sender="a.b", receiver="c.d", subject="A@B", body={}, correlation=CORRELATION,
        timestamp=MOMENT.astimezone(timezone(timedelta(hours=5, minutes=30))), key=ED25519,
    )  # fmt: skip
    assert json.loads(data)["Header"]["Timestamp"] == "2026-01-31T12:00:00.123Z"


def test_a_correlation_is_the_same_in_any_case_and_so_is_the_identity_of_the_message() -> None:
    lower, upper = parse(sealed()), parse(with_header("Correlation", CORRELATION.upper()))
    assert upper.correlation == CORRELATION
    assert upper.identity == lower.identity
    assert parse(with_header("From", "ANY-sender.com")).identity == lower.identity
    assert parse(with_header("From", "other-sender.com")).identity != lower.identity
    assert parse(with_header("Correlation", str(uuid.uuid4()))).identity != lower.identity


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe", b"nul", b'{"a":NaN}', b'{"a":1e999}', "\ud800"])
def test_what_is_no_json_says_so(data: bytes | str) -> None:
    assert refused(data).problem is EnvelopeProblem.NOT_JSON


@pytest.mark.parametrize("data", [b"null", b"1", b'"text"', b"[]", b"true"])
def test_json_that_is_no_object_is_no_message(data: bytes) -> None:
    assert refused(data).problem is EnvelopeProblem.SCHEMA


@pytest.mark.parametrize("body", [b"[" * 900 + b"]" * 900, b"[0" + b",0" * 2000 + b"]", b"[" * 5000])
def test_a_body_nested_or_filled_beyond_the_bounds_is_refused(body: bytes) -> None:
    data = sealed().replace(b'{"Locator":"abc"}', b'{"a":' + body + b"}")
    assert refused(data).problem is EnvelopeProblem.TOO_COMPLEX


@pytest.mark.parametrize(
    ("once", "twice"),
    [
        (b'{"Locator":"abc"}', b'{"Locator":"abc","Locator":"abd"}'),
        (b'{"Locator":"abc"}', b'{"Locator":"abc","a":[{"b":{"c":1,"\\u0063":1}}]}'),
        (b'"From":', b'"From":"bank.example","From":'),
        (b'"Header":', b'"Header":{},"Header":'),
        (b'"Hash":', b'"Hash":"","Hash":'),
    ],
)
def test_a_name_that_stands_twice_anywhere_is_refused(once: bytes, twice: bytes) -> None:
    assert refused(sealed().replace(once, twice)).problem is EnvelopeProblem.DUPLICATE_NAME


@given(st.binary() | st.text())
def test_arbitrary_bytes_and_text_are_refused_by_an_envelope_error_alone(data: bytes | str) -> None:
    refused(data)


@given(json_values)
def test_arbitrary_json_is_refused_by_an_envelope_error_alone(value: Any) -> None:
    refused(orjson.dumps(value))


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "🤝": st.sampled_from(["nlweb.org/MSG:1.0", "pollyweb.org/MSG:1.0"]) | json_values,
            "Header": st.fixed_dictionaries(
                {},
                optional={
                    "From": st.sampled_from(["a.b", ANONYMOUS, CORRELATION]) | json_values,
                    "To": st.just("c.d") | json_values,
                    "Correlation": st.just(CORRELATION) | json_values,
                    "Timestamp": st.just("2026-01-31T12:00:00Z") | texts,
                    "Subject": st.just("A@B") | json_values,
                    "DKIM": st.just("pk1") | json_values,
                    "Selector": st.just("pk1") | json_values,
                    "Schema": st.just("pollyweb.org/MSG:1.0") | json_values,
                },
            ),
            "Body": bodies | json_values,
            "Hash": st.from_regex(r"[0-9a-f]{64}", fullmatch=True) | json_values,
            "Signature": st.binary().map(lambda raw: base64.b64encode(raw).decode()) | json_values,
        },
    )
)
def test_anything_that_looks_like_a_message_is_one_or_is_refused_by_an_envelope_error(message: dict[str, Any]) -> None:
    try:
        envelope = parse(orjson.dumps(message))
    except EnvelopeError:
        return
    assert isinstance(envelope, Envelope)
    assert not envelope.signed_by(ED25519.private.public_key())
    assert not envelope.signed_by(RSA.private.public_key())


@pytest.mark.parametrize(
    "body", [{"a": float("nan")}, {"a": Ellipsis}, {1: "a"}, {"a": "\ud800"}, {"a": 2**70}, {"a": 10**400}], ids=repr
)
def test_a_body_that_cannot_be_written_is_refused_before_it_is_sent(body: Any) -> None:
    with pytest.raises(EnvelopeError) as caught:
        sealed(body=body)
    assert caught.value.where == "Body"


def test_names_in_dns_follow_the_generation() -> None:
    assert key_name(Generation.NLWEB, "pk1", "a.b") == "pk1._domainkey.a.b"
    assert key_name(Generation.POLLYWEB, "pw1", "a.b") == "pw1._domainkey.pw.a.b"
    assert inbox_host(Generation.NLWEB, "a.b") == "nlweb.a.b"
    assert inbox_host(Generation.POLLYWEB, "a.b") == "pw.a.b"
