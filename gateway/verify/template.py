"""Kinds hmac and asymmetric: a signature over bytes that a template puts together from the request."""

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from gateway.model import Rejected, Webhook
from gateway.selector import Content, Selector
from gateway.verify.encoding import DECODERS, from_hex
from gateway.verify.keys import KEY_ENCODINGS, NEEDED, HashKey, MacKey, PublicKey, public_key
from gateway.verify.parameters import Parameters, no_public_key, usable
from gateway.verify.scheme import Confirmed, Signed
from gateway.verify.signature import Signatures, read_signatures
from gateway.verify.timestamp import Timestamp, read_timestamp
from gateway.verify.url import NOT_IN_A_QUERY, form_sorted, hubspot_decoded, signed_urls

MAC_ALGORITHMS = ("sha1", "sha256", "sha512", "plain-sha256")
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
class Presented:
    signatures: Sequence[bytes]
    messages: Sequence[bytes]
    """More than one where the producer may have written the URL in several ways."""
    timestamp: bytes | None


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
class TemplateScheme:
    signatures: Signatures
    timestamp: Timestamp | None
    parts: tuple[Part, ...]
    make_key: Callable[[str], Any]
    public_url: str
    url_variants: int
    body_digest_field: str | None
    covers_body: bool
    signs_method: bool
    signed_headers: tuple[bytes, ...]
    """Which the template has under another name, such as the producer's id: signed anew they keep their value."""
    required_headers: tuple[bytes, ...]
    unsignable: str | None
    credential: None = None

    @property
    def tolerance_seconds(self) -> int:
        return self.timestamp.tolerance_seconds if self.timestamp else 0

    def key(self, secret: str) -> Any:
        return self.make_key(usable(secret))

    def read(self, content: Content) -> Presented | Rejected:
        found = self.signatures.read(content)
        if isinstance(found, Rejected):
            return found
        signatures, fields = found
        timestamp = None
        if self.timestamp is not None and not self.timestamp.is_in_body:
            read = self.timestamp.read(content, fields)
            if isinstance(read, Rejected):
                return read
            timestamp = read
        try:
            messages = self._messages(content, timestamp)
        except Unfit as unfit:
            return unfit.rejected
        return Presented(signatures, messages, timestamp)

    def match(self, presented: Presented, key: Any) -> bytes | None:
        for message in presented.messages:
            found: bytes | None = key.find(presented.signatures, message)
            if found is not None:
                # Of a signature with a private key another can be made that matches too.
                return message if isinstance(key, PublicKey) else found
        return None

    def why_not(self, presented: Presented) -> str:
        if not presented.signatures:
            return (
                f"there is no signature in {self.signatures.place} that can be read: {self.signatures.form}"
            )
        url = ", or the URL that the producer calls is not public_url" if self.public_url else ""
        return f"no secret of this source made a signature of this request: another secret, or a changed body{url}"

    def confirm(self, presented: Presented, content: Content, *, now: int) -> Confirmed | Rejected:  # noqa: ARG002 - one shape for all kinds
        if self.body_digest_field is not None and not self._has_digest(content, self.body_digest_field):
            return Rejected("bad_signature", f"{self.body_digest_field} in the URL is not the body's SHA-256")
        if self.timestamp is None:
            return Confirmed(body_authenticated=self.covers_body)
        timestamp = presented.timestamp
        if timestamp is None:
            read = self.timestamp.read(content, {})
            if isinstance(read, Rejected):
                return read
            timestamp = read
        return Confirmed(self.timestamp.seconds(timestamp), body_authenticated=self.covers_body)

    def sign(self, webhook: Webhook, key: Any, *, now: int, url: str) -> Signed:
        if self.unsignable is not None:
            raise ValueError(self.unsignable)
        query: tuple[tuple[str, str], ...] = ()
        if self.body_digest_field is not None:
            query = ((self.body_digest_field, hashlib.sha256(webhook.body).hexdigest()),)
            url += f"{'&' if '?' in url else '?'}{query[0][0]}={query[0][1]}"
        body, timestamp = webhook.body, None
        if self.timestamp is not None:
            timestamp = self.timestamp.at(now)
            body = self.timestamp.put_into(body, timestamp)
        content = Content(Webhook(webhook.headers, webhook.query, body, webhook.method))
        try:
            message = self._message(Parts(content, timestamp, url, body))
        except Unfit as unfit:
            raise ValueError(unfit.rejected.detail) from None
        signature = key.sign(message)
        headers, body = self.signatures.put(signature, self.timestamp, timestamp, body)
        with_signed = tuple((name, webhook.values(name)[0]) for name in self.signed_headers)
        return Signed((*with_signed, *headers), query, body)

    def _messages(self, content: Content, timestamp: bytes | None) -> list[bytes]:
        webhook = content.webhook
        if not self.public_url:
            return [self._message(Parts(content, timestamp, "", webhook.body))]
        if NOT_IN_A_QUERY.search(webhook.query):
            raise Unfit("the query has a character that no URL has, and could be the beginning of a body")
        urls = signed_urls(self.public_url, webhook.query, variants=self.url_variants)
        return [self._message(Parts(content, timestamp, url, webhook.body)) for url in urls]

    def _message(self, parts: Parts) -> bytes:
        if len(self.parts) == 1 and not isinstance(self.parts[0], bytes):
            return self.parts[0](parts)
        return b"".join([part if isinstance(part, bytes) else part(parts) for part in self.parts])

    def _has_digest(self, content: Content, field: str) -> bool:
        values = content.query.get(field, [])
        if len(values) != 1 or not values[0].isascii():
            return False
        digest = from_hex(values[0].encode())
        return digest is not None and hmac.compare_digest(
            digest, hashlib.sha256(content.webhook.body).digest()
        )


def compile_hmac(table: Mapping[str, Any], *, public_url: str) -> TemplateScheme:
    parameters = Parameters(table, of="kind hmac")
    algorithm = parameters.choice("algorithm", MAC_ALGORITHMS)
    encoding = parameters.choice("secret_encoding", ("utf8", "base64", "hex"), "utf8")
    strip = parameters.optional("secret_strip") or ""
    make_key = partial(_mac_key, algorithm=algorithm, encoding=encoding, strip=strip)
    return _compile(parameters, make_key, public_url=public_url)


def compile_asymmetric(table: Mapping[str, Any], *, public_url: str) -> TemplateScheme:
    parameters = Parameters(table, of="kind asymmetric")
    algorithm = parameters.choice("algorithm", tuple(NEEDED))
    encoding = parameters.choice("key_encoding", KEY_ENCODINGS, "pem")
    make_key: Callable[[str], PublicKey] = partial(public_key, algorithm=algorithm, encoding=encoding)
    return _compile(
        parameters,
        make_key,
        public_url=public_url,
        unsignable="the gateway has only this producer's public key, which cannot sign",
    )


def _compile(
    parameters: Parameters,
    make_key: Callable[[str], Any],
    *,
    public_url: str,
    unsignable: str | None = None,
) -> TemplateScheme:
    signatures = read_signatures(parameters)
    timestamp = read_timestamp(parameters)
    variables = parameters.selectors("vars")
    template = parameters.text("template", "{body}")
    url_decode = parameters.optional("url_decode")
    if url_decode not in (None, "hubspot"):
        raise ValueError(f"url_decode {url_decode!r} is not known; hubspot is")
    variants = parameters.number("max_url_variants", 1, least=1, most=2)
    digest_field = parameters.optional("body_sha256_query")
    parameters.close()
    names = set(PLACEHOLDER.findall(template))
    _check_template(names, template, variables, timestamp=timestamp)
    _check_places(names, signatures, timestamp, digest_field=digest_field)
    if "url" in names and not public_url:
        raise ValueError("this producer signs the URL: set public_url to the one that it calls")
    return TemplateScheme(
        signatures=signatures,
        timestamp=timestamp,
        parts=_parts(template, variables, decode_url=url_decode is not None),
        make_key=make_key,
        public_url=public_url if "url" in names else "",
        url_variants=variants,
        body_digest_field=digest_field,
        signs_method="method" in names,
        signed_headers=tuple(
            one.text.removeprefix("header:").lower().encode()
            for one in variables.values()
            if one.text.startswith("header:")
        ),
        covers_body=bool(names & BODY) or digest_field is not None,
        required_headers=tuple(
            name for name in (signatures.header, timestamp.header if timestamp else None) if name
        ),
        unsignable=unsignable
        or signatures.unsignable
        or (timestamp.unsignable if timestamp else None)
        or _unsignable(variables),
    )


def _check_template(
    names: set[str], template: str, variables: Mapping[str, Selector], *, timestamp: Timestamp | None
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


def _check_places(
    names: set[str], signatures: Signatures, timestamp: Timestamp | None, *, digest_field: str | None
) -> None:
    field = timestamp.field if timestamp is not None else None
    if field is not None and (signatures.parse != "kv" or field == signatures.field):
        raise ValueError(
            f"timestamp.from 'field:{field.decode()}' needs parse = \"kv\", and another field than the signature's"
        )
    if digest_field is not None and "url" not in names:
        raise ValueError("body_sha256_query is not signed: anybody could change it. template must have {url}")


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


def _mac_key(secret: str, *, algorithm: str, encoding: str, strip: str) -> MacKey | HashKey:
    text = no_public_key(secret).removeprefix(strip)
    key: bytes | None = text.encode()
    if encoding != "utf8":
        if encoding == "base64":
            text += "=" * (-len(text) % 4)
        key = DECODERS[encoding](text.encode())
    if key is None:
        raise ValueError(
            f"a secret is not {encoding}; if the producer uses it as text, leave secret_encoding out"
        )
    if not key:
        raise ValueError("a secret is empty: anybody could sign with it")
    return HashKey(key) if algorithm == "plain-sha256" else MacKey(key, algorithm)
