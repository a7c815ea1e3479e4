"""Kind token: the request carries the secret itself. It says who sends, and nothing of the body."""

import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import jmespath

from gateway.model import Headers, Rejected, Webhook
from gateway.selector import Content, Selector
from gateway.verify.encoding import from_base64, to_base64
from gateway.verify.parameters import HEADER_NAME, Parameters, usable
from gateway.verify.scheme import Confirmed, Signed, one_header

PLACES = ("header:NAME", "bearer", "basic", "query:NAME", "json:PATH")
AUTHORIZATION = b"authorization"
PRINTABLE = re.compile(r"[\x20-\x7e]+", re.ASCII)
DIGEST, DIGEST_DIGITS = b"sha256:", 8
MOST_ITEMS = 1000
"""Of a list in the body, each of which carries the token."""
SHORTEST_LOOKED_FOR = 8
"""Characters of a token from which on it is looked for elsewhere; a shorter one may be any word."""
EACH = re.compile(r"(?P<list>[A-Za-z_][A-Za-z0-9_.]*)\[\*?\](\.(?P<item>[A-Za-z_][A-Za-z0-9_.]*))?", re.ASCII)
PROJECTIONS = frozenset(("projection", "filter_projection", "value_projection", "flatten"))


@dataclass(frozen=True, slots=True, repr=False)
class TokenKey:
    secret: bytes
    digest: bytes = field(init=False, compare=False)
    """Compared in place of the secret, so that lengths show nothing."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "digest", hashlib.sha256(self.secret).digest())


@dataclass(frozen=True, slots=True)
class TokenScheme:
    place: str
    header: bytes | None
    """Where it is in one."""
    prefix: bytes
    selector: Selector | None
    required_headers: tuple[bytes, ...]
    tolerance_seconds: int = 0
    unsignable: None = None

    @property
    def credential(self) -> str:
        return self.place if self.header is None else f"header:{self.header.decode()}"

    def key(self, secret: str) -> TokenKey:
        usable(secret)
        if not PRINTABLE.fullmatch(secret):
            raise ValueError(
                "a secret has a character that is not printable ASCII: no request could carry it"
            )
        if self.place == "basic" and ":" not in secret:
            raise ValueError("a secret is not of the form USER:PASSWORD, which basic needs")
        return TokenKey(secret.encode())

    def read(self, content: Content) -> bytes | Rejected:
        """The token's digest; of a list, that of its items if all are the same."""
        tokens = (
            self._from_header(content.webhook) if self.header is not None else self._from_content(content)
        )
        if isinstance(tokens, Rejected):
            return tokens
        digests = {hashlib.sha256(token).digest() for token in tokens}
        if len(digests) != 1:
            return Rejected("malformed", f"there is no {self.place}, or there are several")
        return digests.pop()

    def match(self, presented: bytes, key: TokenKey) -> bytes | None:
        return presented if hmac.compare_digest(presented, key.digest) else None

    def why_not(self, presented: bytes) -> str:  # noqa: ARG002 - one shape for all kinds
        return f"what stands in {self.place} is no secret of this source"

    def confirm(self, presented: bytes, content: Content, *, now: int) -> Confirmed:  # noqa: ARG002 - see why_not
        return Confirmed(body_authenticated=False)

    def sign(self, webhook: Webhook, key: TokenKey, *, now: int, url: str) -> Signed:  # noqa: ARG002 - see why_not
        if self.header is not None:
            value = b"Basic " + to_base64(key.secret) if self.place == "basic" else self.prefix + key.secret
            return Signed(((self.header, value),), body=webhook.body)
        if self.place.startswith("query:"):
            return Signed(
                query=((self.place.removeprefix("query:"), key.secret.decode()),), body=webhook.body
            )
        return Signed(body=webhook.body)  # it is in the body still

    def _from_header(self, webhook: Webhook) -> list[bytes] | Rejected:
        name = self.header or b""
        value = one_header(webhook, name)
        if isinstance(value, Rejected):
            return value
        if self.place == "basic":
            token = from_base64(value[6:]) if value[:6].lower() == b"basic " else None
            return (
                Rejected("malformed", "the authorization header is not Basic") if token is None else [token]
            )
        is_bearer = self.place == "bearer"
        start = value[: len(self.prefix)]
        if (start.lower() if is_bearer else start) != (self.prefix.lower() if is_bearer else self.prefix):
            return Rejected(
                "malformed", f"the {name.decode()} header does not begin with {self.prefix.decode()!r}"
            )
        return [value[len(self.prefix) :]]

    def _from_content(self, content: Content) -> list[bytes] | Rejected:
        if self.place.startswith("query:"):
            values = content.query.get(self.place.removeprefix("query:"), [])
            if len(values) != 1:
                return Rejected("malformed", f"there is no {self.place}, or more than one")
            return [values[0].encode("utf-8", "surrogateescape")]
        found = self.selector.find(content) if self.selector else None
        items = found if isinstance(found, list) else [found]
        tokens = [item.encode("utf-8", "surrogatepass") for item in items if isinstance(item, str)]
        if not 0 < len(items) <= MOST_ITEMS or len(tokens) < len(items):
            return Rejected("malformed", f"there is no token in {self.place}")
        return tokens


def compile_token(table: Mapping[str, Any], *, public_url: str) -> TokenScheme:  # noqa: ARG001 - one shape for all kinds
    parameters = Parameters(table, of="kind token")
    place = parameters.text("from")
    prefix = (parameters.optional("prefix") or "").encode()
    parameters.close()
    form, _, name = place.partition(":")
    if prefix and form != "header":
        raise ValueError("kind token: prefix has a meaning only with a header")
    if place in ("bearer", "basic"):
        prefix = b"Bearer " if place == "bearer" else b""
        return TokenScheme(place, AUTHORIZATION, prefix, None, (AUTHORIZATION,))
    if form == "header" and HEADER_NAME.fullmatch(name):
        header = name.lower().encode()
        return TokenScheme(place, header, prefix, None, (header,))
    if form == "query" and name:
        return TokenScheme(place, None, b"", parameters.selector(place, "from"), ())
    if form == "json" and name:
        parameters.selector(place, "from")
        return TokenScheme(place, None, b"", parameters.selector(f"json:{_of_each(name)}", "from"), ())
    raise ValueError(f"kind token: from {place!r} is none of {', '.join(PLACES)}")


def _of_each(path: str) -> str:
    """A path through a list, so that it finds an item without a token too: JMESPath's own leave such a one out."""
    if through := EACH.fullmatch(path):
        return f"map(&{through['item'] or '@'}, {through['list']})"
    if _projects(jmespath.compile(path).parsed):
        raise ValueError(
            f"kind token: from json:{path} may leave out items of a list; only LIST[].KEY is known to leave out none"
        )
    return path


def _projects(node: Any) -> bool:
    return isinstance(node, dict) and (
        node["type"] in PROJECTIONS or any(_projects(child) for child in node["children"])
    )


def redacted(webhook: Webhook, credential: str) -> Webhook:
    """With a digest in place of the secret, so that it can be told apart from another, and not be used."""
    form, _, name = credential.partition(":")
    if form == "header":
        key = name.encode()
        headers = tuple((n, _digest(v) if n.lower() == key else v) for n, v in webhook.headers)
        return Webhook(headers, webhook.query, webhook.body, webhook.method)
    if form == "query":
        headers = webhook.headers
        for field in webhook.query.split(b"&"):
            if _is(field, name):
                headers = _without(headers, field.partition(b"=")[2])
        return Webhook(headers, _query(webhook.query, name), webhook.body, webhook.method)
    return webhook


def _without(headers: Headers, value: bytes) -> Headers:
    """Proxies repeat the URL in headers of their own, such as X-Original-URI."""
    if len(value) < SHORTEST_LOOKED_FOR:
        return headers
    return tuple((name, text.replace(value, _digest(value))) for name, text in headers)


def _query(query: bytes, name: str) -> bytes:
    fields = query.split(b"&")
    return b"&".join(
        field.partition(b"=")[0] + b"=" + _digest(field.partition(b"=")[2]) if _is(field, name) else field
        for field in fields
    )


def _is(field: bytes, name: str) -> bool:
    pairs = parse_qsl(field.decode("utf-8", "replace"), keep_blank_values=True)
    return bool(pairs) and pairs[0][0] == name


def is_redacted(value: bytes) -> bool:
    """Whether a header's value is what stands for a secret: also of a source that is not configured so any more."""
    return len(value) == len(DIGEST) + DIGEST_DIGITS and value.startswith(DIGEST)


def _digest(value: bytes) -> bytes:
    return DIGEST + binascii.b2a_hex(hashlib.sha256(value).digest())[:DIGEST_DIGITS]
