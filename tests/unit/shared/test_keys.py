"""Public keys as they stand in DNS, private keys as they stand in PEM."""

import base64
import contextlib
import traceback

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st

from shared.keys import (
    KeyProblem,
    KeyRecordError,
    PrivateKey,
    SigningKey,
    key_record,
    parse_key_record,
    verify_signature,
)

# RFC 8463, appendix A.2
RFC_8463_P = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="


@pytest.fixture(scope="module")
def rsa_private() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture(scope="module")
def weak_private() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 1024)


def spki(private: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    der = private.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(der).decode()


def problem_of(record: str) -> KeyProblem:
    with pytest.raises(KeyRecordError) as caught:
        parse_key_record(record)
    assert "\n" not in str(caught.value)
    return caught.value.problem


@pytest.mark.parametrize(
    "record",
    [
        f"v=DKIM1;k=ed25519;p={RFC_8463_P}",
        f"v=DKIM1; k=ed25519; p={RFC_8463_P}",
        f"v=DKIM1;p={RFC_8463_P};k=ed25519",
        f"k=ed25519;p={RFC_8463_P}",
        f"  v = DKIM1 ;\tk = ed25519 ; \r\n p = {RFC_8463_P[:20]} \t {RFC_8463_P[20:]} ; ",
        f"v=DKIM1;k=ed25519;n=a note;x_1=unknown;t=s;p={RFC_8463_P};",
        f"v=DKIM1;k=ed25519;h=sha1:sha256;p={RFC_8463_P}",
        f"v=DKIM1;k=ed25519;h= sha256 ;p={RFC_8463_P}",
    ],
)
def test_order_white_space_and_unknown_tags_change_nothing(record: str) -> None:
    key = parse_key_record(record)
    assert isinstance(key, ed25519.Ed25519PublicKey)
    assert base64.b64encode(key.public_bytes_raw()).decode() == RFC_8463_P


def test_without_k_the_key_is_rsa(rsa_private: rsa.RSAPrivateKey) -> None:
    assert isinstance(parse_key_record(f"v=DKIM1;p={spki(rsa_private)}"), rsa.RSAPublicKey)


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        (f"k=ed25519;v=DKIM1;p={RFC_8463_P}", KeyProblem.MALFORMED),
        (f"v=DKIM2;k=ed25519;p={RFC_8463_P}", KeyProblem.MALFORMED),
        (f"v=DKIM1;k=ed25519;k=ed25519;p={RFC_8463_P}", KeyProblem.MALFORMED),
        (f"v=DKIM1;k=ed25519;p={RFC_8463_P};p=", KeyProblem.MALFORMED),
        ("v=DKIM1;k=ed25519", KeyProblem.MALFORMED),
        ("", KeyProblem.MALFORMED),
        ("any other text", KeyProblem.MALFORMED),
        ("v=DKIM1;=x;p=", KeyProblem.MALFORMED),
        ("v=DKIM1;k=ed25519;p=", KeyProblem.REVOKED),
        ("v=DKIM1;p= \t ", KeyProblem.REVOKED),
        (f"v=DKIM1;k=ed25519;p={RFC_8463_P[:-1]}", KeyProblem.MALFORMED),
        ("v=DKIM1;k=ed25519;p=!!!!", KeyProblem.MALFORMED),
        ("v=DKIM1;k=ed25519;p=é", KeyProblem.MALFORMED),
        ("v=DKIM1;k=ed25519;p=" + base64.b64encode(bytes(31)).decode(), KeyProblem.MALFORMED),
        ("v=DKIM1;k=ed25519;p=" + base64.b64encode(bytes(33)).decode(), KeyProblem.MALFORMED),
        (f"v=DKIM1;k=rsa;p={RFC_8463_P}", KeyProblem.MALFORMED),
        ("v=DKIM1;k=rsa;p=" + spki(ec.generate_private_key(ec.SECP256R1())), KeyProblem.MALFORMED),
        (f"v=DKIM1;k=RSA;p={RFC_8463_P}", KeyProblem.UNSUPPORTED),
        (f"v=DKIM1;k=ed448;p={RFC_8463_P}", KeyProblem.UNSUPPORTED),
        (f"v=DKIM1;k=ed25519;h=sha1;p={RFC_8463_P}", KeyProblem.UNSUPPORTED),
        (f"v=DKIM1;k=ed25519;h=;p={RFC_8463_P}", KeyProblem.UNSUPPORTED),
    ],
)
def test_a_record_that_cannot_be_used_says_why(record: str, problem: KeyProblem) -> None:
    assert problem_of(record) is problem


def test_an_rsa_key_of_1024_bits_is_weak_in_dns_and_in_pem(weak_private: rsa.RSAPrivateKey) -> None:
    assert problem_of(f"v=DKIM1;k=rsa;p={spki(weak_private)}") is KeyProblem.WEAK
    with pytest.raises(KeyRecordError) as caught:
        SigningKey.from_pem("pk1", SigningKey("pk1", weak_private).to_pem())
    assert caught.value.problem is KeyProblem.WEAK


@given(st.text())
def test_any_text_is_a_key_or_refused_by_a_key_record_error(text: str) -> None:
    with contextlib.suppress(KeyRecordError):
        parse_key_record(text)


@given(st.binary(max_size=600), st.sampled_from(["rsa", "ed25519"]))
def test_any_bytes_in_p_are_a_key_or_refused_by_a_key_record_error(material: bytes, kind: str) -> None:
    with contextlib.suppress(KeyRecordError):
        parse_key_record(f"v=DKIM1;k={kind};p={base64.b64encode(material).decode()}")


@pytest.mark.parametrize("kind", ["ed25519", "rsa"])
def test_a_key_comes_back_from_its_record_and_from_its_pem(kind: str, rsa_private: rsa.RSAPrivateKey) -> None:
    private: PrivateKey = rsa_private if kind == "rsa" else SigningKey.generate("pw1").private
    key = SigningKey("pw1", private)
    again = SigningKey.from_pem("pw1", key.to_pem())
    assert again.record == key.record
    assert key.slow is (kind == "rsa")
    public = parse_key_record(key.record)
    assert key_record(public) == key.record
    signature = again.sign(b"signed bytes")
    assert verify_signature(public, signature, b"signed bytes")
    assert not verify_signature(public, signature, b"other bytes")
    assert not verify_signature(public, signature[:-1], b"signed bytes")
    assert not verify_signature(public, b"", b"signed bytes")


def test_generated_keys_differ() -> None:
    assert SigningKey.generate("pw1").record != SigningKey.generate("pw1").record


def test_a_signing_key_is_never_printed() -> None:
    key = SigningKey.generate("pw1")
    assert repr(key) == "SigningKey(selector='pw1')"
    assert str(key) == repr(key)


def test_an_error_about_a_pem_repeats_nothing_of_it() -> None:
    pem = SigningKey.generate("pw1").to_pem()
    secret = pem.splitlines()[1]
    encrypted = (
        ed25519.Ed25519PrivateKey.generate()
        .private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"a password"),
        )
        .decode()
    )
    curve = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    broken = [
        pem.replace("MC4", "MX4"),
        secret,
        "",
        pem[:-30],
        pem[: len(pem) // 2],
        encrypted,
        curve.decode(),
        "\ud800",
    ]
    for text in broken:
        with pytest.raises(KeyRecordError) as caught:
            SigningKey.from_pem("pw1", text)
        told = "".join(traceback.format_exception(caught.value))
        assert all(line not in told for line in text.splitlines() if line and "-----" not in line)
