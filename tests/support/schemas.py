"""Whether a JSON Schema of an event has only grown: a reader of the old one must understand a writer of the new one.

It knows the keywords that pydantic writes for the models of ``shared.events``; any other keyword must stay as it is.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

Schema = Mapping[str, Any]

_WORDS: Final = {"title", "description", "examples", "default", "$defs", "$schema", "$id", "discriminator"}
"""Keywords that allow or forbid nothing."""

_LOWER_BOUNDS: Final = {"minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"}
_UPPER_BOUNDS: Final = {"maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"}
_STRUCTURE: Final = {"type", "enum", "const", "anyOf", "$ref", "properties", "required", "items"}
_SIMPLE: Final = {"null", "boolean", "integer", "number", "string", "array", "object"}


def additive_problems(old_schema: Schema, new_schema: Schema) -> list[str]:
    """Return in one line each what of ``old_schema`` no longer holds in ``new_schema``; nothing when it only grew.

    Found are a removed field, a field that has become required, and values that were allowed and are not any more.
    """
    return list(_Comparison(old_schema, new_schema).problems(old_schema, new_schema, "data"))


class _Comparison:
    def __init__(self, old_root: Schema, new_root: Schema) -> None:
        self._old_root = old_root
        self._new_root = new_root
        self._compared: set[tuple[str, str]] = set()

    def problems(self, old: Schema, new: Schema, where: str) -> Iterator[str]:
        pair = (str(old.get("$ref")), str(new.get("$ref")))
        if "$ref" in old and "$ref" in new:
            if pair in self._compared:
                return
            self._compared.add(pair)
        old, new = _resolved(old, self._old_root), _resolved(new, self._new_root)
        if "anyOf" in old or "anyOf" in new:
            yield from self._choices(old, new, where)
            return
        yield from _types(old, new, where)
        yield from _values(old, new, where)
        yield from _bounds(old, new, where)
        yield from self._fields(old, new, where)
        if "items" in new:
            yield from self.problems(old.get("items", {}), new["items"], f"{where}[]")

    def _choices(self, old: Schema, new: Schema, where: str) -> Iterator[str]:
        """Each way that was open must lie within one that still is."""
        for number, way in enumerate(old.get("anyOf", [old])):
            found = [
                list(_Comparison(self._old_root, self._new_root).problems(way, other, where))
                for other in new.get("anyOf", [new])
            ]
            if all(found):
                yield f"{where}: choice {number} is not allowed any more ({min(found, key=len)[0]})"

    def _fields(self, old: Schema, new: Schema, where: str) -> Iterator[str]:
        before, after = old.get("properties", {}), new.get("properties", {})
        for name in before.keys() - after.keys():
            yield f"{where}.{name}: the field is removed"
        for name in sorted(set(new.get("required", ())) - set(old.get("required", ()))):
            yield (
                f"{where}.{name}: the field has become required"
                if name in before
                else (f"{where}.{name}: a new field is required")
            )
        for name in sorted(set(old.get("required", ())) - set(new.get("required", ()))):
            yield f"{where}.{name}: the field was always there and need not be any more"
        for name in sorted(before.keys() & after.keys()):
            yield from self.problems(before[name], after[name], f"{where}.{name}")


def _resolved(schema: Schema, root: Schema) -> Schema:
    while "$ref" in schema:
        name = str(schema["$ref"]).removeprefix("#/$defs/")
        beside = {key: value for key, value in schema.items() if key != "$ref"}
        schema = {**root["$defs"][name], **beside}
    return schema


def _type_names(schema: Schema) -> set[str]:
    named = schema.get("type")
    if named is None:
        return set(_SIMPLE)
    names = {named} if isinstance(named, str) else set(named)
    return names | {"integer"} if "number" in names else names


def _types(old: Schema, new: Schema, where: str) -> Iterator[str]:
    lost = _type_names(old) - _type_names(new)
    if lost:
        yield f"{where}: may not be {', '.join(sorted(lost))} any more"


def _allowed(schema: Schema) -> list[Any] | None:
    if "const" in schema:
        return [schema["const"]]
    values: list[Any] | None = schema.get("enum")
    return values


def _values(old: Schema, new: Schema, where: str) -> Iterator[str]:
    before, after = _allowed(old), _allowed(new)
    if after is None:
        return
    if before is None:
        yield f"{where}: only certain values are allowed now"
        return
    for value in before:
        if value not in after:
            yield f"{where}: the value {value!r} is not allowed any more"


def _bounds(old: Schema, new: Schema, where: str) -> Iterator[str]:
    for bound in sorted(_LOWER_BOUNDS | _UPPER_BOUNDS):
        if bound not in new:
            continue
        sign = 1 if bound in _UPPER_BOUNDS else -1
        if bound not in old or sign * new[bound] < sign * old[bound]:
            yield f"{where}: {bound} is narrower than before"
    for keyword in sorted((old.keys() | new.keys()) - _WORDS - _STRUCTURE - _LOWER_BOUNDS - _UPPER_BOUNDS):
        # A rule that is gone allows more; one that is new or changed may allow less.
        if keyword in new and old.get(keyword) != new[keyword]:
            yield f"{where}: {keyword} is another one than before"
