"""Answers on their way from the page to the verdict: whoever may put one in cannot take one out (ADR 25).

KMS encrypts what the person has typed. The session service may encrypt and not decrypt, so that what lies in the
record of a verification is of no use to it, nor to who reads the table.
"""

import base64
import binascii
from typing import Any, Final

from shared.errors import UnavailableError
from shared.settings import StoreSettings
from shared.stores import Aws, ServiceError

# What an answer is bound to; KMS writes it into its log in plain text. Rights name it, too (deploy/rights.py).
CONTEXT: Final = "facescan-answer"
_NOT_OURS: Final = ("InvalidCiphertextException", "IncorrectKeyException")


class AnswerBox:
    """Seals and opens answers."""

    def __init__(self, aws: Aws, settings: StoreSettings) -> None:
        self._aws = aws
        self._key = settings.kms_key

    async def close(self, verification_id: str, answer: str) -> str:
        """Return an answer sealed for this verification. Raises UnavailableError."""
        sealed = await self._call(
            "Encrypt", self._aws.client("kms").encrypt, KeyId=self._key, Plaintext=answer.encode(),
            EncryptionContext={CONTEXT: verification_id},
        )  # fmt: skip
        return base64.b64encode(sealed["CiphertextBlob"]).decode()

    async def open(self, verification_id: str, sealed: str) -> str | None:
        """Return what was sealed for this verification; None: this was not. Raises UnavailableError."""
        try:
            opened = await self._call(
                "Decrypt", self._aws.client("kms").decrypt, CiphertextBlob=base64.b64decode(sealed),
                EncryptionContext={CONTEXT: verification_id},
            )  # fmt: skip
        except (ServiceError, binascii.Error) as error:
            if isinstance(error, ServiceError) and error.code not in _NOT_OURS:
                raise UnavailableError(str(error)) from error
            return None
        text: bytes = opened["Plaintext"]
        return text.decode("utf-8", "replace")

    async def _call(self, operation: str, call: Any, **parameters: Any) -> Any:
        try:
            return await self._aws.call(f"kms.{operation}", call, **parameters)
        except ServiceError as error:
            if error.code in _NOT_OURS:
                raise
            # No right to it, disabled, no such key: the operator's to mend, never the person's fault.
            raise UnavailableError(str(error)) from error
