"""Where a request carries its signatures, and how they are written there."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from gateway.model import Rejected
from gateway.selector import Content, Selector
from gateway.verify.encoding import DECODERS, ENCODERS
from gateway.verify.parameters import Parameters
from gateway.verify.scheme import one_header
from gateway.verify.timestamp import Timestamp, with_value

MAX_SIGNATURES = 16
"""A request may carry several signatures while its producer rotates; more than these are not looked at."""
PARSERS = ("bare", "prefix", "kv", "list")

Found = tuple[Sequence[bytes], Mapping[bytes, bytes]]
"""Signatures, decoded; and the other fields that stand beside them."""


@dataclass(frozen=True, slots=True)
class Signatures:
    place: str
    """For a sentence: the header's name, or a selector."""
    header: bytes | None
    selector: Selector | None
    parse: str
    prefix: bytes
    field: bytes
    separator: bytes
    encoding: str
    decode: Callable[[bytes], bytes | None]

    @property
    def form(self) -> str:
        """For a sentence: how they are written."""
        if self.parse == "kv":
            return f"{self.field.decode()}= and {self.encoding}, between {self.separator.decode()!r}"
        return f"{self.prefix.decode()!r} and {self.encoding}" if self.prefix else self.encoding

    @property
    def unsignable(self) -> str | None:
        if self.selector is not None and not self.selector.text.startswith("json:"):
            return "this scheme has its signature in the query or a form, where the gateway writes none"
        return None

    def read(self, content: Content) -> Found | Rejected:
        value = self._value(content)
        if isinstance(value, Rejected):
            return value
        if self.parse == "kv":
            return self._read_fields(value)
        entries = value.split(self.separator)[:MAX_SIGNATURES] if self.parse == "list" else [value]
        if self.parse == "list":
            entries = [entry.strip(b" ") for entry in entries]
        return self._decoded(entries), {}

    def put(
        self, signature: bytes, timestamp: Timestamp | None, written: bytes | None, body: bytes
    ) -> tuple[tuple[tuple[bytes, bytes], ...], bytes]:
        """Headers and body with this signature and time, as the producer would write them."""
        value = self.prefix + ENCODERS[self.encoding](signature)
        if self.parse == "kv":
            value = self.field + b"=" + value
            if timestamp is not None and timestamp.field is not None and written is not None:
                value = timestamp.field + b"=" + written + self.separator + value
        if self.header is None:
            path = self.selector.text.removeprefix("json:") if self.selector else ""
            return (), with_value(body, path, value.decode())
        headers = ((self.header, value),)
        if timestamp is not None and timestamp.header is not None and written is not None:
            return (*headers, (timestamp.header, written)), body
        return headers, body

    def _value(self, content: Content) -> bytes | Rejected:
        if self.header is not None:
            return one_header(content.webhook, self.header)
        found = self.selector.find(content) if self.selector else None
        if not isinstance(found, str):
            return Rejected("malformed", f"there is no signature in {self.place}, or more than one")
        return found.encode("utf-8", "replace")

    def _read_fields(self, value: bytes) -> Found | Rejected:
        entries: list[bytes] = []
        fields: dict[bytes, bytes] = {}
        for item in value.split(self.separator):
            name, equals, text = item.strip(b" ").partition(b"=")
            if not equals:
                return Rejected("malformed", f"the {self.place} header is not {self.form}")
            if name == self.field:
                entries.append(text)
            elif name in fields:
                return Rejected("malformed", f"a field of the {self.place} header stands more than once")
            else:
                fields[name] = text
        return self._decoded(entries[:MAX_SIGNATURES]), fields

    def _decoded(self, entries: Sequence[bytes]) -> list[bytes]:
        return [
            signature
            for entry in entries
            if entry.startswith(self.prefix) and (signature := self.decode(entry[len(self.prefix) :]))
        ]


def read_signatures(parameters: Parameters) -> Signatures:
    if ("header" in parameters) == ("signature_from" in parameters):
        raise ValueError("either header or signature_from must say where the signature is")
    header: bytes | None = None
    selector: Selector | None = None
    if "header" in parameters:
        header = parameters.header("header")
    else:
        selector = parameters.selector(parameters.text("signature_from"), "signature_from")
    parse = parameters.choice("parse", PARSERS, "bare")
    if parse == "prefix" and "prefix" not in parameters:
        raise ValueError('parse = "prefix" needs prefix')
    if parse == "kv" and "field" not in parameters:
        raise ValueError('parse = "kv" needs field: the name of the signature')
    if parse not in ("prefix", "list") and "prefix" in parameters:
        raise ValueError(f'prefix has no meaning with parse = "{parse}"')
    if parse != "kv" and "field" in parameters:
        raise ValueError(f'field has no meaning with parse = "{parse}"')
    if parse not in ("kv", "list") and "item_sep" in parameters:
        raise ValueError(f'item_sep has no meaning with parse = "{parse}"')
    encoding = parameters.choice("encoding", tuple(DECODERS), "hex")
    return Signatures(
        place=header.decode() if header else selector.text if selector else "",
        header=header,
        selector=selector,
        parse=parse,
        prefix=(parameters.optional("prefix") or "").encode(),
        field=(parameters.optional("field") or "").encode(),
        separator=parameters.text("item_sep", ",").encode(),
        encoding=encoding,
        decode=DECODERS[encoding],
    )
