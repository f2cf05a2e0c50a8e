"""Of several holders one has the lease, until its time is over."""

import asyncio
import uuid

from shared.leases import Leases
from shared.stores import Tables


async def test_one_of_many_gets_the_lease_and_may_take_it_again(tables: Tables) -> None:
    name = uuid.uuid4().hex
    holders = [Leases(tables) for _ in range(6)]
    got = await asyncio.gather(*(holder.take(name, 60) for holder in holders))
    assert sum(got) == 1
    again = [await holder.take(name, 60) for holder in holders]
    assert again == got


async def test_when_its_time_is_over_one_of_the_others_gets_it(tables: Tables) -> None:
    name, now = uuid.uuid4().hex, [1000.0]
    first, *others = (Leases(tables, lambda: now[0]) for _ in range(4))
    assert await first.take(name, 60)
    now[0] += 61
    got = await asyncio.gather(*(holder.take(name, 60) for holder in others))
    assert sum(got) == 1
    assert not await first.take(name, 60)
