"""The signing key: read once, and never in an error."""

import json
import uuid

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from services.async_post.key_ring import KeyRing
from shared.errors import ConfigurationError, UnavailableError
from shared.keys import SigningKey
from tests.support.emulated_aws import Emulated

KEY = SigningKey.generate("pw7")
MARK = "MC4CAQAwBQYDK2VwBCIEI"  # how every Ed25519 key in PKCS#8 begins


def _pem(private: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> str:
    return private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def secret(emulated: Emulated, content: str | bytes) -> str:
    """Store a secret and return its name."""
    name, client = f"test/{uuid.uuid4()}", emulated.aws.client("secretsmanager")
    if isinstance(content, bytes):
        client.create_secret(Name=name, SecretBinary=content)
    else:
        client.create_secret(Name=name, SecretString=content)
    return name


async def test_the_key_is_read_once(emulated: Emulated) -> None:
    name = secret(emulated, json.dumps({"selector": "pw7", "private_key": KEY.to_pem()}))
    ring = KeyRing(emulated.aws, name)
    first = await ring.current()
    emulated.aws.client("secretsmanager").delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)
    assert await ring.current() is first
    assert (first.selector, first.record) == ("pw7", KEY.record)


@pytest.mark.parametrize(
    "content",
    [
        KEY.to_pem(),
        KEY.to_pem().encode(),
        "",
        "[]",
        json.dumps({"selector": "pw7"}),
        json.dumps({"private_key": KEY.to_pem()}),
        json.dumps({"selector": 7, "private_key": KEY.to_pem()}),
        json.dumps({"selector": "pw7", "private_key": KEY.to_pem()[:-40]}),
        json.dumps({"selector": "pw7", "private_key": KEY.to_pem()}) + "x",
        json.dumps({"selector": "pw7", "private_key": "no key"}),
        json.dumps({"selector": "pw7", "private_key": _pem(ec.generate_private_key(ec.SECP256R1()))}),
        json.dumps({"selector": "pw7", "private_key": _pem(rsa.generate_private_key(65537, 1024))}),
    ],
)
async def test_a_secret_without_a_usable_key_is_one_line_that_names_it_and_shows_nothing(
    emulated: Emulated, content: str | bytes
) -> None:
    if content == "":
        content = " "
    name = secret(emulated, content)
    with pytest.raises(ConfigurationError) as caught:
        await KeyRing(emulated.aws, name).current()
    error: BaseException | None = caught.value
    assert name in str(error)
    assert "FACESCAN_SIGNING_SECRET" in str(error)
    while error is not None:  # what a log of the whole chain would show
        assert "\n" not in str(error)
        assert MARK not in str(error)
        assert "PRIVATE" not in str(error)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


async def test_a_secret_that_is_not_there_is_waited_for_and_named(emulated: Emulated) -> None:
    name = f"test/{uuid.uuid4()}"
    with pytest.raises(UnavailableError, match=name):
        await KeyRing(emulated.aws, name).current()
