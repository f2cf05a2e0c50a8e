"""The ring in Secrets Manager: one secret, changed only from the version that was read.

A change is a new version, first without the label that readers look for (AWSPENDING), then AWSCURRENT is moved to it
*from the version that was read*: Secrets Manager refuses that when the label has gone elsewhere meanwhile
(UpdateSecretVersionStage, RemoveFromVersionId). So of two that change at once one is refused and looks again, and a
crash in between leaves a version that nobody reads.
"""

import uuid
from dataclasses import dataclass
from typing import Any, Final

from services.async_post.ring import Ring, from_text, to_text
from shared.errors import ConfigurationError, FacescanError, UnavailableError
from shared.stores import Aws, ServiceError

_CURRENT: Final = "AWSCURRENT"
_PENDING: Final = "AWSPENDING"


class RingChangedError(FacescanError):
    """Raised when the ring was changed by another since it was read: read it again."""

    def __init__(self) -> None:
        super().__init__("the ring was changed by another meanwhile")


@dataclass(frozen=True, slots=True)
class StoredRing:
    """A ring and the version of the secret that holds it; "" when there is no secret yet."""

    ring: Ring
    version: str


class RingStore:
    """Reads and changes the secret."""

    def __init__(self, aws: Aws, secret: str) -> None:
        self._aws = aws
        self._secret = secret
        self.where = f"FACESCAN_SIGNING_SECRET: secret {secret!r}"

    async def read(self) -> StoredRing:
        """Return the ring as it is now; an absent secret is an empty ring. Raises ConfigurationError, RingError."""
        try:
            answer = await self._call("get_secret_value", SecretId=self._secret, VersionStage=_CURRENT)
        except UnavailableError as error:
            if "missing" not in str(error):
                raise
            return StoredRing(Ring(), "")
        text = answer.get("SecretString")
        if text is None:
            raise ConfigurationError(f"{self.where} holds bytes, no text")
        return StoredRing(from_text(str(text), self.where, answer["CreatedDate"].timestamp()), answer["VersionId"])

    async def write(self, old: StoredRing, ring: Ring) -> StoredRing:
        """Put ``ring`` in the place of ``old``. Raises RingChangedError when that is not the current one any more."""
        token, text = str(uuid.uuid4()), to_text(ring)
        if not old.version:
            try:
                await self._call("create_secret", Name=self._secret, SecretString=text, ClientRequestToken=token)
            except ServiceError as error:
                if error.code == "ResourceExistsException":
                    raise RingChangedError from None
                raise
            return StoredRing(ring, token)
        await self._call(
            "put_secret_value",
            SecretId=self._secret, SecretString=text, ClientRequestToken=token, VersionStages=[_PENDING],
        )  # fmt: skip
        try:
            await self._call(
                "update_secret_version_stage",
                SecretId=self._secret, VersionStage=_CURRENT, MoveToVersionId=token, RemoveFromVersionId=old.version,
            )  # fmt: skip
        except ServiceError as error:
            if error.code == "InvalidParameterException":
                raise RingChangedError from None
            raise
        return StoredRing(ring, token)

    async def _call(self, method: str, **parameters: Any) -> Any:
        operation = "secretsmanager." + "".join(part.capitalize() for part in method.split("_"))
        try:
            return await self._aws.call(operation, getattr(self._aws.client("secretsmanager"), method), **parameters)
        except ServiceError as error:
            if error.code in ("InvalidParameterException", "ResourceExistsException"):
                raise
            raise ConfigurationError(f"{self.where}: {error.code}") from error
