"""Descriptors for the connections that the door is told to hold: without them it would fail at its busiest moment."""

import resource
from typing import Final

from shared.errors import ConfigurationError

# Beside connections: the log's, the stores' and the endpoints' own, files, the event loop.
_OTHERS: Final = 256


def allow_connections(count: int) -> None:
    """Raise this process's limit of open files as far as ``count`` connections need, and it may.

    Raises ConfigurationError when it may not (RLIMIT_NOFILE, the hard limit).
    """
    wanted = count + _OTHERS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise ConfigurationError(
            f"FACESCAN_MOST_CONNECTIONS: {count} connections need {wanted} open files, this process may have {hard}; "
            "allow it more (ulimit -Hn, LimitNOFILE), or set fewer connections"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
