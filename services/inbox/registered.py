"""Registered keys as a resolver, so that they are cached and bounded as the keys in DNS are."""

from typing import Final

from shared.errors import FacescanError
from shared.registered_keys import RegisteredKeys
from shared.resolver import Answer, KeyAnswer

# After a change of a key by hand, its old one verifies for so long at most.
_KEEP_SECONDS: Final = 30.0


class RegisteredKeyResolver:
    """Looks up wallets' keys in their table."""

    def __init__(self, keys: RegisteredKeys) -> None:
        self._keys = keys

    async def look_up(self, name: str) -> KeyAnswer:
        """See Resolver; ``name`` is the wallet's UUID. What the store vouches for counts as secure."""
        try:
            record = await self._keys.find(name)
        except FacescanError:
            return KeyAnswer(Answer.UNDECIDED)
        if record is None:
            return KeyAnswer(Answer.ABSENT, keep_seconds=_KEEP_SECONDS)
        return KeyAnswer(Answer.SECURE, (record,), _KEEP_SECONDS)
