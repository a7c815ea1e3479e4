"""Kinds hmac and asymmetric: a signature over bytes that a template puts together from the request."""

import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from gateway.model import Rejected, Webhook
from gateway.selector import Content
from gateway.verify.encoding import DECODERS, from_hex
from gateway.verify.keys import KEY_ENCODINGS, NEEDED, HashKey, MacKey, PublicKey, public_key
from gateway.verify.message import Parts, Template, Unfit, compile_template
from gateway.verify.parameters import Parameters, no_public_key, usable
from gateway.verify.scheme import Confirmed, Signed
from gateway.verify.signature import Signatures, read_signatures
from gateway.verify.timestamp import Timestamp, read_timestamp
from gateway.verify.url import NOT_IN_A_QUERY, signed_urls

MAC_ALGORITHMS = ("sha1", "sha256", "sha512", "plain-sha256")


@dataclass(slots=True)
class Presented:
    signatures: Sequence[bytes]
    messages: Sequence[bytes]
    """More than one where the producer may have written the URL in several ways."""
    timestamp: bytes | None


@dataclass(frozen=True, slots=True)
class TemplateScheme:
    signatures: Signatures
    timestamp: Timestamp | None
    template: Template
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
            message = self.template.fill(Parts(content, timestamp, url, body))
        except Unfit as unfit:
            raise ValueError(unfit.rejected.detail) from None
        signature = key.sign(message)
        headers, body = self.signatures.put(signature, self.timestamp, timestamp, body)
        with_signed = tuple((name, webhook.values(name)[0]) for name in self.signed_headers)
        return Signed((*with_signed, *headers), query, body)

    def _messages(self, content: Content, timestamp: bytes | None) -> list[bytes]:
        webhook = content.webhook
        if not self.public_url:
            return [self.template.fill(Parts(content, timestamp, "", webhook.body))]
        if NOT_IN_A_QUERY.search(webhook.query):
            raise Unfit("the query has a character that no URL has, and could be the beginning of a body")
        urls = signed_urls(self.public_url, webhook.query, variants=self.url_variants)
        return [self.template.fill(Parts(content, timestamp, url, webhook.body)) for url in urls]

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
    filled = compile_template(template, variables, timestamp=timestamp, decode_url=url_decode is not None)
    names = filled.names
    _check_places(names, signatures, timestamp, digest_field=digest_field)
    if "url" in names and not public_url:
        raise ValueError("this producer signs the URL: set public_url to the one that it calls")
    return TemplateScheme(
        signatures=signatures,
        timestamp=timestamp,
        template=filled,
        make_key=make_key,
        public_url=public_url if "url" in names else "",
        url_variants=variants,
        body_digest_field=digest_field,
        signs_method="method" in names,
        signed_headers=filled.headers,
        covers_body=filled.covers_body or digest_field is not None,
        required_headers=tuple(
            name for name in (signatures.header, timestamp.header if timestamp else None) if name
        ),
        unsignable=unsignable
        or signatures.unsignable
        or (timestamp.unsignable if timestamp else None)
        or filled.unsignable,
    )


def _check_places(
    names: frozenset[str], signatures: Signatures, timestamp: Timestamp | None, *, digest_field: str | None
) -> None:
    field = timestamp.field if timestamp is not None else None
    if field is not None and (signatures.parse != "kv" or field == signatures.field):
        raise ValueError(
            f"timestamp.from 'field:{field.decode()}' needs parse = \"kv\", and another field than the signature's"
        )
    if digest_field is not None and "url" not in names:
        raise ValueError("body_sha256_query is not signed: anybody could change it. template must have {url}")


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
