"""Typed reading of members of a JSON object, with one-line errors that name the member."""

from __future__ import annotations

import math
from typing import Any, TypeAlias, TypeVar

import orjson

JsonObject: TypeAlias = dict[str, Any]
Default = TypeVar("Default")


class FieldError(ValueError):
    """Raised when a JSON text is no object, or when a member of it is missing or of the wrong type."""


class _Required:
    """Marks a member without a default."""


REQUIRED = _Required()


def read_object(data: bytes) -> JsonObject:
    """Parse `data` as one JSON object; an empty text is an empty object."""
    if not data.strip():
        return {}
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise FieldError(f"not JSON: {error}") from None
    if not isinstance(value, dict):
        raise FieldError("a JSON object is expected")
    return value


def text(fields: JsonObject, name: str, default: str | Default | _Required = REQUIRED) -> str | Default:
    """The non-empty string `name`; `default` when it is absent or null."""
    value = fields.get(name)
    if value is None:
        if isinstance(default, _Required):
            raise _missing(name)
        return default
    if not isinstance(value, str) or not value:
        raise FieldError(f"{name}: a non-empty string is expected")
    return value


def number(
    fields: JsonObject,
    name: str,
    default: float | Default | _Required = REQUIRED,
    *,
    least: float = 0.0,
    most: float = math.inf,
) -> float | Default:
    """The finite number `name` within `least`..`most`; `default` when it is absent or null."""
    value = fields.get(name)
    if value is None:
        if isinstance(default, _Required):
            raise _missing(name)
        return default
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise FieldError(f"{name}: a number is expected")
    if not least <= value <= most:
        raise FieldError(f"{name}: {value} is not within {least:g}..{most:g}")
    return value


def whole(
    fields: JsonObject, name: str, default: int | Default | _Required = REQUIRED, *, least: int = 0, most: int = 1 << 53
) -> int | Default:
    """The whole number `name` within `least`..`most`; `default` when it is absent or null."""
    value = fields.get(name)
    if value is None:
        if isinstance(default, _Required):
            raise _missing(name)
        return default
    if isinstance(value, bool) or not isinstance(value, int):
        raise FieldError(f"{name}: a whole number is expected")
    if not least <= value <= most:
        raise FieldError(f"{name}: {value} is not within {least}..{most}")
    return value


def flag(fields: JsonObject, name: str, default: bool | Default | _Required = REQUIRED) -> bool | Default:
    """The boolean `name`; `default` when it is absent or null."""
    value = fields.get(name)
    if value is None:
        if isinstance(default, _Required):
            raise _missing(name)
        return default
    if not isinstance(value, bool):
        raise FieldError(f"{name}: true or false is expected")
    return value


def mapping(
    fields: JsonObject, name: str, default: JsonObject | Default | _Required = REQUIRED
) -> JsonObject | Default:
    """The JSON object `name`; `default` when it is absent or null."""
    value = fields.get(name)
    if value is None:
        if isinstance(default, _Required):
            raise _missing(name)
        return default
    if not isinstance(value, dict):
        raise FieldError(f"{name}: an object is expected")
    return value


def one_of(fields: JsonObject, name: str, allowed: tuple[str, ...], default: str | _Required = REQUIRED) -> str:
    """The string `name`, which must be one of `allowed`."""
    value = text(fields, name, default)
    if value not in allowed:
        raise FieldError(f"{name}: {value!r} is none of {', '.join(allowed)}")
    return value


def _missing(name: str) -> FieldError:
    return FieldError(f"{name}: missing")
