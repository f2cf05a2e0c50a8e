"""The gateway as an OpenAPI 3.1 document, made from the same tables that it answers by."""

from typing import Any, Final

from services.gateway.answers import PATH, RETRIED
from services.gateway.domain import PENDING, STATUS, Ask, Reason
from services.gateway.http import MOST_BODY_BYTES
from services.gateway.webhook import EVENT_TYPE
from shared.events import Outcome
from shared.problem_documents import problem_schema, refusal

_MEANING: Final = {
    400: "No JSON, or no good Idempotency-Key.",
    401: "No bearer token, or a wrong one.",
    404: "No verification of this client has this id, or there is no such path.",
    405: "The path has another method.",
    408: "The request did not come in time.",
    413: f"The request is longer than {MOST_BODY_BYTES} bytes.",
    415: "A request is JSON without content encoding.",
    422: "No request that is understood, or the key of another one. `detail` names the member.",
    429: "Too fast. Ask again after `Retry-After`.",
    500: "A bug here. Ask again with the same Idempotency-Key.",
    503: "Cannot say now. Ask again with the same Idempotency-Key after `Retry-After`.",
}
_UUID: Final = {"type": "string", "format": "uuid"}
_OUTCOMES: Final = [outcome.value for outcome in Outcome]
_ASKING: Final = frozenset(Reason)
_LOOKING: Final = frozenset(
    {Reason.UNAUTHENTIC, Reason.NOT_FOUND, Reason.METHOD, Reason.ADDRESS_RATE, Reason.CLIENT_RATE, Reason.INTERNAL,
     Reason.NOT_STORED}
)  # fmt: skip


def openapi(version: str) -> dict[str, Any]:
    """Return the document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "facescan gateway",
            "version": version,
            "description": "Ask whether the owner of a locator is in front of a camera, and learn the outcome.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "paths": {
            PATH: {"post": _asking()},
            f"{PATH}/{{verification_id}}": {"get": _looking()},
        },
        "webhooks": {EVENT_TYPE: {"post": _webhook()}},
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {
                "Ask": Ask.model_json_schema(),
                "Asked": {
                    "type": "object",
                    "required": ["verification_id"],
                    "properties": {"verification_id": _UUID},
                },
                "Verification": _verification(),
                "Told": _told(),
                "Problem": problem_schema(
                    (reason.value for reason in Reason), ", and the label of `facescan_gateway_answered_total`."
                ),
            },
        },
    }


def _asking() -> dict[str, Any]:
    return {
        "operationId": "ask",
        "summary": "Ask for a verification",
        "parameters": [
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": True,
                "description": "Yours to choose, a fresh one for each verification, a UUID best. The same key with the "
                "same body is the same verification for seven days.",
                "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
            }
        ],
        "requestBody": {"required": True, "content": _json("Ask")},
        "responses": {
            "202": {
                "description": "Asked for: the event is in every in-sync replica. A repeat has the same answer.",
                "headers": {"Location": {"required": True, "schema": {"type": "string"}}},
                "content": _json("Asked"),
            },
            **_refusals(_ASKING),
        },
    }


def _looking() -> dict[str, Any]:
    return {
        "operationId": "look",
        "summary": "Look what came of it",
        "parameters": [{"name": "verification_id", "in": "path", "required": True, "schema": _UUID}],
        "responses": {
            "200": {"description": "The verification as it is now.", "content": _json("Verification")},
            **_refusals(_LOOKING),
        },
    }


def _webhook() -> dict[str, Any]:
    text = {"type": "string"}
    return {
        "operationId": "told",
        "summary": "Posted to the client's own URL: signed as Standard Webhooks 1 has it, at least once",
        "security": [],
        "parameters": [
            {"name": name, "in": "header", "required": True, "description": what, "schema": text}
            for name, what in (
                ("webhook-id", "The same for every try and every copy of one outcome."),
                ("webhook-timestamp", "When this try was signed, seconds since 1970."),
                ("webhook-signature", "`v1,` and base64 of HMAC-SHA256 over id.timestamp.body; two in a rotation."),
            )
        ],
        "requestBody": {"required": True, "content": _json("Told")},
        "responses": {
            "2XX": {"description": "Taken."},
            "410": {"description": "Never again: the webhook is given up."},
            "default": {"description": "Tried again on a schedule for more than a day."},
        },
    }


def _json(name: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}


def _refusals(reasons: frozenset[Reason]) -> dict[str, Any]:
    by_status: dict[int, list[str]] = {}
    for reason in reasons:
        by_status.setdefault(STATUS[reason], []).append(reason.value)
    return {
        str(status): refusal(status, found, _MEANING[status], retried=status in RETRIED)
        for status, found in sorted(by_status.items())
    }


def _verification() -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["verification_id", "state"],
        "properties": {
            "verification_id": _UUID,
            "state": {
                "type": "string",
                "enum": [PENDING, *_OUTCOMES],
                "description": "`error` is neither yes nor no: ask anew, with another Idempotency-Key.",
            },
            "decided_at": {"type": "string", "format": "date-time", "description": "Absent while pending."},
        },
    }


def _told() -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["type", "timestamp", "data"],
        "properties": {
            "type": {"const": EVENT_TYPE},
            "timestamp": {"type": "string", "format": "date-time", "description": "When it was decided."},
            "data": {
                "type": "object",
                "required": ["verification_id", "outcome"],
                "properties": {"verification_id": _UUID, "outcome": {"type": "string", "enum": _OUTCOMES}},
            },
        },
    }
