"""The front door as an OpenAPI 3.1 document, made from the same tables that it answers by."""

from typing import Any, Final

from services.inbox.domain import STATUS, Reason
from services.inbox.manifest import Manifest
from shared.problem_documents import problem_schema, refusal

_RETRIED: Final = frozenset({429, 503})
# What a request can be answered before anybody looks at what it asks for.
_CONNECTION: Final = frozenset(
    {Reason.MALFORMED, Reason.SLOW, Reason.TOO_LARGE, Reason.ENCODING, Reason.EXPECTATION, Reason.HEAD,
     Reason.CONNECTIONS, Reason.OVERLOADED}
)  # fmt: skip
_REFERENCE: Final = "#/components/schemas/"
_MEANING: Final = {
    400: "No HTTP/1.1 that is understood here, or one that two servers might read differently.",
    401: "Discarded: not proven to be from its sender (protocol, section 3).",
    404: "There is no such path.",
    405: "The path has other methods; `Allow` names them.",
    408: "The request did not come in time.",
    413: "The message is too large.",
    415: "A message is sent without content encoding.",
    417: "No other expectation than 100-continue is met.",
    422: "Discarded: no message that this domain takes (protocol, section 3).",
    429: "Too fast. `Retry-After` says when to come back.",
    431: "The headers are too large or too many.",
    500: "A bug here. Nothing is stored; send the message again.",
    503: "Cannot say now. Nothing is stored, as far as is known; send the message again after `Retry-After`.",
}


def openapi(version: str) -> dict[str, Any]:
    """Return the document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "facescan inbox",
            "version": version,
            "description": "Takes signed messages of the NLWeb and PollyWeb generations.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": {
            "/inbox": {
                "post": {
                    "operationId": "postMessage",
                    "summary": "Deliver one signed message",
                    "security": [],
                    "requestBody": {
                        "required": True,
                        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Message"}}},
                    },
                    "responses": {
                        "200": {
                            "description": "Stored in every in-sync replica, or a copy of a message that is; under a "
                            "synchronous subject, the reply. A copy gets the reply of the first.",
                            "content": {"application/json": {"schema": _either("Taken", "Reply")}},
                        },
                        **_refusals(frozenset(Reason)),
                    },
                }
            },
            "/manifest": {"get": _reading("getManifest", body=True), "head": _reading("headManifest", body=False)},
        },
        "components": {
            "schemas": {
                "Message": _message(),
                "Taken": {"type": "object", "maxProperties": 0, "description": "The message is stored."},
                "Reply": _reply(),
                "Problem": problem_schema(
                    (reason.value for reason in Reason), ", and the label of `facescan_inbox_answered_total`."
                ),
                **_manifest(),
            }
        },
    }


def _either(*names: str) -> dict[str, Any]:
    return {"oneOf": [{"$ref": _REFERENCE + name} for name in names]}


def _reading(name: str, *, body: bool) -> dict[str, Any]:
    found: dict[str, Any] = {"description": "The manifest; the same as the answer to `Manifest@Domain` carries."}
    if body:
        found["content"] = {"application/json": {"schema": {"$ref": _REFERENCE + "Manifest"}}}
    return {
        "operationId": name,
        "summary": "What this domain says of itself",
        "security": [],
        "responses": {"200": found, **_refusals(_CONNECTION)},
    }


def _manifest() -> dict[str, Any]:
    """Return the manifest's schema and those that it is made of, by name."""
    schema = Manifest.model_json_schema(ref_template=_REFERENCE + "{model}")
    parts: dict[str, Any] = schema.pop("$defs", {})
    return {**parts, "Manifest": schema}


def _reply() -> dict[str, Any]:
    text = {"type": "string"}
    names = ("From", "To", "Subject", "Correlation")
    meta = {"From": text | {"description": "This domain."}, "Timestamp": text | {"format": "date-time"}}
    header = {"type": "object", "required": [*names], "properties": dict.fromkeys(names, text)}
    return {
        "type": "object",
        "description": "The reply to a message under a synchronous subject, `Manifest@Domain` for one.",
        "required": ["Meta", "Request", "Response"],
        "additionalProperties": False,
        "properties": {
            "Meta": {"type": "object", "required": [*meta], "properties": meta},
            "Request": {"type": "object", "required": ["Header"], "properties": {"Header": header}},
            "Response": {"type": "object", "description": "What the handler says."},
        },
    }


def _refusals(reasons: frozenset[Reason]) -> dict[str, Any]:
    by_status: dict[int, list[str]] = {}
    for reason in reasons:
        by_status.setdefault(STATUS[reason], []).append(reason.value)
    return {
        str(status): refusal(status, found, _MEANING[status], retried=status in _RETRIED)
        for status, found in sorted(by_status.items())
    }


def _message() -> dict[str, Any]:
    text = {"type": "string"}
    return {
        "type": "object",
        "required": ["Header", "Body"],
        "properties": {
            "\N{HANDSHAKE}": {"description": "Generation NLWeb.", "const": "nlweb.org/MSG:1.0"},
            "Header": {
                "type": "object",
                "required": ["From", "To", "Correlation", "Timestamp", "Subject"],
                "properties": {
                    "From": text | {"description": "The sender's domain."},
                    "To": text | {"description": "This domain."},
                    "Correlation": text | {"format": "uuid"},
                    "Timestamp": text | {"format": "date-time", "description": "UTC, ending in Z."},
                    "Subject": text | {"pattern": "^[A-Za-z][A-Za-z0-9_-]{0,63}@[A-Za-z][A-Za-z0-9_-]{0,63}$"},
                    "DKIM": text | {"description": "The key's selector, generation NLWeb."},
                    "Selector": text | {"description": "The key's selector, generation PollyWeb."},
                    "Schema": {"description": "Generation PollyWeb.", "const": "pollyweb.org/MSG:1.0"},
                },
            },
            "Body": {"type": "object"},
            "Hash": text | {"pattern": "^[0-9a-f]{64}$", "description": "SHA-256 of the canonical form, in hex."},
            "Signature": text | {"contentEncoding": "base64"},
        },
    }
