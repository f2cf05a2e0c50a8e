"""Where a domain's inbox is: ``https://nlweb.<to>/inbox`` or ``https://pw.<to>/inbox``, or what development says."""

import logging
import ssl
from pathlib import Path
from typing import Protocol

import orjson

from shared.domain_names import domain_name
from shared.envelope import inbox_host
from shared.generation import Generation
from shared.outbound import OutboundError, Target, Trouble, any_target, https_target

log = logging.getLogger(__name__)


class Destinations(Protocol):
    """Finds a domain's inbox."""

    def target(self, receiver: str, generation: Generation) -> Target:
        """Return where to post to. Raises OutboundError for what cannot be posted to."""


class PublicDestinations:
    """The protocol's rule (§1, §2)."""

    def target(self, receiver: str, generation: Generation) -> Target:
        """See Destinations."""
        try:
            # Judged by itself: with a label before it, anything would have two.
            name = domain_name(receiver)
        except ValueError as error:
            raise OutboundError(Trouble.URL, str(error)) from error
        return https_target(inbox_host(generation, name), "/inbox")


class ConnectTo:
    """Development's rule: ``<folder>/<domain>.json`` names the inbox; a domain without one has the protocol's."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._public = PublicDestinations()
        self._known: dict[str, tuple[int, str]] = {}

    def target(self, receiver: str, generation: Generation) -> Target:
        """See Destinations. The file is read again when it has changed."""
        path = self._folder / f"{receiver}.json"
        try:
            changed = path.stat().st_mtime_ns
            known = self._known.get(receiver)
            if known is None or known[0] != changed:
                known = self._known[receiver] = (changed, _inbox(path))
        except FileNotFoundError:
            return self._public.target(receiver, generation)
        except (OSError, KeyError, TypeError, orjson.JSONDecodeError) as error:
            log.warning("connect-to file cannot be used", extra={"file": path.name, "why": type(error).__name__})
            return self._public.target(receiver, generation)
        return any_target(known[1])

    def trust(self, context: ssl.SSLContext) -> None:
        """Trust the folder's certificate authority as well, if it has one."""
        authority = self._folder / "ca.pem"
        if authority.exists():
            context.load_verify_locations(cafile=authority)


def _inbox(path: Path) -> str:
    inbox = orjson.loads(path.read_bytes())["inbox"]
    if not isinstance(inbox, str) or not inbox:
        raise TypeError("inbox is no text")
    return inbox
