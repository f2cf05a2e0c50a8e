"""The ring in Secrets Manager: changed by one at a time, and never half."""

import asyncio
import json
import uuid

import pytest

from services.async_post import ring as rings
from services.async_post.ring import Algorithm, Ring, State
from services.async_post.ring_store import RingChangedError, RingStore
from shared.errors import ConfigurationError
from shared.keys import SigningKey
from tests.support.emulated_aws import Emulated

KEY = SigningKey.generate("pw1")


def store(emulated: Emulated) -> RingStore:
    return RingStore(emulated.aws, f"test/{uuid.uuid4()}")


def first() -> Ring:
    return rings.bring_in(Ring(), KEY, 1.0)


async def test_what_was_written_is_read_and_can_be_changed(emulated: Emulated) -> None:
    place = store(emulated)
    empty = await place.read()
    assert (empty.ring, empty.version) == (Ring(), "")
    written = await place.write(empty, first())
    assert await place.read() == written
    changed = await place.write(written, rings.make(first(), "pw2", Algorithm.ED25519, 2.0))
    assert await place.read() == changed


async def test_of_ten_that_change_the_same_ring_one_succeeds_and_the_others_are_told(emulated: Emulated) -> None:
    place = store(emulated)
    for _ in range(3):  # the first time the secret itself is made
        old = await place.read()
        ring = old.ring
        made = [
            rings.make(Ring(tuple(key for key in ring.keys if key.state is not State.MADE)), f"pw{number}0",
                       Algorithm.ED25519, 2.0)
            for number in range(1, 11)
        ]  # fmt: skip
        outcomes = await asyncio.gather(*(place.write(old, one) for one in made), return_exceptions=True)
        (winner,) = [one for one in outcomes if not isinstance(one, BaseException)]
        assert all(isinstance(one, RingChangedError) for one in outcomes if one is not winner)
        assert await place.read() == winner


async def test_a_change_from_an_old_version_is_refused_also_when_a_person_wrote_the_secret(emulated: Emulated) -> None:
    place = RingStore(emulated.aws, name := f"test/{uuid.uuid4()}")
    old = await place.write(await place.read(), first())
    by_hand = json.dumps({"selector": "pw9", "private_key": SigningKey.generate("").to_pem()})
    emulated.aws.client("secretsmanager").put_secret_value(SecretId=name, SecretString=by_hand)
    with pytest.raises(RingChangedError):
        await place.write(old, rings.make(first(), "pw2", Algorithm.ED25519, 2.0))
    assert [key.selector for key in (await place.read()).ring.keys] == ["pw9"]


async def test_a_crash_between_the_two_calls_of_a_change_leaves_the_ring_as_it_was(emulated: Emulated) -> None:
    place = RingStore(emulated.aws, name := f"test/{uuid.uuid4()}")
    old = await place.write(await place.read(), first())
    emulated.aws.client("secretsmanager").put_secret_value(
        SecretId=name, SecretString="{}", ClientRequestToken=str(uuid.uuid4()), VersionStages=["AWSPENDING"]
    )
    assert await place.read() == old
    new = await place.write(old, rings.make(first(), "pw2", Algorithm.ED25519, 2.0))
    assert await place.read() == new


async def test_a_secret_of_bytes_is_refused(emulated: Emulated) -> None:
    name = f"test/{uuid.uuid4()}"
    emulated.aws.client("secretsmanager").create_secret(Name=name, SecretBinary=b"1")
    with pytest.raises(ConfigurationError, match=name):
        await RingStore(emulated.aws, name).read()
