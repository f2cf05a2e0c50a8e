"""The ring in Secrets Manager: one secret, changed only from the version that was read."""

from dataclasses import dataclass

from services.async_post.ring import Ring, from_text, to_text
from shared.errors import FacescanError
from shared.secret_versions import SecretChangedError, SecretVersions
from shared.stores import Aws


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
        self._secret = SecretVersions(aws, secret, "FACESCAN_SIGNING_SECRET")
        self.where = self._secret.where

    async def read(self) -> StoredRing:
        """Return the ring as it is now; an absent secret is an empty ring. Raises ConfigurationError, RingError."""
        found = await self._secret.read()
        if not found.version:
            return StoredRing(Ring(), "")
        return StoredRing(from_text(found.text, self.where, found.made_at), found.version)

    async def write(self, old: StoredRing, ring: Ring) -> StoredRing:
        """Put ``ring`` in the place of ``old``. Raises RingChangedError when that is not the current one any more."""
        try:
            return StoredRing(ring, await self._secret.write(old.version, to_text(ring)))
        except SecretChangedError:
            raise RingChangedError from None
