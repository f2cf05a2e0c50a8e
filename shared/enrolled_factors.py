"""Persons' factors in their table, sealed with the person's data key: who holds them opens nothing without it."""

import asyncio
import base64
from dataclasses import dataclass

from shared.errors import UnavailableError
from shared.factors import QUESTIONS, Factor, hash_answer, is_answer, new_secret, step_of
from shared.person_keys import NoDataKeyError, PersonKeys
from shared.queries import Queries
from shared.sealing import Kind, SealBrokenError
from shared.stores import Item, Put, Tables, Update
from shared.tables import FACTORS


@dataclass(frozen=True, slots=True)
class Asking:
    """What a person is asked: a factor, and of a question which. ``str`` is how a verification's record has it."""

    factor: Factor
    question: str = ""

    def __str__(self) -> str:
        return f"{self.factor} {self.question}".rstrip()

    @classmethod
    def read(cls, text: str) -> "Asking":
        """Return what a record says. Raises ValueError."""
        factor, _, question = text.partition(" ")
        return cls(Factor(factor), question)


@dataclass(frozen=True, slots=True)
class Checked:
    """Whether an answer is right, and what is to be written with whatever follows, so that it counts once."""

    right: bool
    also: tuple[Update, ...] = ()


class EnrolledFactors:
    """Enrols factors and looks at answers."""

    def __init__(self, tables: Tables, queries: Queries, keys: PersonKeys) -> None:
        self._tables = tables
        self._queries = queries
        self._keys = keys

    async def enrol_code(self, person: str) -> bytes:
        """Make a secret for one-time passwords in the place of an earlier one, and return it. Raises UnavailableError.

        Raises NoDataKeyError for who is not enrolled.
        """
        secret = new_secret()
        await self._save(person, Asking(Factor.CODE), secret)
        return secret

    async def enrol_question(self, person: str, question: str, answer: str) -> None:
        """Keep the answer to one of QUESTIONS in the place of another. Raises ValueError, and as ``enrol_code``."""
        if question not in QUESTIONS:
            raise ValueError(f"no such question: {question}")
        hashed = await asyncio.to_thread(hash_answer, answer)
        await self._save(person, Asking(Factor.QUESTION, question), hashed)

    async def _save(self, person: str, asking: Asking, data: bytes) -> None:
        key = await self._keys.get(person)
        item: Item = {
            "person": person, "factor": asking.factor, "question": asking.question, "used_step": 0,
            "sealed": base64.b64encode(key.seal(Kind.FACTOR, str(asking), data)).decode(),
        }  # fmt: skip
        await self._tables.put(Put(FACTORS.name, item))

    async def remove(self, person: str, factor: Factor) -> bool:
        """Forget a factor; say whether there was one."""
        key: Item = {"person": person, "factor": factor}
        found = await self._tables.get(FACTORS.name, key) is not None
        await self._tables.delete(FACTORS.name, key)
        return found

    async def of(self, person: str) -> dict[Factor, Asking]:
        """Return what can be asked of a person. Raises UnavailableError."""
        items = [item async for item in self._queries.of_partition(FACTORS, person)]
        found = [Asking(Factor(str(item["factor"])), str(item["question"])) for item in items]
        return {asking.factor: asking for asking in found}

    async def check(self, person: str, asking: Asking, answer: str, at: int) -> Checked:
        """Look at what was answered at ``at`` (epoch seconds). Raises UnavailableError.

        A factor that is gone or another one by now is answered wrongly.
        """
        key: Item = {"person": person, "factor": asking.factor}
        item = await self._tables.get(FACTORS.name, key)
        if item is None or str(item["question"]) != asking.question:
            return Checked(right=False)
        try:
            opener = await self._keys.get(person)
            data = opener.open(Kind.FACTOR, str(asking), base64.b64decode(str(item["sealed"])))
        except NoDataKeyError:
            return Checked(right=False)
        except SealBrokenError as error:
            raise UnavailableError(str(error)) from error
        if asking.factor is Factor.QUESTION:
            return Checked(await asyncio.to_thread(is_answer, answer, data))
        used = int(item["used_step"])
        step = step_of(data, answer, at, used)
        if step is None:
            return Checked(right=False)
        return Checked(right=True, also=(Update(FACTORS.name, key, {"used_step": step}, {"used_step": [used]}),))
