"""The clients as the gateway has them: read again on a schedule; a document that cannot be used changes nothing."""

import asyncio
import logging
from pathlib import Path

from prometheus_client import Gauge

from services.gateway.clients import Clients, parse_clients
from shared.errors import ConfigurationError, FacescanError
from shared.secret_versions import SecretVersions
from shared.stores import Aws

log = logging.getLogger(__name__)

KNOWN = Gauge("facescan_gateway_clients", "Clients that may ask over HTTP.")
READ_AT = Gauge("facescan_gateway_clients_read_timestamp_seconds", "When the clients were read last (epoch seconds).")


class SecretClients:
    """The clients in a secret; without the secret there are none yet."""

    def __init__(self, aws: Aws, secret: str) -> None:
        self._aws = aws
        self._secret = SecretVersions(aws, secret, "FACESCAN_CLIENTS_SECRET")

    async def read(self) -> Clients:
        """Return them. Raises ConfigurationError, UnavailableError."""
        found = await self._secret.read()
        if not found.version:
            log.warning("there are no clients yet; make one with: facescan clients add")
            return Clients()
        return parse_clients(found.text, self._secret.where)


class FileClients:
    """The clients in a file, for development."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def read(self) -> Clients:
        """Return them. Raises ConfigurationError."""
        try:
            text = await asyncio.to_thread(self._path.read_text)
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "not UTF-8"
            raise ConfigurationError(f"FACESCAN_DEVELOPMENT_CLIENTS_FILE: {self._path}: {why}") from None
        return parse_clients(text, f"FACESCAN_DEVELOPMENT_CLIENTS_FILE: {self._path}")


class CurrentClients:
    """The clients as they were read last."""

    def __init__(self, source: SecretClients | FileClients, *, reread_seconds: float) -> None:
        self._source = source
        self._reread_seconds = reread_seconds
        self.now = Clients()

    async def read(self) -> None:
        """Read them. Raises ConfigurationError, UnavailableError."""
        clients = await self._source.read()
        if clients != self.now:
            log.info("clients", extra={"names": sorted(clients.clients)})
        self.now = clients
        KNOWN.set(len(clients.clients))
        READ_AT.set_to_current_time()

    async def read_regularly(self) -> None:
        """Read them again for ever; trouble is logged, and those that are known stay."""
        while True:
            await asyncio.sleep(self._reread_seconds)
            try:
                await self.read()
            except FacescanError as error:
                log.error("the clients could not be read again", extra={"why": str(error)})  # noqa: TRY400 - one line
