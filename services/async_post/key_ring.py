"""The signing key as the signer has it: read again on a schedule, and not trusted when that fails for long."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

from prometheus_client import Gauge

from services.async_post.ring import RingError
from services.async_post.ring_store import RingStore
from shared.errors import ConfigurationError, FacescanError, UnavailableError
from shared.keys import SigningKey
from shared.stores import Aws

log = logging.getLogger(__name__)

ACTIVE_SINCE: Final = Gauge(
    "facescan_key_active_timestamp_seconds", "Since when the signing key is active (epoch seconds); 0: there is none."
)
READ_AT: Final = Gauge("facescan_key_ring_read_timestamp_seconds", "When the ring was read last (epoch seconds).")


class KeyRing:
    """The key that messages are signed with now; never logged, never in an event.

    ``trust_seconds``: a key that could not be confirmed for so long signs no more, because it may have been retired.
    ``may_be_absent``: somebody is going to make the secret, so that its absence does not stop the start.
    """

    def __init__(
        self,
        aws: Aws,
        secret: str,
        *,
        reread_seconds: float = 60.0,
        trust_seconds: float = 3600.0,
        may_be_absent: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._aws = aws
        self._store = RingStore(aws, secret)
        self._reread_seconds = reread_seconds
        self._trust_seconds = trust_seconds
        self._may_be_absent = may_be_absent
        self._clock = clock
        self._key: SigningKey | None = None
        self._version = ""
        self._absent = False
        self._read_at: float | None = None

    async def current(self) -> SigningKey:
        """Return the key. Raises ConfigurationError naming the secret, UnavailableError while none can be trusted."""
        if self._key is None:
            await self.read()
        if self._key is None:
            raise UnavailableError(f"{self._store.where} has no active key; see: facescan keys list")
        if self._read_at is not None and self._clock() - self._read_at > self._trust_seconds:
            raise UnavailableError(f"{self._store.where} was not readable for {self._trust_seconds:.0f} s")
        return self._key

    async def read(self) -> None:
        """Look which key is active. Raises as ``current``."""
        began = self._clock()
        try:
            stored = await self._store.read()
        except RingError as error:
            raise ConfigurationError(str(error)) from None
        self._absent = not stored.version
        if self._absent:
            self._key = None
            ACTIVE_SINCE.set(0)
            raise UnavailableError(f"{self._store.where} is not there; make it with: facescan keys rotate")
        if stored.version != self._version:
            active = stored.ring.active
            old, self._key = self._key, active.signing_key() if active is not None else None
            self._version = stored.version
            ACTIVE_SINCE.set(active.active_at if active is not None else 0)
            if self._key is not None and (old is None or old.selector != self._key.selector):
                log.info("signing key loaded", extra={"selector": self._key.selector})
            elif self._key is None:
                log.error("no key is active: nothing is signed until one is")
        # Before the call: what was true then may have changed since.
        self._read_at = began
        READ_AT.set_to_current_time()

    async def first(self) -> None:
        """Look at the ring before the first record is read. Raises as ``current``.

        A ring without an active key is no reason not to start, nor an absent one that a rotation will make: messages
        wait in Kafka until there is a key.
        """
        try:
            await self.read()
        except UnavailableError:
            if not (self._may_be_absent and self._absent):
                raise
        # The client's memory is not needed until the next look.
        self._aws.let_go()

    async def read_regularly(self) -> None:
        """Read it again for ever; trouble is logged, and the key that is known stays in use while it is trusted."""
        while True:
            await asyncio.sleep(self._reread_seconds)
            try:
                await self.read()
            except FacescanError as error:
                log.warning("the signing key could not be read again", extra={"why": str(error)})
            self._aws.let_go()
