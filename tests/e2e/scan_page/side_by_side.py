"""Tests of the scan page that run at once before the cameras of one browser: a person waits more than they work.

A test is a coroutine function that takes a person who was asked for, and what it is parametrized with. The first
one runs all those of its module that were chosen; each then reports its own end.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import async_playwright

from tests.e2e.conftest import Running
from tests.e2e.scanning import Browsers, asked, launched

Scene = Callable[..., Awaitable[None]]

AT_ONCE = 4
# A person who is stuck is reported, and does not end the others' time.
SCENE_SECONDS = 300


def side_by_side(scene: Scene) -> Callable[..., None]:
    """Make a test of ``scene``."""

    def test(request: pytest.FixtureRequest, scenes: "Scenes", **_: Any) -> None:
        scenes.report(request.node.nodeid)

    test.__name__, test.__doc__, test.__module__ = scene.__name__, scene.__doc__, scene.__module__
    of_test = [one for one in inspect.signature(test).parameters.values() if one.kind is not one.VAR_KEYWORD]
    of_scene = list(inspect.signature(scene).parameters.values())[1:]
    test.__signature__ = inspect.Signature(of_test + of_scene)  # type: ignore[attr-defined] # what pytest looks at
    test.scene = scene  # type: ignore[attr-defined]
    return test


class Scenes:
    """The scenes of one module."""

    def __init__(self, items: list[pytest.Function], running: Running, folder: Path) -> None:
        self._items = items
        self._running = running
        self._folder = folder
        self._ends: dict[str, BaseException | None] = {}

    def report(self, nodeid: str) -> None:
        """Raise what a scene raised; run all if none has run yet."""
        if not self._ends:
            # In a thread of its own: a browser's driver may have the main thread's loop.
            with ThreadPoolExecutor(1) as thread:
                self._ends = thread.submit(asyncio.run, self._run()).result()
        if (end := self._ends[nodeid]) is not None:
            raise end

    async def _run(self) -> dict[str, BaseException | None]:
        places = asyncio.Semaphore(AT_ONCE)

        async def play(item: pytest.Function, browsers: Browsers) -> None:
            parameters = item.callspec.params if hasattr(item, "callspec") else {}
            async with places, asyncio.timeout(SCENE_SECONDS):
                person = await asked(self._running, browsers)
                await item.function.scene(person, **parameters)
            assert not person.problems, person.problems

        async with async_playwright() as playwright, launched(playwright, self._folder) as browsers:
            ends = await asyncio.gather(*(play(item, browsers) for item in self._items), return_exceptions=True)
        return {item.nodeid: end for item, end in zip(self._items, ends, strict=True)}
