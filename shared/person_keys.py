"""The data keys of persons: made by KMS at enrolment, kept wrapped, and gone with the person.

One item holds one wrapped key. Without it nothing that was sealed with it can be opened, wherever a copy of that lies:
erasing the item erases the copies in backups too. So the table itself has no backup (docs/privacy.md).
"""

import base64
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final

from shared.clock import now_utc
from shared.errors import UnavailableError
from shared.sealing import DataKey
from shared.settings import StoreSettings
from shared.stores import Aws, ConditionFailedError, Item, Put, ServiceError, Tables
from shared.tables import PERSON_KEYS

# KMS writes it into its own log in plain text: a random id, never the person's.
_CONTEXT: Final = "facescan-data-key"
_MOST_REMEMBERED: Final = 1024


class NoDataKeyError(UnavailableError):
    """Raised when a person has no data key: never enrolled, or erased. Nothing of the person can be read any more."""


class PersonKeys:
    """Makes, unwraps and erases data keys.

    Unwrapped keys are remembered for ``settings.data_key_seconds``: that is how long an erased person's key may still
    work in a process that has just used it.
    """

    def __init__(
        self, aws: Aws, tables: Tables, settings: StoreSettings, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._aws = aws
        self._tables = tables
        self._master = settings.kms_key
        self._seconds = settings.data_key_seconds
        self._clock = clock
        self._remembered: OrderedDict[str, tuple[float, DataKey]] = OrderedDict()

    async def create(self, person: str) -> DataKey:
        """Return the person's key as the table has it now, a new one if there is none. Raises UnavailableError."""
        try:
            return await self._stored(person)
        except NoDataKeyError:
            pass
        key_id = uuid.uuid4().hex
        made = await self._kms("GenerateDataKey", KeyId=self._master, KeySpec="AES_256", **_context(key_id))
        item: Item = {
            "person": person,
            "key_id": key_id,
            "wrapped": base64.b64encode(made["CiphertextBlob"]).decode(),
            "created_at": int(now_utc().timestamp()),
        }
        try:
            await self._tables.put(Put(PERSON_KEYS.name, item, unless_exists=PERSON_KEYS.partition_key))
        except ConditionFailedError:
            return await self._stored(person)  # another was first
        return self._remember(DataKey(person, key_id, made["Plaintext"]))

    async def get(self, person: str) -> DataKey:
        """Return the person's key, a remembered one if there is. Raises NoDataKeyError, UnavailableError."""
        known = self._remembered.get(person)
        if known is not None and self._clock() < known[0]:
            return known[1]
        return await self._stored(person)

    async def _stored(self, person: str) -> DataKey:
        item = await self._tables.get(PERSON_KEYS.name, {PERSON_KEYS.partition_key: person})
        known = self._remembered.pop(person, None)
        if item is None:
            raise NoDataKeyError("the person has no data key")
        key_id = str(item["key_id"])
        if known is not None and known[1].key_id == key_id:
            return self._remember(known[1])
        wrapped = base64.b64decode(str(item["wrapped"]))
        opened = await self._kms("Decrypt", CiphertextBlob=wrapped, **_context(key_id))
        return self._remember(DataKey(person, key_id, opened["Plaintext"]))

    async def erase(self, person: str) -> bool:
        """Remove the person's key; say whether there was one. From then on nothing sealed with it opens."""
        self._remembered.pop(person, None)
        key: Item = {PERSON_KEYS.partition_key: person}
        found = await self._tables.get(PERSON_KEYS.name, key) is not None
        await self._tables.delete(PERSON_KEYS.name, key)
        return found

    def _remember(self, key: DataKey) -> DataKey:
        self._remembered[key.person] = (self._clock() + self._seconds, key)
        self._remembered.move_to_end(key.person)
        while len(self._remembered) > _MOST_REMEMBERED:
            self._remembered.popitem(last=False)
        return key

    async def _kms(self, operation: str, **parameters: Any) -> Any:
        client = self._aws.client("kms")
        call = client.generate_data_key if operation == "GenerateDataKey" else client.decrypt
        try:
            return await self._aws.call(f"kms.{operation}", call, **parameters)
        except ServiceError as error:
            if error.code == "NotFoundException":
                raise UnavailableError(
                    f"{error}: KMS has no key {self._master}; make it with: facescan tables create"
                ) from error
            # No right to it, disabled, going to be deleted: the operator's to mend, never the person's fault.
            raise UnavailableError(str(error)) from error


def _context(key_id: str) -> dict[str, dict[str, str]]:
    return {"EncryptionContext": {_CONTEXT: key_id}}
