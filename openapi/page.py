"""A contract as a page for people: one file, without a script and without anything from elsewhere."""

from collections.abc import Iterable, Iterator
from html import escape
from http import HTTPStatus
from pathlib import Path

from openapi import shape
from openapi.document import Node, Operation, examples, operations, resolved
from openapi.text import PARAGRAPH, code, line, paragraphs, terms, written

RENAMED = {"413": "Content Too Large", "414": "URI Too Long", "422": "Unprocessable Content"}
"""As RFC 9110 has them, and later Pythons."""
STYLE = (Path(__file__).parent / "page.css").read_text("utf-8")


def render(document: Node) -> str:
    """HTML of the whole document."""
    title = escape(document["info"]["title"])
    return "\n".join(
        [
            f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{title}</title>',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<style>\n{STYLE}</style>\n</head>\n<body>",
            '<a class="skip" href="#contract">Skip the contents</a>',
            _contents(document),
            f'<main id="contract">\n{_opening(document)}',
            *(_group(document, name, said, members) for name, said, members in _groups(document)),
            _shared(document),
            _schemas(document),
            "</main>\n</body>\n</html>\n",
        ]
    )


def _groups(document: Node) -> Iterator[tuple[str, str, list[Operation]]]:
    """(name, description, operations) of each tag, then the webhooks."""
    every = list(operations(document))
    for tag in document["tags"]:
        members = [one for one in every if tag["name"] in one.node.get("tags", ())]
        yield tag["name"], tag["description"], members
    yield "webhooks sent", "What this service sends to others.", [one for one in every if one.is_webhook]


def _contents(document: Node) -> str:
    lists = [
        f'<h2><a href="#{_anchor(name)}">{escape(name.capitalize())}</a></h2>{_links(map(_entry, members))}'
        for name, _, members in _groups(document)
    ]
    shared = (
        f'<a href="#{_anchor(name)}">{escape(name)}</a>' for name in document["components"]["responses"]
    )
    named = (f'<a href="#{escape(name)}">{escape(name)}</a>' for name in document["components"]["schemas"])
    return "\n".join(
        [
            '<nav aria-label="Contents">',
            f'<p class="title"><a href="#contract">{escape(document["info"]["title"])}</a></p>',
            *lists,
            f'<h2><a href="#answers">Answers of several</a></h2>{_links(shared)}',
            f'<h2><a href="#schemas">Schemas</a></h2>{_links(named)}\n</nav>',
        ]
    )


def _links(entries: Iterable[str]) -> str:
    return f"<ul>{''.join(f'<li>{entry}</li>' for entry in entries)}</ul>"


def _entry(operation: Operation) -> str:
    return f'<a href="#{escape(operation.node["operationId"])}">{_method(operation)}<span>{escape(operation.path)}</span></a>'


def _anchor(name: str) -> str:
    return f"-{name.replace(' ', '-')}"  # no operation and no schema begins so


def _method(operation: Operation) -> str:
    return f'<span class="method {operation.method}">{operation.method.upper()}</span>'


def _opening(document: Node) -> str:
    info = document["info"]
    schemes = (
        (code(name), f"<p>{_scheme(scheme)}</p>{paragraphs(scheme.get('description', ''))}")
        for name, scheme in document["components"].get("securitySchemes", {}).items()
    )
    return "\n".join(
        [
            f'<h1>{escape(info["title"])} <span class="version">{escape(info["version"])}</span></h1>',
            paragraphs(info["description"]),
            f"<p>As listened on by default: {', '.join(code(one['url']) for one in document['servers'])}.</p>",
            '<p>The same as data: <a href="openapi.yaml">openapi.yaml</a>, <a href="openapi.json">openapi.json</a>.</p>',
            f'<h2 id="-credentials">Credentials</h2>{terms(schemes)}',
        ]
    )


def _scheme(scheme: Node) -> str:
    if scheme["type"] == "http":
        return code(f"Authorization: {scheme['scheme'].capitalize()} …")
    return f"{escape(scheme['in'].capitalize())} {code(scheme['name'])}"


def _group(document: Node, name: str, said: str, members: Iterable[Operation]) -> str:
    whole = "\n".join(_operation(document, one) for one in members)
    return f'<h2 id="{_anchor(name)}">{escape(name.capitalize())}</h2>\n{paragraphs(said)}\n{whole}'


def _operation(document: Node, operation: Operation) -> str:
    node = operation.node
    return "\n".join(
        [
            f'<section>\n<h3 id="{escape(node["operationId"])}">{_method(operation)} {code(operation.path)}</h3>',
            f'<p class="summary">{line(node["summary"])}</p>{paragraphs(node.get("description", ""))}',
            _credentials(document, operation),
            _headed("Parameters", terms(_parameter(document, one) for one in operation.parameters)),
            _headed("Body", _body(document, operation.body)),
            _headed("Answers", terms(_answer(document, *one) for one in node["responses"].items())),
            "</section>",
        ]
    )


def _headed(head: str, content: str) -> str:
    return f"<h4>{head}</h4>\n{content}" if content else ""


def _credentials(document: Node, operation: Operation) -> str:
    if operation.is_webhook:
        return ""
    asked = operation.node.get("security", document.get("security", []))
    names = [" and ".join(code(name) for name in one) or "nothing" for one in asked] or ["nothing"]
    return f'<p>Asks for {" or ".join(names)} (<a href="#-credentials">credentials</a>).</p>'


def _parameter(document: Node, parameter: Node) -> tuple[str, str]:
    said = f"{parameter['in']}, {shape.kind(document, parameter['schema'])}"
    name = f"{code(parameter['name'])} {shape.annotated(said, required=parameter.get('required', False))}"
    return name, f"{_described(document, parameter)}{_inline(document, parameter)}"


def _described(document: Node, node: Node) -> str:
    """What is said of a parameter or a header, else of its schema."""
    return paragraphs(node.get("description") or resolved(document, node["schema"]).get("description", ""))


def _inline(document: Node, node: Node) -> str:
    shown = [code(written(value)) for _, value in examples(document, node)]
    return f"<p>Such as {', '.join(shown)}.</p>" if shown else ""


def _body(document: Node, body: Node) -> str:
    if not body:
        return ""
    head = paragraphs(body.get("description", "" if body.get("required") else "May be left out."))
    return head + _content(document, body["content"])


def _answer(document: Node, status: str, response: Node) -> tuple[str, str]:
    """Of one that others give too no more than what it is: the whole of it has a place of its own."""
    head = f"{code(status)} {_phrase(status)}"
    if "$ref" not in response:
        return head, _response(document, response)
    name = response["$ref"].rpartition("/")[2]
    link = f'<a href="#{_anchor(name)}">{escape(name)}</a>'
    said = PARAGRAPH.split(resolved(document, response)["description"].strip())[0]
    return head, f"<p>{line(said)} {link}</p>"


def _response(document: Node, response: Node) -> str:
    headers = (_header(document, *one) for one in response.get("headers", {}).items())
    parts = [
        paragraphs(response["description"]),
        terms(headers),
        _content(document, response.get("content", {})),
        _then(document, response),
    ]
    return "".join(parts)


def _shared(document: Node) -> str:
    """The answers that several operations give."""
    parts = [
        f'<section>\n<h3 id="{_anchor(name)}">{code(name)}</h3>\n{_response(document, response)}\n</section>'
        for name, response in document["components"].get("responses", {}).items()
    ]
    return '<h2 id="answers">Answers of several operations</h2>\n' + "\n".join(parts)


def _phrase(status: str) -> str:
    if not status.isdigit():
        return ""
    return escape(RENAMED.get(status) or HTTPStatus(int(status)).phrase)


def _header(document: Node, name: str, header: Node) -> tuple[str, str]:
    header = resolved(document, header)
    said = f"header, {shape.kind(document, header['schema'])}"
    annotated = shape.annotated(said, required=False)
    return f"{code(name)} {annotated}", _described(document, header) + _inline(document, header)


def _content(document: Node, content: Node) -> str:
    return "".join(
        f'<p class="media">{code(kind)} <span class="kind">{shape.kind(document, media.get("schema", {}))}</span></p>'
        f"{shape.described(document, media.get('schema', {}))}{_examples(document, media)}"
        for kind, media in content.items()
    )


def _examples(document: Node, media: Node) -> str:
    return "".join(
        f"<figure><figcaption>{line(f'Example: {name}' if name else 'Example')}</figcaption>"
        f'<pre tabindex="0">{code(written(value))}</pre></figure>'
        for name, value in examples(document, media)
    )


def _then(document: Node, response: Node) -> str:
    """The operations that the answer leads to."""
    led = sorted({resolved(document, one)["operationId"] for one in response.get("links", {}).values()})
    links = ", ".join(f'<a href="#{escape(one)}">{escape(one)}</a>' for one in led)
    return f"<p>Leads to {links}.</p>" if led else ""


def _schemas(document: Node) -> str:
    parts = [
        f'<section>\n<h3 id="{escape(name)}">{code(name)}</h3>\n'
        f'<p class="kind">{shape.kind(document, resolved(document, schema))}</p>'
        f"{shape.described(document, resolved(document, schema))}{_examples(document, {'schema': schema})}\n</section>"
        for name, schema in document["components"]["schemas"].items()
    ]
    return '<h2 id="schemas">Schemas</h2>\n' + "\n".join(parts)
