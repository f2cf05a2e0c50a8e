"""Free ports on this machine for processes that must be told theirs."""

import random
import socket
from contextlib import ExitStack
from typing import Final

from shared.errors import UnavailableError

# Below the range from which systems give ports to outgoing connections, which could take one in between.
_RANGE: Final = range(20_000, 31_000)
_MOST_TRIES: Final = 1000


def free_ports(count: int, host: str = "127.0.0.1") -> list[int]:
    """Return ``count`` different TCP ports that nobody listens at now. Raises UnavailableError when there are none."""
    found: list[int] = []
    with ExitStack() as held:
        for port in random.sample(_RANGE, _MOST_TRIES):
            if len(found) == count:
                return found
            candidate = held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                candidate.bind((host, port))
            except OSError:
                continue
            found.append(port)
    raise UnavailableError(f"no {count} free ports between {_RANGE.start} and {_RANGE.stop} at {host}")
