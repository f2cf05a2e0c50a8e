"""Answers that have come, by what they answer, and waiting for one."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emulators.json_fields import JsonObject

MOST_ANSWERS = 20_000


class Answers:
    """The first answer to each question; a later one would be the Identity's error, and stays visible elsewhere."""

    def __init__(self) -> None:
        self._answers: dict[str, JsonObject] = {}
        self._waiting: dict[str, asyncio.Event] = {}

    def take(self, question: str, answer: JsonObject) -> None:
        """Note an answer."""
        question = question.lower()
        self._answers.setdefault(question, answer)
        while len(self._answers) > MOST_ANSWERS:
            del self._answers[next(iter(self._answers))]
        if (arrived := self._waiting.pop(question, None)) is not None:
            arrived.set()

    async def wait(self, question: str, wait_seconds: float) -> JsonObject | None:
        """The answer, waiting for it at most so long; None when none came."""
        question = question.lower()
        if (known := self._answers.get(question)) is not None:
            return known
        arrived = self._waiting.setdefault(question, asyncio.Event())
        try:
            async with asyncio.timeout(wait_seconds):
                await arrived.wait()
        except TimeoutError:
            return None
        return self._answers.get(question)
