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
    usable_keys,
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
        f"v=DKIM1;k=ed25519;s=*;p={RFC_8463_P}",
        f"v=DKIM1;k=ed25519;s=email : * ;t=s:x;p={RFC_8463_P}",
        f"v=DKIM1;k=ed25519;n=une clé;p={' '.join(RFC_8463_P)}",
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
        (f"v=DKIM1;k=ed25519;s=email;p={RFC_8463_P}", KeyProblem.UNSUPPORTED),
        (f"v=DKIM1;k=ed25519;t=s:y;p={RFC_8463_P}", KeyProblem.UNSUPPORTED),
        (f"v=DKIM1;;k=ed25519;p={RFC_8463_P}", KeyProblem.MALFORMED),
        (f"v=DKIM1;k=ed25519;p={RFC_8463_P};;", KeyProblem.MALFORMED),
        (f"v=DKIM1;k=ed25519;p={RFC_8463_P[:9]}\u00a0{RFC_8463_P[9:]}", KeyProblem.MALFORMED),
    ],
)
def test_a_record_that_cannot_be_used_says_why(record: str, problem: KeyProblem) -> None:
    assert problem_of(record) is problem


def test_an_rsa_key_of_1024_bits_is_weak_in_dns_and_in_pem(weak_private: rsa.RSAPrivateKey) -> None:
    assert problem_of(f"v=DKIM1;k=rsa;p={spki(weak_private)}") is KeyProblem.WEAK
    with pytest.raises(KeyRecordError) as caught:
        SigningKey.from_pem("pk1", SigningKey("pk1", weak_private).to_pem())
    assert caught.value.problem is KeyProblem.WEAK


def rsa_record(modulus: int, exponent: int, form: str = "spki") -> str:
    """A record made by hand, because libraries make no bad keys."""

    def der(tag: int, content: bytes) -> bytes:
        length = len(content)
        size = length.to_bytes((length.bit_length() + 7) // 8 or 1)
        return bytes([tag]) + (size if length < 128 else bytes([0x80 | len(size)]) + size) + content

    def integer(number: int) -> bytes:
        return der(2, number.to_bytes(number.bit_length() // 8 + 1))

    key = der(0x30, integer(modulus) + integer(exponent))
    if form == "spki":
        algorithm = bytes.fromhex("300d06092a864886f70d0101010500")
        key = der(0x30, algorithm + der(3, b"\0" + key))
    return f"v=DKIM1;k=rsa;p={base64.b64encode(key).decode()}"


@pytest.mark.parametrize("form", ["spki", "pkcs1"])
def test_an_rsa_key_is_read_with_and_without_its_algorithm_around_it(form: str, rsa_private: rsa.RSAPrivateKey) -> None:
    numbers = rsa_private.public_key().public_numbers()
    assert parse_key_record(rsa_record(numbers.n, numbers.e, form)) == rsa_private.public_key()


@pytest.mark.parametrize(("bits", "taken"), [(2047, False), (2048, True), (4096, True), (4097, False)])
def test_rsa_keys_have_2048_to_4096_bits(bits: int, taken: bool) -> None:
    record = rsa_record((1 << bits) - 1, 65537)
    if taken:
        assert isinstance(parse_key_record(record), rsa.RSAPublicKey)
    else:
        assert problem_of(record) is KeyProblem.WEAK


@pytest.mark.parametrize(
    ("exponent", "problem"),
    [(2**32 + 1, None), (2**33 + 1, KeyProblem.UNSUPPORTED), (2**2000 + 1, KeyProblem.UNSUPPORTED)],
)
def test_an_exponent_that_makes_every_verification_slow_is_refused(exponent: int, problem: KeyProblem | None) -> None:
    record = rsa_record((1 << 2048) - 1, exponent)
    if problem is None:
        parse_key_record(record)
    else:
        assert problem_of(record) is problem


@pytest.mark.parametrize(("modulus", "exponent"), [(1 << 2047, 65537), ((1 << 2048) - 1, 1), ((1 << 2048) - 1, 4)])
def test_numbers_that_are_no_rsa_key_are_refused(modulus: int, exponent: int) -> None:
    assert problem_of(rsa_record(modulus, exponent)) in {KeyProblem.WEAK, KeyProblem.MALFORMED}


def small_order_points() -> list[bytes]:
    """Every 32 bytes whose point of edwards25519 has an order of at most 8 (RFC 8032 §5.1), found by arithmetic."""
    prime = 2**255 - 19
    d = -121665 * pow(121666, -1, prime) % prime

    def x_of(y: int) -> int | None:
        square = (y * y - 1) * pow(d * y * y + 1, -1, prime) % prime
        x = pow(square, (prime + 3) // 8, prime)
        for root in (x, x * pow(2, (prime - 1) // 4, prime) % prime):
            if root * root % prime == square:
                return root
        return None

    def doubled(point: tuple[int, int]) -> tuple[int, int]:
        x, y = point
        product = d * x * x * y * y % prime
        return (
            2 * x * y * pow(1 + product, -1, prime) % prime,
            (y * y + x * x) * pow(1 - product, -1, prime) % prime,
        )

    # Of order 8: those whose double has y = 0.  y^2 = -x^2 there, so d*y^4 + 2*y^2 - 1 = 0.
    found = []
    unit = pow(2, (prime - 1) // 4, prime)  # a square root of -1
    root = pow(1 + d, (prime + 3) // 8, prime)
    for sqrt in (root, root * unit % prime, -root % prime, -root * unit % prime):
        y = pow((sqrt - 1) * pow(d, -1, prime) % prime, (prime + 3) // 8, prime)
        found += [y, -y % prime, y * unit % prime, -y * unit % prime]
    points = []
    for y in {0, 1, prime - 1, *found}:
        if (x := x_of(y)) is None:
            continue
        eighth = doubled(doubled(doubled((x, y))))
        if eighth == (0, 1):
            points += [value | sign << 255 for value in (y, y + prime) if value < 2**255 for sign in (0, 1)]
    return [point.to_bytes(32, "little") for point in points]


def test_every_ed25519_key_of_small_order_is_refused_as_weak() -> None:
    points = small_order_points()
    assert len({bytes([*point[:-1], point[-1] & 0x7F]) for point in points}) == 7
    for point in points:
        record = f"v=DKIM1;k=ed25519;p={base64.b64encode(point).decode()}"
        assert problem_of(record) is KeyProblem.WEAK


def test_of_several_records_at_one_name_the_usable_ones_count_in_any_order() -> None:
    keys = [SigningKey.generate("pw1") for _ in range(5)]
    records = ["v=spf1 -all", "v=DKIM1;p=", *(key.record for key in keys[:4])]
    found = {key_record(key) for key in usable_keys(records)}
    assert found == {key_record(key) for key in usable_keys(reversed(records))} == {key.record for key in keys[:4]}
    with pytest.raises(KeyRecordError, match="more than 4 keys"):
        usable_keys(key.record for key in keys)


@pytest.mark.parametrize(
    ("records", "problem"),
    [([], KeyProblem.MALFORMED), (["v=DKIM1;p="], KeyProblem.REVOKED), (["v=spf1 -all"], KeyProblem.MALFORMED)],
)
def test_records_without_a_usable_key_say_why(records: list[str], problem: KeyProblem) -> None:
    with pytest.raises(KeyRecordError) as caught:
        usable_keys(records)
    assert caught.value.problem is problem


@given(st.binary(max_size=600), st.binary(max_size=64))
def test_any_bytes_are_a_wrong_signature_and_raise_nothing(signature: bytes, signed: bytes) -> None:
    for record in (f"k=ed25519;p={RFC_8463_P}", rsa_record((1 << 2048) - 1, 65537)):
        assert not verify_signature(parse_key_record(record), signature, signed)


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
