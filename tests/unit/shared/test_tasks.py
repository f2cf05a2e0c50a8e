"""Tasks are ended, also those that forget that they were cancelled."""

import asyncio

from shared.tasks import end_tasks


async def test_a_task_that_forgets_its_first_cancellation_is_cancelled_again() -> None:
    forgotten = 0

    async def forgetful() -> None:
        nonlocal forgotten
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                if forgotten == 1:
                    raise
                forgotten += 1

    task = asyncio.create_task(forgetful())
    await asyncio.sleep(0)
    await end_tasks([task], again_seconds=0.01)
    assert task.cancelled()
    assert forgotten == 1


async def test_tasks_that_have_ended_or_end_by_an_error_are_no_trouble() -> None:
    async def failing() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            raise ValueError("while it was cleaning up")

    async def done() -> None:
        return

    tasks = [asyncio.create_task(failing()), asyncio.create_task(done())]
    await asyncio.sleep(0)
    await end_tasks(tasks)
    assert all(task.done() for task in tasks)
    await end_tasks([])
