"""DynamoDB's calls on items, answered by moto's tables without what surrounds them in moto.

Flask's dispatch, the parsing of every body as a form and as the service's model and the walk over an answer by that
model were two thirds of such a call, and the whole embedded system waits for them.
"""

from __future__ import annotations

import contextlib
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import orjson
from moto.dynamodb.responses import DynamoHandler
from werkzeug.datastructures import EnvironHeaders

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from moto.core.responses import ActionResult

_TARGET: Final = "DynamoDB_20120810"
_ACTIONS: Final = frozenset({"BatchGetItem", "DeleteItem", "GetItem", "PutItem", "TransactWriteItems", "UpdateItem"})
# Binary values, alone or in sets: their base64 is moto's affair.
_BINARY: Final = re.compile(rb'"BS?"\s*:')

# Signature Version 4: key, day, region, service.
_CREDENTIAL: Final = re.compile(r"Credential=([^/, ]+)/\d+/([^/, ]+)/")


class ItemActions:
    """Answers requests on items itself and gives all others to an application."""

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one HTTP request."""
        target, _, action = environ.get("HTTP_X_AMZ_TARGET", "").partition(".")
        signed = _CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", ""))
        plain = environ.get("HTTP_CONTENT_ENCODING") is None
        if target == _TARGET and action in _ACTIONS and signed is not None and plain:
            stream = environ["wsgi.input"]
            body = stream.read()
            with contextlib.suppress(orjson.JSONDecodeError):
                if not _BINARY.search(body) and isinstance(parameters := orjson.loads(body), dict):
                    return _answer(_Handler(environ, parameters, *signed.groups()), start_response)
            stream.seek(0)
        return self._application(environ, start_response)


def _answer(handler: _Handler, start_response: StartResponse) -> list[bytes]:
    status, headers, body = handler.call_action()
    fields = [(name, str(value)) for name, value in headers.items() if name != "status"]
    start_response(f"{status} {HTTPStatus(int(status)).phrase}", fields)
    return [body.encode() if isinstance(body, str) else body]


class _Handler(DynamoHandler):
    """moto's handler, set up with what the tables ask it for and nothing else."""

    def __init__(self, environ: WSGIEnvironment, parameters: dict[str, Any], access_key: str, region: str) -> None:
        super().__init__()
        self.headers = EnvironHeaders(environ)
        self.response_headers = {"content-type": "application/x-amz-json-1.0"}
        self.querystring: dict[str, Any] = {}
        self.uri_match: dict[str, Any] = {}
        self.params = parameters
        self.access_key, self.region = access_key, region
        self.current_account = self.get_current_account()

    def serialized(self, action_result: ActionResult) -> Any:
        """What an item's action returns is JSON already; only errors are written by the service's model."""
        value = action_result.result
        if isinstance(value, dict):
            with contextlib.suppress(TypeError):  # binary values: moto's own way
                return 200, dict(self.response_headers), orjson.dumps(value).decode()
        return super().serialized(action_result)

    @staticmethod
    def _enrich_response(headers: dict[str, str], body: Any) -> tuple[dict[str, str], Any]:
        """No request's id, which nobody here looks at."""
        return headers, body
