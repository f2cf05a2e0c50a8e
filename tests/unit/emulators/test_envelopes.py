from __future__ import annotations

import base64
import copy
import hashlib
import json
import uuid
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pollyweb.msg import Msg

from emulators.envelopes import (
    Generation,
    MalformedMessageError,
    PrivateKey,
    UnprovenMessageError,
    public_key_txt,
    read_envelope,
    read_public_key,
    sign,
    verify,
)
from emulators.world import make_key

KEYS: dict[str, PrivateKey] = {"ed25519": make_key(), "rsa": make_key("rsa")}


def header() -> dict[str, str]:
    return {
        "From": "shop.example",
        "To": "id.example",
        "Correlation": str(uuid.uuid4()),
        "Timestamp": "2018-12-10T13:45:00.000Z",
        "Subject": "VerifyLocator@Identity",
    }


def signed(generation: Generation = Generation.NLWEB, kind: str = "ed25519") -> dict[str, Any]:
    return sign(header(), {"Locator": "höhe", "n": 1.0}, KEYS[kind], "pw1", generation)


@pytest.mark.parametrize("kind", list(KEYS))
@pytest.mark.parametrize("generation", list(Generation))
def test_a_signed_message_verifies_with_the_published_key(generation: Generation, kind: str) -> None:
    message = json.loads(json.dumps(signed(generation, kind)))
    verify(message, public_key_txt(KEYS[kind]))
    envelope = read_envelope(message)
    assert (envelope.generation, envelope.selector, envelope.sender) == (generation, "pw1", "shop.example")


@pytest.mark.parametrize("kind", list(KEYS))
def test_the_signature_is_what_openssl_makes_of_sorted_compact_json(kind: str) -> None:
    message = sign(header(), {"Locator": "abc"}, KEYS[kind], "pw1", Generation.NLWEB)
    signed_part = {"Header": message["Header"], "Body": message["Body"]}
    content = json.dumps(signed_part, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    assert message["Hash"] == hashlib.sha256(content).hexdigest()
    signature = base64.b64decode(message["Signature"])
    key = KEYS[kind].public_key()
    if isinstance(key, rsa.RSAPublicKey):
        key.verify(signature, content, padding.PKCS1v15(), hashes.SHA256())
    else:
        assert isinstance(key, ed25519.Ed25519PublicKey)
        key.verify(signature, content)


def test_the_pollyweb_package_makes_the_same_canonical_form() -> None:
    message = sign(header(), {"Locator": "abc"}, KEYS["ed25519"], "pw1", Generation.POLLYWEB)
    fields = message["Header"]
    theirs = Msg(
        From=fields["From"],
        To=fields["To"],
        Subject=fields["Subject"],
        Correlation=fields["Correlation"],
        Timestamp=fields["Timestamp"],
        Selector=fields["Selector"],
        Body={"Locator": "abc"},
    )
    assert hashlib.sha256(theirs.canonical()).hexdigest() == message["Hash"]


@pytest.mark.parametrize("generation", list(Generation))
@pytest.mark.parametrize("part", ["Header", "Body", "Hash", "Signature"])
def test_a_change_anywhere_is_found(generation: Generation, part: str) -> None:
    message = copy.deepcopy(signed(generation))
    if part == "Header":
        message["Header"]["To"] = "other.example"
    elif part == "Body":
        message["Body"]["Locator"] += "x"
    elif part == "Hash":
        message["Hash"] = "0" * 64
    else:
        message["Signature"] = base64.b64encode(bytes(64)).decode()
    with pytest.raises(UnprovenMessageError):
        verify(message, public_key_txt(KEYS["ed25519"]))


def test_another_key_or_none_proves_nothing() -> None:
    curve = ec.generate_private_key(ec.SECP256R1()).public_key()
    spki = base64.b64encode(curve.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()
    small = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    assert read_public_key(public_key_txt(small)) == small.public_key()
    for txt in (
        public_key_txt(make_key()),
        public_key_txt(KEYS["rsa"]),
        "v=DKIM1;k=ed25519;p=",
        "v=DKIM1;k=ed25519;p=AAAA",
        "v=DKIM1;k=ed25519;p=!!",
        "v=DKIM2;k=ed25519;p=AAAA",
        f"v=DKIM1;k=rsa;p={spki}",
        "v=spf1 -all",
        "",
    ):
        with pytest.raises(UnprovenMessageError):
            verify(signed(), txt)


def test_a_key_record_may_have_spaces_and_leave_out_rsa() -> None:
    txt = public_key_txt(KEYS["rsa"]).replace(";k=rsa;p=", " ; p= ")
    verify(signed(kind="rsa"), txt)


@pytest.mark.parametrize(
    "change",
    [
        {"🤝": "nlweb.org/MSG:2.0"},
        {"🤝": None},
        {"Header": []},
        {"Body": "text"},
        {"Hash": 1},
        {"Signature": ""},
        {"Extra": 1},
    ],
)
def test_a_message_of_another_form_is_malformed(change: dict[str, Any]) -> None:
    with pytest.raises(MalformedMessageError):
        verify(signed() | change, public_key_txt(KEYS["ed25519"]))


@pytest.mark.parametrize("change", [{"Correlation": "1"}, {"Subject": "Verify"}, {"DKIM": ""}, {"From": 5}])
def test_a_header_of_another_form_is_malformed(change: dict[str, Any]) -> None:
    message = signed()
    with pytest.raises(MalformedMessageError):
        verify(message | {"Header": message["Header"] | change}, public_key_txt(KEYS["ed25519"]))
