"""A key ring with one key that needs no secret."""

from services.async_post.key_ring import KeyRing
from shared.keys import SigningKey
from shared.settings import StoreSettings
from shared.stores import Aws
from tests.support.emulated_aws import Emulated


class FixedRing(KeyRing):
    """Its key is the one that it is made with, for ever."""

    def __init__(self, emulated: Emulated | None, key: SigningKey) -> None:
        super().__init__(emulated.aws if emulated is not None else Aws(StoreSettings()), "unused")
        self._key = key
