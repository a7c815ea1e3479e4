"""The contract as a page for people: made of openapi.yaml, without a script and without anything from elsewhere."""

import re
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from typing import Any, TypeAlias

Node: TypeAlias = Mapping[str, Any]

_NAMED = re.compile(r"#/components/schemas/(\w+)")
_METHODS = ("get", "post", "put", "patch", "delete")
_STYLE = """
:root { color-scheme: light dark }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 56rem; margin: 2rem auto; padding: 0 1rem }
h2 { margin-top: 2.5rem; border-top: 1px solid #8888; padding-top: 1rem }
table { border-collapse: collapse; width: 100%; margin: 1rem 0 }
th, td { text-align: left; vertical-align: top; padding: .25rem .75rem .25rem 0; border-bottom: 1px solid #8884 }
th { font-weight: 600; overflow-wrap: anywhere }
th:first-child { width: 14rem }
td p { margin: 0 0 .25rem }
code { font-family: ui-monospace, monospace; font-size: .92em }
"""


def render(document: Node) -> str:
    """HTML of the whole document: its operations, its webhooks, its schemas."""
    info, components = document["info"], document["components"]
    parts = [
        f"<h1>{escape(info['title'])} {escape(info['version'])}</h1>",
        _text(info["description"]),
        *_operations(document, document["paths"]),
        *_operations(document, document.get("webhooks", {})),
        "<h2>Schemas</h2>",
        *(_schema(document, name, schema) for name, schema in components["schemas"].items()),
    ]
    return (
        f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>{escape(info["title"])}</title>\n'
        f'<meta name="viewport" content="width=device-width">\n<style>{_STYLE}</style>\n' + "\n".join(parts)
    )


def _operations(document: Node, paths: Node) -> Iterator[str]:
    for path, item in paths.items():
        for method in _METHODS:
            if method in item:
                yield _operation(document, f"{method.upper()} {path}", item, item[method])


def _operation(document: Node, name: str, item: Node, operation: Node) -> str:
    parameters = [_resolved(document, one) for one in (*_of(item), *_of(operation))]
    content: Node = _resolved(document, operation.get("requestBody", {})).get("content", {})
    responses = ((status, _resolved(document, one)) for status, one in operation["responses"].items())
    return "\n".join(
        [
            f'<h2 id="{escape(operation["operationId"])}"><code>{escape(name)}</code></h2>',
            _text(operation["summary"]),
            _text(operation.get("description", "")),
            _table("parameter", ((one["name"], _value(document, one)) for one in parameters)),
            _table("body", ((kind, _value(document, one)) for kind, one in content.items())),
            _table("answer", ((status, _text(one["description"])) for status, one in responses)),
        ]
    )


def _of(node: Node) -> list[Node]:
    parameters: list[Node] = node.get("parameters", [])
    return parameters


def _schema(document: Node, name: str, schema: Node) -> str:
    fields: Node = schema.get("properties", {})
    return "\n".join(
        [
            f'<h3 id="{escape(name)}"><code>{escape(name)}</code></h3>',
            "" if fields else f"<p>{_kind(document, schema)}</p>",
            _text(schema.get("description", "")),
            _table("field", ((field, _value(document, {"schema": one})) for field, one in fields.items())),
        ]
    )


def _value(document: Node, node: Node) -> str:
    """What a parameter, a body or a field is, and what is said of it."""
    schema: Node = node.get("schema", {})
    said = node.get("description") or _resolved(document, schema).get("description", "")
    required = "<p>Required.</p>" if node.get("required") else ""
    return f"{_kind(document, schema)}{required}{_text(said)}"


def _kind(document: Node, schema: Node) -> str:
    """A link to a schema with a name; else the type or the values, of a field of another schema too."""
    if named := _NAMED.fullmatch(schema.get("$ref", "")):
        return f'<a href="#{named[1]}">{named[1]}</a>'
    schema = _resolved(document, schema)
    for word, between in (("oneOf", " or "), ("anyOf", " or "), ("allOf", " and ")):
        if word in schema:
            return between.join(_kind(document, one) for one in schema[word])
    values = schema.get("enum") or [schema["const"]] if "const" in schema or "enum" in schema else None
    if values:
        return ", ".join(f"<code>{escape(str(value))}</code>" for value in values)
    kinds = schema.get("type", "anything")
    text = " or ".join([kinds] if isinstance(kinds, str) else kinds)
    return f"{text} of {_kind(document, schema['items'])}" if "items" in schema else text


def _table(head: str, rows: Iterable[tuple[str, str]]) -> str:
    """Names as code, what is said of them as it is; nothing if there are no rows."""
    lines = [f"<tr><th><code>{escape(name)}</code></th><td>{said}</td></tr>" for name, said in rows]
    return f"<table><tr><th>{head}</th><th></th></tr>{''.join(lines)}</table>" if lines else ""


def _text(markdown: str) -> str:
    """Paragraphs with code and links: all the Markdown that the document has."""
    text = re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(markdown.strip(), quote=False))
    text = re.sub(r"\[([^\]]+)\]\((https?://[^)\s]+)\)", r'<a href="\2">\1</a>', text)
    return "".join(f"<p>{paragraph}</p>" for paragraph in text.split("\n\n") if paragraph)


def _resolved(document: Node, node: Node) -> Node:
    while "$ref" in node:
        found: Any = document
        for step in node["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        node = found
    return node
