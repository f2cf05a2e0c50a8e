"""A breaker: closed, open, half open, and whose turn it is."""

import asyncio

from services.inbox.endpoint_breaker import Breaker


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def broken(clock: Clock) -> Breaker:
    breaker = Breaker(clock, failures=2)
    breaker.failed()
    assert breaker.closed()
    breaker.failed()
    return breaker


async def test_it_opens_after_failures_in_a_row_and_lets_one_at_a_time_try_after_its_rest() -> None:
    clock = Clock()
    breaker = broken(clock)
    assert not breaker.closed()
    assert not await breaker.admit(0.0)
    clock.now = 0.6
    assert await breaker.admit(0.0)
    assert not await breaker.admit(0.0)
    breaker.succeeded()
    assert breaker.closed()
    assert await breaker.admit(0.0)


async def test_a_failed_try_doubles_the_rest() -> None:
    clock = Clock()
    breaker = broken(clock)
    clock.now = 0.6
    assert await breaker.admit(0.0)
    breaker.failed()
    clock.now = 1.5
    assert not await breaker.admit(0.0)
    clock.now = 1.61
    assert await breaker.admit(0.0)


async def test_an_endpoint_that_asks_for_patience_gets_it() -> None:
    clock = Clock()
    breaker = Breaker(clock, failures=1)
    breaker.failed(20.0)
    clock.now = 19.0
    assert not await breaker.admit(0.0)
    clock.now = 20.1
    assert await breaker.admit(0.0)


async def test_a_success_lets_all_that_wait_pass() -> None:
    loop = asyncio.get_running_loop()
    breaker = Breaker(loop.time, failures=1)
    breaker.failed()
    waiting = [asyncio.create_task(breaker.admit(20.0)) for _ in range(5)]
    done, others = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    assert len(done) == 1
    breaker.succeeded()
    assert all(await asyncio.gather(*others))


async def test_after_a_failed_try_it_is_the_next_one_s_turn() -> None:
    loop = asyncio.get_running_loop()
    breaker = Breaker(loop.time, failures=1)
    breaker.failed()
    tried: list[str] = []

    async def lane(name: str) -> None:
        while True:
            if await breaker.admit(20.0):
                tried.append(name)
                if name == "good":
                    breaker.succeeded()
                    return
                breaker.failed()

    poison = asyncio.create_task(lane("poison"))
    await asyncio.sleep(0)
    await asyncio.wait_for(lane("good"), 10)
    poison.cancel()
    assert tried[:2] == ["poison", "good"]
