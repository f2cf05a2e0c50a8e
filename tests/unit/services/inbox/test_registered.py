"""Registered keys: written once unless told otherwise, found as the resolver's answers are."""

import uuid

import pytest

from emulators.envelopes import public_key_txt
from services.inbox.registered import RegisteredKeyResolver
from shared.registered_keys import RegisteredKeys
from shared.resolver import Answer
from shared.stores import ConditionFailedError
from tests.support.emulated_aws import Emulated
from tests.unit.services.inbox.messages import OTHER_KEY, RECORD


async def test_a_registered_key_is_found_and_only_replaced_when_that_is_said(emulated: Emulated) -> None:
    keys, owner = RegisteredKeys(emulated.tables), str(uuid.uuid4())
    resolver = RegisteredKeyResolver(keys)
    assert (await resolver.look_up(owner)).answer is Answer.ABSENT
    await keys.register(owner, RECORD)
    await keys.register(owner, RECORD)
    with pytest.raises(ConditionFailedError):
        await keys.register(owner, public_key_txt(OTHER_KEY))
    found = await resolver.look_up(owner)
    assert (found.answer, found.records) == (Answer.SECURE, (RECORD,))
    await keys.register(owner, public_key_txt(OTHER_KEY), replace=True)
    assert (await resolver.look_up(owner)).records == (public_key_txt(OTHER_KEY),)


async def test_a_store_that_is_away_is_undecided(emulated: Emulated) -> None:
    emulated.tables._prefix, prefix = "nowhere-", emulated.tables._prefix
    try:
        answer = await RegisteredKeyResolver(RegisteredKeys(emulated.tables)).look_up(str(uuid.uuid4()))
    finally:
        emulated.tables._prefix = prefix
    assert answer.answer is Answer.UNDECIDED
