"""Where a domain's inbox is: ``https://nlweb.<to>/inbox`` or ``https://pw.<to>/inbox``, or what development says."""

import logging
import os
import ssl
from functools import lru_cache
from pathlib import Path
from typing import Final, Protocol

import orjson

from shared.domain_names import domain_name
from shared.envelope import inbox_host
from shared.generation import Generation
from shared.outbound import OutboundError, Target, Trouble, any_target, https_target

log = logging.getLogger(__name__)

_MOST_KNOWN: Final = 4096


class Destinations(Protocol):
    """Finds a domain's inbox."""

    def target(self, receiver: str, generation: Generation) -> Target:
        """Return where to post to. Raises OutboundError for what cannot be posted to."""


class PublicDestinations:
    """The protocol's rule (§1, §2)."""

    def target(self, receiver: str, generation: Generation) -> Target:
        """See Destinations."""
        return _public(receiver, generation)


@lru_cache(maxsize=_MOST_KNOWN)
def _public(receiver: str, generation: Generation) -> Target:
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
        self._known: dict[str, tuple[int, Target]] = {}

    def target(self, receiver: str, generation: Generation) -> Target:
        """See Destinations. The file is read again when it has changed."""
        name = f"{receiver}.json"
        try:
            changed = os.stat(f"{self._folder}/{name}").st_mtime_ns  # noqa: PTH116 - in half of the time
            known = self._known.get(receiver)
            if known is None or known[0] != changed:
                known = self._known[receiver] = (changed, any_target(_inbox(self._folder / name)))
        except FileNotFoundError:
            return _public(receiver, generation)
        except (OSError, KeyError, TypeError, orjson.JSONDecodeError) as error:
            log.warning("connect-to file cannot be used", extra={"file": name, "why": type(error).__name__})
            return _public(receiver, generation)
        return known[1]

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
