"""When a request says that it was sent: where that stands, how it is written, how far off it may be."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from gateway.model import Rejected
from gateway.selector import Content, Selector
from gateway.verify.encoding import whole_number
from gateway.verify.parameters import HEADER_NAME, Parameters

DECODER = json.JSONDecoder(parse_int=str, parse_float=str)  # for places alone
SPACE = re.compile(r"[ \t\n\r]*", re.ASCII)
DEFAULT_TOLERANCE_SECONDS = 300
DIGITS = {"s": 10, "ms": 13}
"""Exactly so many: beside a body without anything in between, a digit could else be moved from one to the other."""
RFC3339 = re.compile(
    rb"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})",
    re.ASCII,
)
UNITS = (*DIGITS, "rfc3339")
PLACES = ("header", "field", "json", "query", "form")


@dataclass(frozen=True, slots=True)
class Timestamp:
    place: str
    """`header:NAME`, `field:NAME` (of the signature's header), `json:PATH`, `query:NAME` or `form:NAME`."""
    selector: Selector | None
    """None for a field."""
    unit: str
    tolerance_seconds: int
    is_signed_alone: bool = False
    """It stands in the template too, though it is in the body."""

    @property
    def is_in_body(self) -> bool:
        """It is read only once the body is known to be authentic."""
        return self.place.startswith(("json:", "form:")) and not self.is_signed_alone

    @property
    def header(self) -> bytes | None:
        name = self._named("header:")
        return None if name is None else name.lower()

    @property
    def field(self) -> bytes | None:
        return self._named("field:")

    @property
    def unsignable(self) -> str | None:
        if self.place.startswith(("query:", "form:")):
            return "this scheme has its time in the query or a form, where the gateway writes none"
        return None

    def read(self, content: Content, fields: Mapping[bytes, bytes]) -> bytes | Rejected:
        """As it is written there, once it is known to be a time."""
        written = self._written(content, fields)
        if written is None:
            return Rejected("malformed", f"there is no time in {self.place}, or more than one")
        if self.seconds(written) is None:
            return Rejected("malformed", f"the time in {self.place} is not {self._form()}")
        return written

    def seconds(self, written: bytes) -> int | None:
        """Unix seconds; None where it is no time of this unit."""
        if self.unit == "rfc3339":
            return _rfc3339_seconds(written)
        number = whole_number(written, digits=DIGITS[self.unit])
        return number if number is None or self.unit == "s" else number // 1000

    def at(self, now: int) -> bytes:
        """`now`, in Unix seconds, as the producer would write it. Raise ValueError where it cannot be."""
        if self.unit == "rfc3339":
            try:
                return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ").encode()
            except (ValueError, OverflowError, OSError):
                raise ValueError("the time must be Unix seconds of a year up to 9999") from None
        written = str(now if self.unit == "s" else now * 1000).encode()
        if len(written) != DIGITS[self.unit]:
            raise ValueError("the time must be Unix seconds of ten digits")
        return written

    def put_into(self, body: bytes, written: bytes) -> bytes:
        """The body with this time in it, where that is its place."""
        if not self.place.startswith("json:"):
            return body
        return with_value(body, self.place.removeprefix("json:"), written.decode())

    def _written(self, content: Content, fields: Mapping[bytes, bytes]) -> bytes | None:
        if self.selector is None:
            return fields.get(self.field or b"")
        if self.header is not None:
            values = content.webhook.values(self.header)
            return values[0] if len(values) == 1 else None
        value = self.selector.find(content)
        if isinstance(value, bool) or not isinstance(value, str | int):
            return None
        return str(value).encode("ascii", "replace")

    def _named(self, form: str) -> bytes | None:
        return self.place.removeprefix(form).encode() if self.place.startswith(form) else None

    def _form(self) -> str:
        if self.unit == "rfc3339":
            return "of the form 2026-01-31T12:00:00Z"
        return f"a whole number of {DIGITS[self.unit]} digits ({'seconds' if self.unit == 's' else 'milliseconds'})"


def read_timestamp(parameters: Parameters) -> Timestamp | None:
    table = parameters.table("timestamp")
    if table is None:
        return None
    place = table.text("from")
    form, colon, name = place.partition(":")
    if form not in PLACES or not colon or not name:
        raise ValueError(f"timestamp.from {place!r} is none of {', '.join(f'{one}:NAME' for one in PLACES)}")
    if form == "header" and not HEADER_NAME.fullmatch(name):
        raise ValueError(f"timestamp.from: {name!r} is not a header's name")
    timestamp = Timestamp(
        place=place,
        selector=None if form == "field" else table.selector(place, "from"),
        unit=table.choice("unit", UNITS, "s"),
        tolerance_seconds=table.seconds("tolerance", DEFAULT_TOLERANCE_SECONDS),
        is_signed_alone="{timestamp}" in parameters.text("template", "{body}"),
    )
    table.close()
    return timestamp


def with_value(body: bytes, path: str, text: str) -> bytes:
    """`body`, JSON, with another value at a path of keys: a number where one stands there, else a text.

    All else stays as it is written: to parse and write it anew would change numbers and escapes. Raise ValueError where
    there is no such place.
    """
    try:
        document = body.decode()
        start, end = _span(document, path.split("."))
    except (ValueError, RecursionError):
        raise ValueError(f"this scheme signs within a JSON body, and the body has no {path}") from None
    value = text if document[start] in "-0123456789" else json.dumps(text)
    return (document[:start] + value + document[end:]).encode()


def _span(document: str, keys: Sequence[str]) -> tuple[int, int]:
    """Where the value stands that JSON's readers find at `keys`: of several with one key, the last."""
    at, end = _past_space(document, 0), len(document)
    for key in keys:
        at, end = _member(document, at, key)
    return at, end


def _member(document: str, at: int, key: str) -> tuple[int, int]:
    """Of the value of `key` in the object that begins at `at`."""
    found = None
    if document[at : at + 1] != "{":
        raise ValueError("no object")
    at = _past_space(document, at + 1)
    while document[at : at + 1] == '"':
        name, at = DECODER.raw_decode(document, at)
        start = _past_space(document, _past_space(document, at) + 1)  # behind the colon
        _, end = DECODER.raw_decode(document, start)
        if name == key:
            found = start, end
        at = _past_space(document, _past_space(document, end) + 1)  # behind the comma
    if found is None:
        raise ValueError(key)
    return found


def _past_space(document: str, at: int) -> int:
    return SPACE.match(document, at).end()  # type: ignore[union-attr]  # it matches nothing as well


def _rfc3339_seconds(written: bytes) -> int | None:
    if not RFC3339.fullmatch(written):
        return None
    try:
        return int(datetime.fromisoformat(written.decode()).timestamp())
    except (ValueError, OverflowError):
        return None
