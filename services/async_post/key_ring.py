"""The signing key, from Secrets Manager; never logged, never in an event."""

import logging
from typing import Final

import orjson

from shared.errors import ConfigurationError, UnavailableError
from shared.keys import KeyRecordError, SigningKey
from shared.stores import Aws, ServiceError

log = logging.getLogger(__name__)

_MEMBERS: Final = ("selector", "private_key")


class KeyRing:
    """The key that messages are signed with now."""

    def __init__(self, aws: Aws, secret: str) -> None:
        self._aws = aws
        self._secret = secret
        self._key: SigningKey | None = None

    async def current(self) -> SigningKey:
        """Return the key, read once. Raises ConfigurationError naming the secret, UnavailableError for an outage."""
        if self._key is None:
            self._key = self._parse(await self._read())
            self._aws.let_go()
            log.info("signing key loaded", extra={"selector": self._key.selector})
        return self._key

    async def _read(self) -> str:
        try:
            answer = await self._aws.call(
                "secretsmanager.GetSecretValue",
                self._aws.client("secretsmanager").get_secret_value,
                SecretId=self._secret,
            )
        except ServiceError as error:
            raise ConfigurationError(f"FACESCAN_SIGNING_SECRET: secret {self._secret!r}: {error.code}") from error
        except UnavailableError as error:
            if "missing" not in str(error):
                raise
            raise UnavailableError(f"FACESCAN_SIGNING_SECRET: secret {self._secret!r} is not there") from error
        text = answer.get("SecretString")
        if text is None:
            raise ConfigurationError(f"FACESCAN_SIGNING_SECRET: secret {self._secret!r} holds bytes, no text")
        return str(text)

    def _parse(self, text: str) -> SigningKey:
        where = f"FACESCAN_SIGNING_SECRET: secret {self._secret!r}"
        try:
            secret = orjson.loads(text)
        except orjson.JSONDecodeError:
            # Without the parser's error as context: it holds the text.
            raise ConfigurationError(f"{where} is no JSON") from None
        if not isinstance(secret, dict) or not all(isinstance(secret.get(name), str) for name in _MEMBERS):
            raise ConfigurationError(f"{where} must have the strings selector and private_key")
        try:
            return SigningKey.from_pem(secret["selector"], secret["private_key"])
        except KeyRecordError as error:
            raise ConfigurationError(f"{where}: private_key: {error}") from None
