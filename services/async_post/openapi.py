"""The synchronous Post's HTTP call as an OpenAPI 3.1 document, made from the same tables that it answers by."""

from http import HTTPStatus
from typing import Any, Final

from services.async_post.synchronous import Outcome, PostCall
from services.async_post.synchronous_answers import STATUS, Reason, Refusal
from services.async_post.synchronous_http import MOST_CALL_BYTES, PATH
from shared.problem_documents import problem_schema, refusal

_MEANING: Final = {
    400: "No JSON. Nothing was posted.",
    401: "No bearer token, or a wrong one. Nothing was posted.",
    404: "There is one path.",
    405: "There is one method.",
    408: "The call did not come in time. Nothing was posted.",
    413: f"The call is longer than {MOST_CALL_BYTES} bytes. Nothing was posted.",
    415: "A call is JSON without content encoding. Nothing was posted.",
    422: "No call, or a message that cannot be. Nothing was posted; `detail` names the member.",
    500: "A bug here.",
    502: "The receiver refused, is at an address that must not be connected to, or gave no reply that can be taken.",
    503: "The receiver, or the key, is away, or too much is under way. Ask again after `Retry-After`.",
    504: "No reply within the deadline. The message may have arrived: ask again with the same `correlation`.",
}


def openapi(version: str) -> dict[str, Any]:
    """Return the document."""
    answers: dict[str, Any] = {
        "200": {
            "description": "Replied, or delivered to a receiver that gives no reply.",
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Posted"}}},
        }
    }
    for status in sorted(set(STATUS.values()) - {200}):
        reasons: list[Reason] = [reason for reason, its in STATUS.items() if its == status]
        answers[str(status)] = refusal(
            status, [one.value for one in reasons], _MEANING[status], retried=status == STATUS[Refusal.BUSY]
        )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "facescan synchronous Post",
            "version": version,
            "description": "Internal: signs a message, posts it to a domain, and returns the reply.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": {
            PATH: {
                "post": {
                    "operationId": "post",
                    "summary": "Sign one message, post it, wait for the reply",
                    "security": [{"token": []}],
                    "requestBody": {
                        "required": True,
                        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/PostCall"}}},
                    },
                    "responses": answers,
                }
            }
        },
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {**_call(), "Posted": _posted(), "Problem": _problem()},
        },
    }


def _call() -> dict[str, Any]:
    """Return the call's schema and those that it refers to, by name."""
    schema = PostCall.model_json_schema(ref_template="#/components/schemas/{model}")
    return {**schema.pop("$defs"), "PostCall": schema}


def _posted() -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["outcome", "correlation", "receiver_status", "response"],
        "properties": {
            "outcome": {"type": "string", "enum": [Outcome.DELIVERED.value, Outcome.REPLIED.value]},
            "correlation": {"type": "string", "format": "uuid"},
            "receiver_status": {"type": "integer"},
            "response": {"type": ["object", "null"], "description": "The reply's Response; null: delivered alone."},
        },
    }


def _problem() -> dict[str, Any]:
    refused = (one.value for one, status in STATUS.items() if status != HTTPStatus.OK)
    return problem_schema(
        refused,
        ". With a `correlation` the post was tried.",
        {
            "correlation": {"type": "string", "format": "uuid"},
            "receiver_status": {"type": ["integer", "null"], "description": "The receiver's; null without an answer."},
            "trouble": {
                "type": ["string", "null"],
                "description": "Why there was no answer: dns, address, connect, timeout, certificate, "
                "certificate_expired, tls, closed, not_http or too_large.",
            },
        },
    )
