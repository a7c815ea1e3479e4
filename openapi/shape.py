"""Schemas as HTML: what a value is, within which bounds, and the fields of an object."""

from collections.abc import Iterator
from html import escape

from openapi.document import Node, resolved
from openapi.text import code, paragraphs, terms, written

NAMED = "#/components/schemas/"
JOINED = {"oneOf": " or ", "anyOf": " or ", "allOf": " and "}
RANGES = (
    ("minimum", "maximum", "{}"),
    ("minLength", "maxLength", "{} characters"),
    ("minItems", "maxItems", "{} items"),
    ("minProperties", "maxProperties", "{} fields"),
)


def kind(document: Node, schema: Node) -> str:
    """A link to a schema that has a name; else its type or values, with their bounds."""
    if schema.get("$ref", "").startswith(NAMED):
        name = escape(schema["$ref"].removeprefix(NAMED))
        return f'<a href="#{name}">{name}</a>'
    schema = resolved(document, schema)
    for word, between in JOINED.items():
        if word in schema and not schema.get("properties"):
            return between.join(kind(document, one) for one in schema[word])
    return _plain(document, schema)


def described(document: Node, schema: Node) -> str:
    """What a field or a body is, what is said of it, and its fields where it has no name of its own."""
    said = schema.get("description") or resolved(document, schema).get("description", "")
    return f"{paragraphs(said)}{'' if '$ref' in schema else fields(document, schema)}"


def fields(document: Node, schema: Node) -> str:
    """Of an object, and of the objects in a list; nothing of a value."""
    schema = resolved(document, schema)
    parts = [fields(document, one) for word in JOINED for one in schema.get(word, ()) if "$ref" not in one]
    required = schema.get("required", ())
    rows = (
        (_field(document, name, one, required=name in required), described(document, one))
        for name, one in schema.get("properties", {}).items()
    )
    if "items" in schema and "$ref" not in schema["items"]:
        parts.append(fields(document, schema["items"]))
    return terms(rows) + "".join(parts)


def _field(document: Node, name: str, schema: Node, *, required: bool) -> str:
    return f"{code(name)} {annotated(kind(document, schema), required=required)}"


def annotated(said: str, *, required: bool) -> str:
    """`said` is what it is, as HTML."""
    return f'<span class="kind">{said}{", <strong>required</strong>" if required else ""}</span>'


def _plain(document: Node, schema: Node) -> str:
    values = [schema["const"]] if "const" in schema else schema.get("enum")
    if values is not None:
        said = " or ".join(code(written(value)) for value in values)
    else:
        said = _type(document, schema)
    return ", ".join([said, *_bounds(schema)])


def _type(document: Node, schema: Node) -> str:
    kinds = schema.get("type", "anything")
    said = " or ".join([kinds] if isinstance(kinds, str) else kinds)
    return f"{said} of {kind(document, schema['items'])}" if "items" in schema else said


def _bounds(schema: Node) -> Iterator[str]:
    if "format" in schema:
        yield escape(schema["format"])
    for least, most, said in RANGES:
        if least in schema and most in schema:
            yield said.format(f"{schema[least]} to {schema[most]}")
        elif least in schema:
            yield said.format(f"from {schema[least]}")
        elif most in schema:
            yield said.format(f"up to {schema[most]}")
    if "pattern" in schema:
        yield f"like {code(schema['pattern'])}"
    if schema.get("default") is not None:
        yield f"default {code(written(schema['default']))}"
