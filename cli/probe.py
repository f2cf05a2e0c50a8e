"""Whether a local process answers over HTTP."""

import http.client
from typing import Final
from urllib.parse import urlsplit

_SECONDS: Final = 2.0


def answers_ok(url: str) -> bool:
    """Whether a GET of ``url`` (plain HTTP, no proxy) is answered 200 now."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=_SECONDS)
    try:
        connection.request("GET", parts.path)
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
