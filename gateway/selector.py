"""Where in a webhook a value is found: `json:PATH`, `header:NAME`, `query:NAME`, `form:NAME`, `claim:NAME`."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from json.scanner import make_scanner
from typing import Any
from urllib.parse import parse_qs

import jmespath
from jmespath.exceptions import JMESPathError
from jmespath.functions import Functions

from gateway.model import Webhook

MAX_FIELDS = 1000
UNREAD = object()
FORMS = "json:PATH, header:NAME, query:NAME, form:NAME or claim:NAME"


class Content:
    """What a verified webhook says, parsed at most once and only when somebody asks."""

    __slots__ = ("_form", "_json", "_query", "claims", "webhook")

    def __init__(self, webhook: Webhook) -> None:
        self.webhook = webhook
        self.claims: Mapping[str, Any] = {}
        """Of a token that was verified."""
        self._json: Any = UNREAD
        self._query: dict[str, list[str]] | None = None
        self._form: dict[str, list[str]] | None = None

    def of(self, webhook: Webhook) -> "Content":
        """For the same body in another request, without parsing it again."""
        content = Content(webhook)
        content.claims, content._json, content._form = self.claims, self._json, self._form
        return content

    @property
    def json(self) -> Any:
        """The body as JSON; None where it is not."""
        if self._json is UNREAD:
            self._json = _parse(self.webhook.body)
        return self._json

    @property
    def query(self) -> dict[str, list[str]]:
        if self._query is None:
            self._query = _fields(self.webhook.query)
        return self._query

    @property
    def form(self) -> dict[str, list[str]]:
        if self._form is None:
            self._form = _fields(self.webhook.body)
        return self._form


@dataclass(frozen=True, slots=True)
class Selector:
    text: str
    find: Callable[[Content], Any]
    """The value; None where there is none, or where a header or field stands more than once."""


NOWHERE = Selector("body", lambda _: None)
"""Finds nothing; as a dedupe key it leaves the body's digest."""


def parse_selector(text: str) -> Selector:
    """Raise ValueError with a sentence for the operator where `text` is none of the forms."""
    form, colon, name = text.partition(":")
    if not colon or not name:
        raise ValueError(f"{text!r} is not {FORMS}")
    match form:
        case "json":
            return Selector(text, _json_finder(name))
        case "header":
            key = name.lower().encode("latin-1", "replace")
            return Selector(text, lambda content: _one(content.webhook.values(key)))
        case "query":
            return Selector(text, lambda content: _one(content.query.get(name, [])))
        case "form":
            return Selector(text, lambda content: _one(content.form.get(name, [])))
        case "claim":
            return Selector(text, lambda content: content.claims.get(name))
        case _:
            raise ValueError(f"{text!r} is not {FORMS}")


def compile_expression(expression: str) -> Callable[[Any], Any]:
    """A JMESPath expression as a function of parsed JSON; None where it cannot be applied.

    Raise ValueError with a sentence for the operator where the expression is not JMESPath.
    """
    try:
        compiled = jmespath.compile(expression)
    except JMESPathError as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{expression!r} is not a JMESPath expression: {reason}") from None
    for name in _functions(compiled.parsed):
        if name not in Functions.FUNCTION_TABLE:
            raise ValueError(f"{expression!r}: there is no function {name!r}{_nearest(name)}")
    keys = _keys(compiled.parsed)
    if keys is not None:
        return lambda value: _at(value, keys)

    def search(value: Any) -> Any:
        try:
            return compiled.search(value)
        except (JMESPathError, ArithmeticError, RecursionError, TypeError, ValueError):
            return None

    return search


def _keys(node: Any) -> tuple[str, ...] | None:
    """The keys of an expression that is nothing but fields with dots between them, such as `data.jobId`; else None."""
    match node["type"]:
        case "field":
            return (node["value"],)
        case "subexpression":
            paths = [_keys(child) for child in node["children"]]
            return None if None in paths else tuple(key for path in paths if path for key in path)
        case _:
            return None


def _at(value: Any, keys: tuple[str, ...]) -> Any:
    """What JMESPath finds there, without its interpreter, which costs ten times as much."""
    for key in keys:
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value


def _functions(node: Any) -> Iterator[str]:
    """The names of the functions in a parsed expression: JMESPath itself looks for them when it gets there."""
    if not isinstance(node, dict):  # the numbers of a slice
        return
    if node["type"] == "function_expression":
        yield node["value"]
    for child in node["children"]:
        yield from _functions(child)


def _nearest(name: str) -> str:
    near = get_close_matches(name, Functions.FUNCTION_TABLE, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _json_finder(path: str) -> Callable[[Content], Any]:
    search = compile_expression(path)
    return lambda content: search(content.json)


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
scan = make_scanner(DECODER)  # type: ignore[arg-type]  # the stub names the scanner itself
OPENINGS = (b'{"', b"{}", b"[{")
"""How most bodies begin: as UTF-8, and without a space before them."""


def _parse(body: bytes) -> Any:
    """As `json.loads`, which makes a decoder anew for every body, and looks for its encoding and for spaces around it."""
    try:
        if not body.startswith(OPENINGS):
            return DECODER.decode(body.decode(json.detect_encoding(body), "surrogatepass"))
        text = body.decode("utf-8", "surrogatepass")
        value, end = scan(text, 0)
        return None if text[end:].strip(" \t\n\r") else value
    except (ValueError, RecursionError, StopIteration):
        return None


def _one(values: list[Any]) -> str | None:
    if len(values) != 1:
        return None
    value = values[0]
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _fields(data: bytes) -> dict[str, list[str]]:
    try:
        return parse_qs(data.decode("utf-8"), keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError:
        return {}
