"""One data key for a person, unwrapped by KMS, remembered for a short time, and gone for good once it is erased."""

import asyncio
import uuid

import pytest

from shared.errors import UnavailableError
from shared.person_keys import NoDataKeyError, PersonKeys
from shared.sealing import Kind
from shared.settings import StoreSettings
from shared.stores import Aws, Tables


class Moved:
    """A clock that a test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def person() -> str:
    return f"p-{uuid.uuid4().hex}"


@pytest.fixture
def clock() -> Moved:
    return Moved()


@pytest.fixture
def keys(aws: Aws, tables: Tables, clock: Moved) -> PersonKeys:
    return PersonKeys(aws, tables, StoreSettings(data_key_seconds=30), clock)


@pytest.fixture
def others(aws: Aws, tables: Tables) -> PersonKeys:
    """Another process's."""
    return PersonKeys(aws, tables, StoreSettings())


async def test_what_one_process_seals_another_opens(keys: PersonKeys, others: PersonKeys, person: str) -> None:
    sealed = (await keys.create(person)).seal(Kind.EVIDENCE, "1", b"a picture")
    assert (await others.get(person)).open(Kind.EVIDENCE, "1", sealed) == b"a picture"


async def test_a_person_has_one_key_however_often_and_by_how_many_it_is_made(
    keys: PersonKeys, others: PersonKeys, person: str
) -> None:
    made = await asyncio.gather(*(which.create(person) for which in (keys, others) * 3))
    assert len({(key.key_id, key.secret) for key in made}) == 1
    assert (await keys.create(f"{person}-2")).secret != made[0].secret


async def test_a_remembered_key_asks_neither_kms_nor_the_table_until_its_time_is_over(
    keys: PersonKeys, others: PersonKeys, person: str, clock: Moved
) -> None:
    key = await keys.create(person)
    await others.erase(person)
    clock.now = 29.9
    assert await keys.get(person) is key
    clock.now = 30.0
    with pytest.raises(NoDataKeyError):
        await keys.get(person)


async def test_an_erased_key_is_gone_at_once_where_it_was_erased_and_what_it_sealed_with_it(
    keys: PersonKeys, person: str
) -> None:
    """A person who is enrolled again has another key: copies in a backup stay closed."""
    old = await keys.create(person)
    assert await keys.erase(person)
    assert not await keys.erase(person)
    with pytest.raises(NoDataKeyError):
        await keys.get(person)
    assert (await keys.create(person)).secret != old.secret


async def test_what_is_enrolled_anew_is_never_sealed_with_a_remembered_key_that_was_erased(
    keys: PersonKeys, others: PersonKeys, person: str
) -> None:
    old = await keys.create(person)
    await others.erase(person)
    new = await keys.create(person)
    assert new.secret != old.secret
    assert (await keys.get(person)).secret == (await others.get(person)).secret == new.secret


async def test_no_key_in_kms_is_an_outage_that_names_what_is_to_be_done(aws: Aws, tables: Tables, person: str) -> None:
    keys = PersonKeys(aws, tables, StoreSettings(kms_key="alias/misspelt"))
    with pytest.raises(UnavailableError, match=r"alias/misspelt.*facescan tables create"):
        await keys.create(person)


async def test_memory_is_bounded(keys: PersonKeys, person: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.person_keys._MOST_REMEMBERED", 2)
    for number in range(4):
        await keys.create(f"{person}-{number}")
    assert len(keys._remembered) == 2
