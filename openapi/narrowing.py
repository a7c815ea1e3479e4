"""Whether every value that one schema allows is allowed by another; where not, why.

Of what is taken, all that was right before has to be right after. Of what is given, all that comes after has to be what
was promised before; a field that is new there breaks nobody, as whoever reads has to leave alone what it does not know.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from openapi.document import Node, resolved

Side: TypeAlias = Literal["taken", "given"]

LOWER = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
UPPER = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
AS_WRITTEN = (
    "pattern",
    "format",
    "multipleOf",
    "not",
    "propertyNames",
    "patternProperties",
    "dependentRequired",
)
ALTERNATIVES = ("oneOf", "anyOf")
TYPES = {"null", "boolean", "object", "array", "number", "integer", "string"}
OF_VALUE = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}
REQUIRED_SINCE = {"taken": "has to be there now", "given": "is no longer there always"}
GONE = {"taken": "is no longer taken", "given": "is no longer there"}


@dataclass(frozen=True, slots=True)
class Version:
    """A schema with the document that its references are of."""

    document: Node
    schema: Node

    def at(self, schema: Node) -> "Version":
        return Version(self.document, schema)


@dataclass(frozen=True, slots=True)
class Comparison:
    side: Side
    seen: frozenset[tuple[str, str]] = frozenset()
    """References that are being compared: schemas may contain themselves."""

    def breaks(self, before: Version, after: Version, place: str) -> Iterator[str]:
        """A sentence for each way in which the later one breaks who relies on the earlier."""
        pair = (str(before.schema.get("$ref")), str(after.schema.get("$ref")))
        if pair in self.seen:
            return
        deeper = Comparison(self.side, self.seen | {pair}) if "None" not in pair else self
        inner, outer = (before, after) if self.side == "taken" else (after, before)
        for one in _alternatives(inner):
            found = [list(deeper.escapes(one, other, place)) for other in _alternatives(outer)]
            yield from min(found, key=len)

    def escapes(self, inner: Version, outer: Version, place: str) -> Iterator[str]:
        """Neither has alternatives."""
        yield from self._values(inner.schema, outer.schema, place)
        yield from self._bounds(inner.schema, outer.schema, place)
        yield from self._fields(inner, outer, place)
        if "items" in outer.schema and _may_be(inner.schema, "array"):
            items = inner.schema.get("items", {})
            yield from self._deeper(inner.at(items), outer.at(outer.schema["items"]), f"{place}[]")

    def _deeper(self, inner: Version, outer: Version, place: str) -> Iterator[str]:
        before, after = (inner, outer) if self.side == "taken" else (outer, inner)
        yield from self.breaks(before, after, place)

    def _values(self, inner: Node, outer: Node, place: str) -> Iterator[str]:
        few, many = _values_of(inner), _values_of(outer)
        if many is not None and few is None:
            yield self._said(place, f"any value, not only {_listed(many)}")
        elif many is not None and few is not None:
            if more := [one for one in few if one not in many]:
                yield self._said(place, _listed(more))
        elif more_types := _types(inner) - _types(outer):
            yield self._said(place, " or ".join(sorted(more_types)))

    def _bounds(self, inner: Node, outer: Node, place: str) -> Iterator[str]:
        if _values_of(inner) is not None:
            return
        for words, sign in ((LOWER, 1), (UPPER, -1)):
            for word in words:
                bound, before = outer.get(word), inner.get(word)
                if bound is not None and (before is None or sign * before < sign * bound):
                    yield self._said(place, f"{word} {'any' if before is None else before}, not {bound}")
        for word in AS_WRITTEN:
            if word in outer and inner.get(word) != outer[word]:
                yield self._said(place, f"{word} {inner.get(word, 'any')!s}, not {outer[word]}")

    def _fields(self, inner: Version, outer: Version, place: str) -> Iterator[str]:
        """Of objects."""
        mine, theirs = inner.schema.get("properties", {}), outer.schema.get("properties", {})
        if not _may_be(inner.schema, "object"):
            return
        before, after = (mine, theirs) if self.side == "taken" else (theirs, mine)
        for name in before:
            if name not in after:
                yield f"{place}.{name} {GONE[self.side]}"
            else:
                yield from self._deeper(inner.at(mine[name]), outer.at(theirs[name]), f"{place}.{name}")
        for name in outer.schema.get("required", ()):
            if name not in inner.schema.get("required", ()) and (name in after):
                yield f"{place}.{name} {REQUIRED_SINCE[self.side]}"
        if self.side == "taken" and _is_closed(outer.schema) and not _is_closed(inner.schema):
            yield f"{place} takes no unknown fields any more"

    def _said(self, place: str, what: str) -> str:
        return f"{place} no longer takes {what}" if self.side == "taken" else f"{place} may now be {what}"


def _alternatives(version: Version) -> list[Version]:
    """One for each member of oneOf and anyOf, each with all that stands beside and in allOf."""
    schema = _merged(version.document, version.schema)
    for word in ALTERNATIVES:
        if word in schema:
            rest = {key: value for key, value in schema.items() if key != word}
            return [
                one
                for member in schema[word]
                for one in _alternatives(version.at(_joined(rest, _merged(version.document, member))))
            ]
    return [version.at(schema)]


def _merged(document: Node, schema: Node) -> Node:
    """Without reference and allOf."""
    schema = resolved(document, schema)
    whole: Node = {key: value for key, value in schema.items() if key != "allOf"}
    for member in schema.get("allOf", ()):
        whole = _joined(whole, _merged(document, member))
    return whole


def _joined(one: Node, other: Node) -> Node:
    """Of what both say, the fields of both; of a field or a word in both, the other's."""
    fields = {**one.get("properties", {}), **other.get("properties", {})}
    required = list(dict.fromkeys([*one.get("required", ()), *other.get("required", ())]))
    return {
        **one,
        **other,
        **({"properties": fields} if fields else {}),
        **({"required": required} if required else {}),
    }


def _values_of(schema: Node) -> list[Any] | None:
    """Those that it names; None: it names none."""
    if "const" in schema:
        return [schema["const"]]
    values: list[Any] | None = schema.get("enum")
    return values


def _types(schema: Node) -> set[str]:
    if (values := _values_of(schema)) is not None and "type" not in schema:
        kinds = {"null" if value is None else OF_VALUE[type(value)] for value in values}
    else:
        said = schema.get("type", TYPES)
        kinds = {said} if isinstance(said, str) else set(said)
    return kinds | {"integer"} if "number" in kinds else kinds


def _may_be(schema: Node, kind: str) -> bool:
    return kind in _types(schema)


def _is_closed(schema: Mapping[str, Any]) -> bool:
    return schema.get("additionalProperties") is False or schema.get("unevaluatedProperties") is False


def _listed(values: list[Any]) -> str:
    return re.sub(r"^\[|\]$", "", repr(values))
