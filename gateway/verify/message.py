"""What is signed: bytes that a template puts together from parts of a request."""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from gateway.model import Rejected
from gateway.selector import Content, Selector
from gateway.verify.timestamp import Timestamp
from gateway.verify.url import form_sorted, hubspot_decoded

BESIDE = re.compile(r"[A-Za-z0-9_=+/-]+", re.ASCII)
"""What a variable may be that has nothing between it and the next placeholder: no JSON begins so, and no time has a colon there."""
PLACEHOLDER = re.compile(r"\{([a-z_0-9]+)\}")
BODY = frozenset(("body", "body_sha256", "form_sorted"))
"""Placeholders that a changed body changes."""
RESERVED = BODY | {"method", "url", "timestamp"}
"""Placeholders that have their own meaning."""


class Unfit(Exception):
    """What is signed cannot be put together from this request."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.rejected = Rejected("malformed", detail)


@dataclass(slots=True)
class Parts:
    """What the placeholders of one request stand for."""

    content: Content
    timestamp: bytes | None
    url: str
    body: bytes


Part = bytes | Callable[[Parts], bytes]
"""Of a template: what stands there as it is, or what is put there."""


@dataclass(frozen=True, slots=True)
class Template:
    parts: tuple[Part, ...]
    names: frozenset[str]
    """Of its placeholders."""
    headers: tuple[bytes, ...]
    """Those that it has under another name, such as the producer's id, in lower case."""
    unsignable: str | None

    @property
    def covers_body(self) -> bool:
        return not self.names.isdisjoint(BODY)

    def fill(self, parts: Parts) -> bytes:
        """Raise Unfit where the request lacks a part, or has one that could be taken for another."""
        if len(self.parts) == 1 and not isinstance(self.parts[0], bytes):
            return self.parts[0](parts)
        return b"".join([part if isinstance(part, bytes) else part(parts) for part in self.parts])


def compile_template(
    text: str, variables: Mapping[str, Selector], *, timestamp: Timestamp | None, decode_url: bool
) -> Template:
    """Raise ValueError with a sentence for the operator."""
    names = frozenset(PLACEHOLDER.findall(text))
    _check_template(names, text, variables, timestamp=timestamp)
    return Template(
        parts=_parts(text, variables, decode_url=decode_url),
        names=names,
        headers=tuple(
            one.text.removeprefix("header:").lower().encode()
            for one in variables.values()
            if one.text.startswith("header:")
        ),
        unsignable=_unsignable(variables),
    )


def _check_template(
    names: frozenset[str], template: str, variables: Mapping[str, Selector], *, timestamp: Timestamp | None
) -> None:
    for name in sorted(RESERVED & set(variables)):
        raise ValueError(f"vars has {name!r}, which {{{name}}} stands for already: choose another name")
    known = {*BODY, "method", "url", *variables}
    if timestamp is not None:
        known.add("timestamp")
        if "timestamp" not in names and not (timestamp.is_in_body and "body" in names):
            raise ValueError(
                "timestamp is not signed: anybody could change it. It must stand in template as {timestamp}, "
                "or in a body that is signed"
            )
    for name in sorted(names - known):
        raise ValueError(f"template has {{{name}}}, which is none of {', '.join(sorted(known))}")
    for name in sorted(set(variables) - names):
        raise ValueError(f"vars has {name!r}, which does not stand in template")
    pieces = PLACEHOLDER.split(template)
    for first, between, second in zip(pieces[1::2], pieces[2::2], pieces[3::2], strict=False):
        if not between and {first, second} <= set(variables):
            raise ValueError(
                f"template has nothing between {{{first}}} and {{{second}}}: one could be taken for the other"
            )
    if not names or "{" in PLACEHOLDER.sub("", template):
        raise ValueError(f"template {template!r} has no placeholder, or a brace that begins none")


def _unsignable(variables: Mapping[str, Selector]) -> str | None:
    if any(one.text.startswith("query:") for one in variables.values()):
        return "this scheme signs a field of the query, where the gateway writes none"
    return None


def _parts(template: str, variables: Mapping[str, Selector], *, decode_url: bool) -> tuple[Part, ...]:
    makers: dict[str, Callable[[Parts], bytes]] = {
        "body": lambda parts: parts.body,
        "body_sha256": lambda parts: hashlib.sha256(parts.body).hexdigest().encode(),
        "form_sorted": _form_sorted,
        "method": lambda parts: parts.content.webhook.method.encode(),
        "url": (lambda parts: hubspot_decoded(parts.url).encode())
        if decode_url
        else lambda p: p.url.encode(),
        "timestamp": _timestamp,
    }
    pieces = PLACEHOLDER.split(template)  # text, name, text, name, …, text
    beside = {name for side in (1, -1) for name in _beside(pieces[::side])}
    for name, selector in variables.items():
        makers[name] = partial(_variable, selector, is_beside=name in beside)
    return tuple(
        makers[piece] if index % 2 else piece.encode() for index, piece in enumerate(pieces) if piece
    )


def _beside(pieces: Sequence[str]) -> list[str]:
    """The placeholders that another one follows with nothing between them."""
    return [name for name, between in zip(pieces[1:-2:2], pieces[2::2], strict=False) if not between]


def _form_sorted(parts: Parts) -> bytes:
    sorted_ = form_sorted(parts.body)
    if sorted_ is None:
        raise Unfit("the body is not a form as this producer writes it")
    return sorted_


def _timestamp(parts: Parts) -> bytes:
    if parts.timestamp is None:
        raise Unfit("there is no time")
    return parts.timestamp


def _variable(selector: Selector, parts: Parts, *, is_beside: bool) -> bytes:
    value = selector.find(parts.content)
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise Unfit(f"there is no {selector.text}, or more than one")
    if is_beside and not BESIDE.fullmatch(str(value)):
        raise Unfit(f"{selector.text} has a character that could belong to what is signed beside it")
    return str(value).encode("latin-1" if selector.text.startswith("header:") else "utf-8", "replace")
