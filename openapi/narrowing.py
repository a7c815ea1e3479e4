"""Whether every value that one schema allows is allowed by another; where not, why.

Of what is taken, all that was right before has to be right after. Of what is given, all that comes after has to be what
was promised before; a field that is new there breaks nobody, as whoever reads has to leave alone what it does not know.

Where it cannot tell, it says that something breaks: of a word that is not known here only the same text is the same.
That two members of a `oneOf` exclude each other is believed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import jsonschema_rs

from openapi.document import Node, resolved

Side: TypeAlias = Literal["taken", "given"]

SIGNS = {
    f"{kind}{what}": sign
    for kind, sign in (("min", 1), ("max", -1))
    for what in ("Length", "Items", "Properties")
}
SIGNS |= {"minimum": 1, "exclusiveMinimum": 1, "maximum": -1, "exclusiveMaximum": -1}
"""Of a bound times this, the higher one allows less."""
COMBINED = ("oneOf", "anyOf", "allOf")
ANNOTATIONS = {"title", "description", "default", "example", "examples", "deprecated", "externalDocs"}
OWN_RULE = {
    "type",
    "const",
    "enum",
    "items",
    "properties",
    "required",
    "additionalProperties",
    "unevaluatedProperties",
}
WITHOUT_BOUNDS = {"null", "boolean"}
TYPES = {"null", "boolean", "object", "array", "number", "integer", "string"}
REQUIRED_SINCE = {"taken": "has to be there now", "given": "is no longer there always"}
GONE = {"taken": "is no longer taken", "given": "is no longer there"}


@dataclass(frozen=True, slots=True)
class Version:
    """A schema with the document that its references are of."""

    document: Node
    schema: Node

    def at(self, schema: Node) -> "Version":
        return Version(self.document, schema)

    def takes(self, value: Any) -> bool:
        whole = {**self.schema, "components": self.document.get("components", {})}
        return jsonschema_rs.validator_for(whole).is_valid(value)


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
        theirs = [outer.at(way) for way in _ways(outer.document, outer.schema)]
        for way in _ways(inner.document, inner.schema):
            one = inner.at(way)
            if (values := _values_of(way)) is not None:
                more = [value for value in values if one.takes(value) and not outer.takes(value)]
                yield from (self._said(place, _listed([value])) for value in more)
            else:
                yield from min((list(deeper.escapes(one, other, place)) for other in theirs), key=len)

    def escapes(self, inner: Version, outer: Version, place: str) -> Iterator[str]:
        """Of both one way to be valid; the inner one names no values."""
        if (values := _values_of(outer.schema)) is not None:
            yield self._said(place, f"any value, not only {_listed(values)}")
        elif more := _types(inner.schema) - _types(outer.schema):
            yield self._said(place, " or ".join(sorted(more)))
        yield from self._words(inner.schema, outer.schema, place)
        if _may_be(inner.schema, "object"):
            yield from self._fields(inner, outer, place)
            yield from self._other_fields(inner, outer, place)
        if _may_be(inner.schema, "array") and "items" in outer.schema:
            items = inner.schema.get("items", {})
            yield from self._deeper(inner.at(items), outer.at(outer.schema["items"]), f"{place}[]")

    def _deeper(self, inner: Version, outer: Version, place: str) -> Iterator[str]:
        before, after = (inner, outer) if self.side == "taken" else (outer, inner)
        yield from self.breaks(before, after, place)

    def _words(self, inner: Node, outer: Node, place: str) -> Iterator[str]:
        if _types(inner) <= WITHOUT_BOUNDS:
            return
        for word in outer:
            if word in ANNOTATIONS or word in OWN_RULE:
                continue
            had, has, sign = inner.get(word), outer[word], SIGNS.get(word)
            fits = had == has if sign is None or had is None else sign * had >= sign * has
            if not fits:
                yield self._said(place, f"{word} {'any' if had is None else had}, not {has}")

    def _fields(self, inner: Version, outer: Version, place: str) -> Iterator[str]:
        """Those that both name, or one."""
        mine, theirs = _properties(inner.schema), _properties(outer.schema)
        before, after = (mine, theirs) if self.side == "taken" else (theirs, mine)
        for name in before:
            if name not in after:
                yield f"{place}.{name} {GONE[self.side]}"
            else:
                yield from self._deeper(inner.at(mine[name]), outer.at(theirs[name]), f"{place}.{name}")
        for name in outer.schema.get("required", ()):
            is_gone = name in before and name not in after
            if name not in inner.schema.get("required", ()) and not is_gone:
                yield f"{place}.{name} {REQUIRED_SINCE[self.side]}"

    def _other_fields(self, inner: Version, outer: Version, place: str) -> Iterator[str]:
        """Those that the outer one does not name."""
        mine, theirs = _rest(inner.schema), _rest(outer.schema)
        if theirs is False and mine is not False and self.side == "taken":
            yield f"{place} takes no unknown fields any more"
        if not theirs:
            return
        others = {} if mine is False else {"*": mine}
        if self.side == "given":
            named = _properties(outer.schema)
            others |= {name: one for name, one in _properties(inner.schema).items() if name not in named}
        for name, one in others.items():
            yield from self._deeper(inner.at(one), outer.at(theirs), f"{place}.{name}")

    def _said(self, place: str, what: str) -> str:
        return f"{place} no longer takes {what}" if self.side == "taken" else f"{place} may now be {what}"


def _ways(document: Node, schema: Node) -> list[Node]:
    """The ways to be valid, each without a reference at its top and without alternatives: their union is the schema."""
    schema = resolved(document, schema)
    ways = _by_type({word: said for word, said in schema.items() if word not in COMBINED})
    for word in ("oneOf", "anyOf"):
        if word in schema:
            ways = _both(ways, [way for member in schema[word] for way in _ways(document, member)])
    for member in schema.get("allOf", ()):
        ways = _both(ways, _ways(document, member))
    return ways


def _both(some: list[Node], others: list[Node]) -> list[Node]:
    return [way for one in some for other in others for way in _by_type(_joined(one, other))]


def _by_type(schema: Node) -> list[Node]:
    kinds = schema.get("type")
    return [{**schema, "type": kind} for kind in kinds] if isinstance(kinds, list) else [schema]


def _joined(one: Node, other: Node) -> Node:
    """What both allow."""
    in_both = {word: _of_both(word, one[word], other[word]) for word in one if word in other}
    return {**one, **other, **in_both}


def _of_both(word: str, one: Any, other: Any) -> Any:
    if word == "properties":
        return {
            **one,
            **other,
            **{name: {"allOf": [one[name], other[name]]} for name in one if name in other},
        }
    if word == "required":
        return [*one, *other]
    if word == "type":
        return sorted(_types({word: one}) & _types({word: other}))
    if word == "enum":
        return [value for value in one if value in other]
    if word in SIGNS:
        return max(one, other, key=lambda bound: SIGNS[word] * bound)
    return other if one == other or word in ANNOTATIONS | OWN_RULE else f"{one} and {other}"


def _properties(schema: Node) -> Node:
    found: Node = schema.get("properties", {})
    return found


def _rest(schema: Node) -> Node | Literal[False]:
    """What a field without a name here has to be; False: there is none."""
    rest: Any = schema.get("additionalProperties", schema.get("unevaluatedProperties", True))
    return {} if rest is True else rest


def _values_of(schema: Node) -> list[Any] | None:
    """Those that it names; None: it names none."""
    return [schema["const"]] if "const" in schema else schema.get("enum")


def _types(schema: Node) -> set[str]:
    """Of a schema of one type, or of any."""
    said = schema.get("type")
    kinds = TYPES if said is None else {said}
    return kinds | {"integer"} if "number" in kinds else kinds


def _may_be(schema: Node, kind: str) -> bool:
    return kind in _types(schema)


def _listed(values: list[Any]) -> str:
    return ", ".join(map(repr, values))
