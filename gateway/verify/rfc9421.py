"""Kind rfc9421: HTTP Message Signatures, with a policy of the receiver's: what must be signed, by which key, how long ago."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from http_message_signatures import (
    HTTPMessageVerifier,
    HTTPSignatureKeyResolver,
    InvalidSignature,
    algorithms,
)
from http_message_signatures.exceptions import HTTPMessageSignaturesException

from gateway.model import Rejected, Webhook
from gateway.selector import Content
from gateway.verify.encoding import DECODERS
from gateway.verify.keys import LEAST_RSA_BITS, is_short
from gateway.verify.parameters import Parameters, no_public_key, usable
from gateway.verify.scheme import Confirmed, Signed
from gateway.verify.url import signed_urls

ALGORITHMS: Mapping[str, Any] = {
    "hmac-sha256": algorithms.HMAC_SHA256,
    "ed25519": algorithms.ED25519,
    "rsa-pss-sha512": algorithms.RSA_PSS_SHA512,
    "rsa-v1_5-sha256": algorithms.RSA_V1_5_SHA256,
    "ecdsa-p256-sha256": algorithms.ECDSA_P256_SHA256,
}
DEFAULT_AGE_SECONDS = 300
OF_URL = frozenset(
    ("@target-uri", "@authority", "@scheme", "@host", "@path", "@query", "@query-param", "@request-target")
)
COMPONENT = re.compile(r'"(@?[a-z0-9-]+)"')
REQUIRED = re.compile(r'@?[a-z0-9-]+|"@?[a-z0-9-]+"(;[a-z]+(="[^"\\]*")?)*')
HEADERS = (b"signature-input", b"signature")
NO_URL = "https://unknown.invalid/"
"""The library wants one for every request; no signature that covers it is looked at."""


class _Verifier(HTTPMessageVerifier):
    """Without its clock: times are judged here, after the signature, by a clock that is given."""

    def validate_created_and_expires(self, sig_input: Any, max_age: Any = None) -> None:
        pass


class _Resolver(HTTPSignatureKeyResolver):
    def __init__(self, keyid: str | None, key: bytes) -> None:
        self._keyid = keyid
        self._key = key

    def resolve_public_key(self, key_id: str) -> bytes | None:
        return self._key if self._keyid in (None, key_id) else None


@dataclass(slots=True)
class Presented:
    message: Any
    lacks_url: bool
    """The URL is signed, and it is not configured."""
    results: Sequence[Any] = ()
    """What the library found to be signed, once a key has matched."""


@dataclass(frozen=True, slots=True)
class Rfc9421Scheme:
    algorithm: str
    keyid: str | None
    tolerance_seconds: int
    required: tuple[str, ...]
    tag: str | None
    secret_encoding: str
    public_url: str
    required_headers: tuple[bytes, ...] = HEADERS
    credential: None = None
    unsignable: str = "a source of kind rfc9421 cannot be signed for anew"

    def key(self, secret: str) -> Any:
        usable(secret)
        if self.algorithm == "hmac-sha256":
            no_public_key(secret)
        key: bytes | None = secret.encode()
        if self.algorithm == "hmac-sha256" and (decode := DECODERS.get(self.secret_encoding)):
            key = decode(secret.encode())
        if not key:
            raise ValueError(
                f'a secret is not {self.secret_encoding}; if the producer uses it as text, set secret_encoding = "utf8"'
            )
        try:
            verifier = _Verifier(
                signature_algorithm=ALGORITHMS[self.algorithm], key_resolver=_Resolver(self.keyid, key)
            )
            loaded = getattr(ALGORITHMS[self.algorithm](public_key=key), "public_key", None)
        except (HTTPMessageSignaturesException, UnsupportedAlgorithm, ValueError, TypeError):
            raise ValueError(f"a secret is no key for {self.algorithm}") from None
        if is_short(loaded):
            raise ValueError(f"a secret is an RSA key of less than {LEAST_RSA_BITS} bits")
        return verifier

    def read(self, content: Content) -> Presented | Rejected:
        webhook = content.webhook
        for name in HEADERS:
            if not webhook.values(name):
                return Rejected("missing_header", f"there is no {name.decode()} header")
        headers = _Headers(
            [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in webhook.headers]
        )
        for beyond in [name for name, value in headers.items() if not (name + value).isascii()]:
            del headers[beyond]  # no signature can cover it; proxies add such ones
        for name in HEADERS:
            if name.decode() not in headers:
                return Rejected("malformed", f"the {name.decode()} header is not ASCII")
        names_url = _names_url(headers)
        url = NO_URL
        if self.public_url and names_url:
            url = signed_urls(self.public_url, webhook.query, variants=1)[0]
        return Presented(
            SimpleNamespace(method=webhook.method, url=url, headers=headers),
            lacks_url=names_url and not self.public_url,
        )

    def match(self, presented: Presented, key: Any) -> bytes | None:
        if presented.lacks_url:
            return None
        try:
            results = key.verify(
                presented.message, max_age=None, expect_tag=self.tag, require_components=self.required
            )
        except (
            HTTPMessageSignaturesException,
            InvalidSignature,
            ValueError,
            TypeError,
            KeyError,
            RecursionError,
        ):
            return None
        if len(results) != 1:
            return None
        presented.results = results
        covered = results[0].covered_components  # labels are not signed, and one message has many signatures
        return "\n".join(f"{name}: {value}" for name, value in covered.items()).encode()

    def why_not(self, presented: Presented) -> str:
        if presented.lacks_url:
            return "the signature covers the URL: set public_url to the one that the producer calls"
        needed = f", or it does not cover {', '.join(self.required)}" if self.required else ""
        return f"no secret of this source made the signature{needed}, or it names another keyid or algorithm"

    def confirm(self, presented: Presented, content: Content, *, now: int) -> Confirmed | Rejected:
        (result,) = presented.results
        created, expires = result.parameters.get("created"), result.parameters.get("expires")
        if type(created) is not int:
            return Rejected("malformed", "the signature does not say when it was created")
        if type(expires) is int and now > expires:
            return Rejected("too_old", f"the signature ended {now - expires} s ago")
        try:
            covers_body = HTTPMessageVerifier.content_digest_class.verify_components(
                result.covered_components, content.webhook.body
            )
        except (HTTPMessageSignaturesException, InvalidSignature, ValueError, TypeError):
            return Rejected("bad_signature", "the content-digest is of another body: it was changed")
        return Confirmed(created, body_authenticated=covers_body)

    def sign(self, webhook: Webhook, key: Any, *, now: int, url: str) -> Signed:  # noqa: ARG002 - one shape for all kinds
        raise ValueError(self.unsignable)


class _Headers(dict[str, str]):
    """As the library takes them: lines of one name joined, in lower case."""

    def __init__(self, lines: Sequence[tuple[str, str]]) -> None:
        super().__init__()
        for name, value in lines:
            text = value.strip(" \t")
            self[name] = f"{self[name]}, {text}" if name in self else text


def _names_url(headers: Mapping[str, str]) -> bool:
    return not OF_URL.isdisjoint(COMPONENT.findall(headers["signature-input"]))


def compile_rfc9421(table: Mapping[str, Any], *, public_url: str) -> Rfc9421Scheme:
    parameters = Parameters(table, of="kind rfc9421")
    result = Rfc9421Scheme(
        algorithm=parameters.choice("algorithm", tuple(ALGORITHMS)),
        keyid=parameters.optional("keyid"),
        tolerance_seconds=parameters.seconds("max_age", DEFAULT_AGE_SECONDS),
        required=parameters.texts("require_components"),
        tag=parameters.optional("tag"),
        secret_encoding=parameters.choice("secret_encoding", ("base64", "utf8", "hex"), "base64"),
        public_url=public_url,
    )
    parameters.close()
    for name in result.required:
        if not REQUIRED.fullmatch(name) or result.required.count(name) > 1:
            raise ValueError(
                f"kind rfc9421: require_components: {name!r} is no component's name in lower case, or stands twice"
            )
    if not public_url and OF_URL & set(result.required):
        raise ValueError("what is signed holds the URL: set public_url to the one that the producer calls")
    return result
