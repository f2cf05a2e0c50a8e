"""A sender's keys change under load, in a real zone that knot signs and unbound validates: nobody is refused for it.

``ROTATION_MESSAGES`` makes it longer.
"""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from emulators.envelopes import Generation, PrivateKey, public_key_txt
from emulators.world import make_key
from services.inbox.domain import RefusedError
from services.inbox.key_cache import KeyCache
from services.inbox.opener import Opener
from shared.resolver import Answer, KeyAnswer, ValidatingResolver
from tests.support.signing_primary import Site, signing_primary
from tests.unit.services.inbox.messages import DOMAIN, MAP, as_bytes, message

MESSAGES = int(os.environ.get("ROTATION_MESSAGES", "1000"))
SENDER = "shop.example"
AT_ONCE = 50


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with signing_primary(tmp_path_factory.mktemp("zone"), SENDER) as started:
        yield started


@dataclass
class Counted:
    """Counts what is asked of the real resolver."""

    inner: ValidatingResolver
    asked: Counter[str] = field(default_factory=Counter)

    async def look_up(self, name: str) -> KeyAnswer:
        """See Resolver."""
        self.asked[name] += 1
        return await self.inner.look_up(name)


@dataclass
class Inbox:
    """Opens messages, and counts what came of them."""

    resolver: Counted
    outcomes: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._opener = Opener(
            domain=DOMAIN, window_seconds=300, subjects=MAP, keys=KeyCache(self.resolver), registered=None,
            clock=lambda: datetime.now(UTC),
        )  # fmt: skip

    async def take(self, count: int, *signers: tuple[str, PrivateKey]) -> None:
        """Open ``count`` messages, by the signers in turn."""

        async def one(number: int) -> None:
            selector, key = signers[number % len(signers)]
            sent = message(selector=selector, key=key, at=datetime.now(UTC), generation=Generation.NLWEB, From=SENDER)
            try:
                await self._opener.open(as_bytes(sent))
            except RefusedError as error:
                self.outcomes[error.reason.value] += 1
            else:
                self.outcomes["opened"] += 1

        for start in range(0, count, AT_ONCE):
            await asyncio.gather(*(one(number) for number in range(start, min(count, start + AT_ONCE))))


async def test_old_and_new_selectors_and_another_key_under_the_same_one_are_opened_by_a_handful_of_look_ups(
    site: Site,
) -> None:
    writer, quarter = site.writer(ttl_seconds=1), MESSAGES // 4
    old, new, last = make_key(), make_key(), make_key()
    inbox, began = Inbox(Counted(site.resolver)), time.monotonic()
    names = [f"pw{number}._domainkey.{SENDER}" for number in (1, 2)]

    async def publish(name: str, key: PrivateKey, instead: PrivateKey | None = None) -> None:
        """As a sender has to: written, and what resolvers remember has run out, before it signs with it."""
        await writer.write(name, public_key_txt(key), instead_of=public_key_txt(instead) if instead else None)
        await asyncio.sleep(2.1)  # unbound counts in whole seconds: what lives for one is there for up to two
        found = await site.resolver.look_up(name)
        assert (found.answer, found.records) == (Answer.SECURE, (public_key_txt(key),))

    await publish(names[0], old)
    await inbox.take(quarter, ("pw1", old))
    assert (await site.resolver.look_up(names[1])).answer is Answer.ABSENT  # which unbound remembers for a second
    await publish(names[1], new)
    await inbox.take(quarter, ("pw1", old), ("pw2", new))
    await inbox.take(quarter, ("pw2", new))
    await publish(names[1], last, instead=new)
    await inbox.take(MESSAGES - 3 * quarter, ("pw2", last))
    print(f"\n{dict(inbox.outcomes)}, look-ups {dict(inbox.resolver.asked)}")
    assert inbox.outcomes == {"opened": MESSAGES}
    assert set(inbox.resolver.asked) == set(names)
    # One of each name, one past the cache for the key that changed; a time to live of 1 s counts as 5.
    assert inbox.resolver.asked.total() <= 3 + 2 * ((time.monotonic() - began) // 5)
