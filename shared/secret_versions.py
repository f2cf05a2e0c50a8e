"""A secret of Secrets Manager that is changed only from the version that was read.

A change is a new version, first without the label that readers look for (AWSPENDING), then AWSCURRENT is moved to it
*from the version that was read*: Secrets Manager refuses that when the label has gone elsewhere meanwhile
(UpdateSecretVersionStage, RemoveFromVersionId). So of two that change at once one is refused and looks again, and a
crash in between leaves a version that nobody reads.
"""

import uuid
from dataclasses import dataclass
from typing import Any, Final

from shared.errors import ConfigurationError, FacescanError, UnavailableError
from shared.stores import Aws, ServiceError

_CURRENT: Final = "AWSCURRENT"
_PENDING: Final = "AWSPENDING"


class SecretChangedError(FacescanError):
    """Raised when a secret was changed by another since it was read: read it again."""

    def __init__(self) -> None:
        super().__init__("the secret was changed by another meanwhile")


@dataclass(frozen=True, slots=True)
class StoredSecret:
    """A secret's text, the version that holds it and when that was made (epoch seconds); "" when there is none yet."""

    text: str = ""
    version: str = ""
    made_at: float = 0.0


class SecretVersions:
    """Reads and changes one secret. ``setting`` is the variable that names it, for errors."""

    def __init__(self, aws: Aws, secret: str, setting: str) -> None:
        self._aws = aws
        self._secret = secret
        self.where = f"{setting}: secret {secret!r}"

    async def read(self) -> StoredSecret:
        """Return the secret as it is now. Raises ConfigurationError, UnavailableError."""
        try:
            answer = await self._call("get_secret_value", SecretId=self._secret, VersionStage=_CURRENT)
        except UnavailableError as error:
            if "missing" not in str(error):
                raise
            return StoredSecret()
        text = answer.get("SecretString")
        if text is None:
            raise ConfigurationError(f"{self.where} holds bytes, no text")
        return StoredSecret(str(text), answer["VersionId"], answer["CreatedDate"].timestamp())

    async def write(self, version: str, text: str) -> str:
        """Put ``text`` in the place of ``version`` ("": there is no secret yet); return the new version.

        Raises SecretChangedError when that is not the current one any more.
        """
        token = str(uuid.uuid4())
        if not version:
            try:
                await self._call("create_secret", Name=self._secret, SecretString=text, ClientRequestToken=token)
            except ServiceError as error:
                if error.code == "ResourceExistsException":
                    raise SecretChangedError from None
                raise
            return token
        await self._call(
            "put_secret_value",
            SecretId=self._secret, SecretString=text, ClientRequestToken=token, VersionStages=[_PENDING],
        )  # fmt: skip
        try:
            await self._call(
                "update_secret_version_stage",
                SecretId=self._secret, VersionStage=_CURRENT, MoveToVersionId=token, RemoveFromVersionId=version,
            )  # fmt: skip
        except ServiceError as error:
            if error.code == "InvalidParameterException":
                raise SecretChangedError from None
            raise
        return token

    async def _call(self, method: str, **parameters: Any) -> Any:
        operation = "secretsmanager." + "".join(part.capitalize() for part in method.split("_"))
        try:
            return await self._aws.call(operation, getattr(self._aws.client("secretsmanager"), method), **parameters)
        except ServiceError as error:
            if error.code in ("InvalidParameterException", "ResourceExistsException"):
                raise
            raise ConfigurationError(f"{self.where}: {error.code}") from error
