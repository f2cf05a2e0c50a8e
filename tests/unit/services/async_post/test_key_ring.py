"""The signing key: read again on a schedule, trusted for a while, and never in an error."""

import asyncio
import json
import uuid

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from services.async_post import ring as rings
from services.async_post.key_ring import KeyRing
from services.async_post.ring import Algorithm, Ring
from services.async_post.ring_store import RingStore
from shared.errors import ConfigurationError, UnavailableError
from shared.keys import SigningKey
from tests.support.emulated_aws import Emulated
from tests.support.readers import until_async

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


async def test_the_key_stays_in_use_while_the_secret_cannot_be_read_until_it_is_trusted_no_more(
    emulated: Emulated,
) -> None:
    now = 0.0
    name = secret(emulated, json.dumps({"selector": "pw7", "private_key": KEY.to_pem()}))
    ring = KeyRing(emulated.aws, name, reread_seconds=0.01, trust_seconds=60, clock=lambda: now)
    first = await ring.current()
    assert (first.selector, first.record) == ("pw7", KEY.record)
    emulated.aws.client("secretsmanager").delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)
    regularly = asyncio.create_task(ring.read_regularly())
    # Deleted is not unreadable: somebody said that there is no key.
    with pytest.raises(UnavailableError, match=name):
        await _used_until_it_fails(ring)
    regularly.cancel()
    ring = KeyRing(emulated.aws, "x", trust_seconds=60, clock=lambda: now)
    ring._key, ring._read_at = first, 0.0
    now = 60.0
    assert await ring.current() is first
    now = 60.1
    with pytest.raises(UnavailableError, match="not readable for 60 s"):
        await ring.current()


async def _used_until_it_fails(ring: KeyRing) -> None:
    async with asyncio.timeout(10):
        while True:
            await ring.current()
            await asyncio.sleep(0.01)


async def test_a_key_that_became_active_is_used_without_a_restart(emulated: Emulated) -> None:
    store = RingStore(emulated.aws, name := f"test/{uuid.uuid4()}")
    old = await store.write(await store.read(), rings.bring_in(Ring(), KEY, 1.0))
    ring = KeyRing(emulated.aws, name, reread_seconds=0.01)
    assert (await ring.current()).selector == "pw7"
    made = rings.seen(rings.make(old.ring, "pw8", Algorithm.RSA_2048, 2.0), "pw8", 3.0)
    old = await store.write(old, made)
    regularly = asyncio.create_task(ring.read_regularly())
    await asyncio.sleep(0.1)
    assert (await ring.current()).selector == "pw7", "a key signs only when it is active"
    await store.write(old, rings.activate(made, "pw8", 4.0))

    async def uses_the_new_one() -> bool:
        return (await ring.current()).selector == "pw8"

    await until_async(uses_the_new_one)
    regularly.cancel()


async def test_without_an_active_key_nothing_is_signed(emulated: Emulated) -> None:
    store = RingStore(emulated.aws, name := f"test/{uuid.uuid4()}")
    stolen = rings.retire(rings.bring_in(Ring(), KEY, 1.0), "pw7", 2.0, compromised=True)
    await store.write(await store.read(), stolen)
    with pytest.raises(UnavailableError, match="has no active key"):
        await KeyRing(emulated.aws, name).current()


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
