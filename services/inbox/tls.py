"""The front door's own TLS, where nothing in front of it ends TLS."""

import logging
import ssl
from pathlib import Path
from typing import Final

from shared.errors import ConfigurationError

log = logging.getLogger(__name__)

# A renewed certificate is taken up within this time, without a restart.
_LOOK_AGAIN_SECONDS: Final = 60.0


class Tls:
    """A server's context from the PEM files of a certificate chain and its key. Raises ConfigurationError."""

    def __init__(self, chain: Path, key: Path) -> None:
        self._chain, self._key = chain, key
        self._looked_at = 0.0
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            self.context.load_cert_chain(chain, key)
        except (OSError, ssl.SSLError) as error:
            raise ConfigurationError(
                f"FACESCAN_INBOX_TLS_CERTIFICATE, FACESCAN_INBOX_TLS_KEY: cannot be used: {error}"
            ) from error

    def look_again(self, now: float) -> None:
        """Read the files again when that is due; new connections then get the new certificate."""
        if now < self._looked_at + _LOOK_AGAIN_SECONDS:
            return
        self._looked_at = now
        try:
            self.context.load_cert_chain(self._chain, self._key)
        except (OSError, ssl.SSLError) as error:
            log.warning("the certificate cannot be read again; the old one stays", extra={"error": str(error)})
