"""An OpenAPI document as it is read: nodes, references, and the operations in their order."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import yaml

Node: TypeAlias = Mapping[str, Any]

FOLDER = Path(__file__).parent
NAMES = ("gateway", "transcriber")
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the first is ten times as fast, and not everywhere
METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")


def read(path: Path) -> Node:
    document: Node = yaml.load(path.read_text("utf-8"), Loader=LOADER)  # noqa: S506 - either is a safe one
    return document


def resolved(document: Node, node: Node) -> Node:
    """`node`, or what it refers to within `document`; what stands beside a reference comes on top."""
    while "$ref" in node:
        found: Any = document
        for step in node["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        node = {**found, **{key: value for key, value in node.items() if key != "$ref"}}
    return node


@dataclass(frozen=True, slots=True)
class Operation:
    method: str
    """In small letters."""
    path: str
    """Of a webhook, its name."""
    node: Node
    parameters: tuple[Node, ...]
    """The path's and its own, resolved."""
    body: Node
    """Resolved; empty where there is none."""
    responses: Mapping[str, Node]
    """By status, resolved."""
    is_webhook: bool


def operations(document: Node) -> Iterator[Operation]:
    """Of the paths, then of the webhooks."""
    for place in ("paths", "webhooks"):
        for path, item in document.get(place, {}).items():
            for method in METHODS:
                if method in item:
                    yield _operation(document, method, path, item, is_webhook=place == "webhooks")


def _operation(document: Node, method: str, path: str, item: Node, *, is_webhook: bool) -> Operation:
    node = item[method]
    parameters = [*item.get("parameters", ()), *node.get("parameters", ())]
    return Operation(
        method=method,
        path=path,
        node=node,
        parameters=tuple(resolved(document, one) for one in parameters),
        body=resolved(document, node.get("requestBody", {})),
        responses={status: resolved(document, one) for status, one in node["responses"].items()},
        is_webhook=is_webhook,
    )


def examples(document: Node, media: Node) -> Iterator[tuple[str, Any]]:
    """(what it shows, example) of a parameter, a header or a media type: its own, else those of its schema."""
    if "example" in media:
        yield "", media["example"]
    for name, one in media.get("examples", {}).items():
        shown = resolved(document, one)
        yield shown.get("summary", name), shown["value"]
    if "example" not in media and "examples" not in media:
        schema = resolved(document, media.get("schema", {}))
        yield from (("", one) for one in schema.get("examples", ()))
