"""How the OpenAPI documents describe what is refused: RFC 9457 problems with a stable reason code."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

_PROBLEM: Final = "#/components/schemas/Problem"


def problem_schema(reasons: Iterable[str], description: str, more: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the schema ``Problem`` with these reason codes; ``more`` are members beside the usual ones."""
    return {
        "type": "object",
        "description": f"RFC 9457; `reason` is a stable code{description}",
        "required": ["status", "title", "reason", "detail"],
        "properties": {
            "status": {"type": "integer"},
            "title": {"type": "string"},
            "reason": {"type": "string", "enum": sorted(reasons)},
            "detail": {"type": "string", "description": "For people; may change."},
            **(more or {}),
        },
    }


def refusal(status: int, reasons: Iterable[str], meaning: str, *, retried: bool) -> dict[str, Any]:
    """Return the answer ``status`` with the reasons that it may have; ``retried`` answers say when to ask again."""
    members = {"status": {"const": status}, "reason": {"enum": sorted(reasons)}}
    answer: dict[str, Any] = {
        "description": meaning,
        "content": {"application/problem+json": {"schema": {"allOf": [{"$ref": _PROBLEM}, {"properties": members}]}}},
    }
    if retried:
        answer["headers"] = {
            "Retry-After": {"required": True, "description": "Seconds.", "schema": {"type": "integer", "minimum": 1}}
        }
    return answer
