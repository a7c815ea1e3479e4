"""Kind jwt: a JSON Web Token in a header, with a claim that holds the body's hash, or else as good as a token."""

import hashlib
import hmac
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from jwt.exceptions import InvalidKeyError, PyJWTError
from jwt.warnings import InsecureKeyLengthWarning

from gateway.model import Rejected, Webhook
from gateway.selector import Content
from gateway.verify.encoding import DECODERS
from gateway.verify.keys import LEAST_RSA_BITS, is_short
from gateway.verify.parameters import Parameters, usable
from gateway.verify.scheme import Confirmed, Signed, one_header

SYMMETRIC = frozenset(("HS256", "HS384", "HS512"))
ALGORITHMS = (
    *sorted(SYMMETRIC),
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "EdDSA",
)
DEFAULT_AGE_SECONDS = 300
EXPIRED_SECONDS = 60
"""By how much a token's end may be past: clocks differ."""
LONGEST_TOKEN = 16_384


@dataclass(frozen=True, slots=True)
class Presented:
    token: str


@dataclass(frozen=True, slots=True)
class JwtScheme:
    header: bytes
    prefix: bytes
    algorithms: tuple[str, ...]
    required_claims: tuple[str, ...]
    tolerance_seconds: int
    body_hash_claim: str | None
    body_hash_encoding: str
    issuer: str | None
    audience: str | None
    required_headers: tuple[bytes, ...]
    credential: None = None
    unsignable: str = "a source of kind jwt cannot be signed for anew"

    def key(self, secret: str) -> Any:
        """Prepared, so that no token can make it another kind of key."""
        usable(secret)
        try:
            keys = {
                name: jwt.get_algorithm_by_name(name).prepare_key(secret)  # type: ignore[no-untyped-call, unused-ignore]
                for name in self.algorithms
            }
        except (InvalidKeyError, UnsupportedAlgorithm, ValueError, TypeError, PyJWTError):
            raise ValueError(f"a secret is no key for {', '.join(self.algorithms)}") from None
        if any(is_short(key) for key in keys.values()):
            raise ValueError(f"a secret is an RSA key of less than {LEAST_RSA_BITS} bits")
        return keys

    def read(self, content: Content) -> Presented | Rejected:
        name = self.header.decode()
        value = one_header(content.webhook, self.header)
        if isinstance(value, Rejected):
            return value
        token = value[len(self.prefix) :]
        if value[: len(self.prefix)].lower() != self.prefix.lower() or token.count(b".") != 2:
            return Rejected("malformed", f"the {name} header holds no JSON Web Token")
        if len(token) > LONGEST_TOKEN or not token.isascii():
            return Rejected("malformed", f"the token in the {name} header is too long, or not ASCII")
        return Presented(token.decode())

    def match(self, presented: Presented, key: Mapping[str, Any]) -> bytes | None:
        """The algorithm is the configured one; the token may only name which of several."""
        try:
            algorithm = jwt.get_unverified_header(presented.token).get("alg")
            if not isinstance(algorithm, str) or algorithm not in key:
                return None
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", InsecureKeyLengthWarning)
                jwt.api_jws.decode_complete(presented.token, key[algorithm], algorithms=[algorithm])
        except (PyJWTError, ValueError, TypeError, RecursionError):
            return None
        return presented.token.rpartition(".")[0].encode()  # of a curve it has more than one signature

    def why_not(self, presented: Presented) -> str:
        try:
            algorithm = str(jwt.get_unverified_header(presented.token).get("alg"))
        except (PyJWTError, ValueError, TypeError, RecursionError):
            return "the token cannot be read"
        if algorithm not in self.algorithms:
            return f"the token is signed by {algorithm[:20]!r}, and only {', '.join(self.algorithms)} will do"
        return "no secret of this source made the token"

    def confirm(self, presented: Presented, content: Content, *, now: int) -> Confirmed | Rejected:
        claims = _claims(presented.token)
        if claims is None:
            return Rejected("malformed", "the token's claims are no JSON object")
        return self._refused(claims, now=now) or self._confirmed(claims, content)

    def sign(self, webhook: Webhook, key: Any, *, now: int, url: str) -> Signed:  # noqa: ARG002 - one shape for all kinds
        raise ValueError(self.unsignable)

    def _refused(self, claims: Mapping[str, Any], *, now: int) -> Rejected | None:
        for name in self.required_claims:
            if claims.get(name) is None:
                return Rejected("malformed", f"the token has no claim {name}")
        for name in ("iat", "exp", "nbf"):
            if name in claims and not _is_time(claims[name]):
                return Rejected("malformed", f"the token's {name} is no time")
        return self._refused_time(claims, now=now) or self._refused_party(claims)

    def _refused_time(self, claims: Mapping[str, Any], *, now: int) -> Rejected | None:
        if "exp" in claims and now - claims["exp"] > EXPIRED_SECONDS:
            return Rejected("too_old", f"the token ended {now - int(claims['exp'])} s ago")
        if "nbf" in claims and claims["nbf"] - now > self.tolerance_seconds:
            return Rejected("too_new", f"the token begins in {int(claims['nbf']) - now} s")
        return None

    def _refused_party(self, claims: Mapping[str, Any]) -> Rejected | None:
        if self.issuer is not None and claims.get("iss") != self.issuer:
            return Rejected("bad_signature", "the token's iss is not the configured issuer")
        audiences = claims.get("aud")
        audiences = audiences if isinstance(audiences, list) else [audiences]
        if self.audience is not None and self.audience not in audiences:
            return Rejected("bad_signature", "the token's aud is not the configured audience")
        return None

    def _confirmed(self, claims: Mapping[str, Any], content: Content) -> Confirmed | Rejected:
        if self.body_hash_claim is not None:
            claimed = claims.get(self.body_hash_claim)
            digest = (
                DECODERS[self.body_hash_encoding](claimed.encode("utf-8", "replace"))
                if isinstance(claimed, str)
                else None
            )
            if digest is None:
                return Rejected("malformed", f"the token's {self.body_hash_claim} is no hash")
            if not hmac.compare_digest(digest, hashlib.sha256(content.webhook.body).digest()):
                return Rejected(
                    "bad_signature", f"the token's {self.body_hash_claim} is of another body: it was changed"
                )
        sent_at = int(claims["iat"]) if "iat" in claims else None
        return Confirmed(sent_at, body_authenticated=self.body_hash_claim is not None, claims=claims)


def compile_jwt(table: Mapping[str, Any], *, public_url: str) -> JwtScheme:  # noqa: ARG001 - one shape for all kinds
    parameters = Parameters(table, of="kind jwt")
    header = parameters.header("header", "authorization")
    scheme = parameters.may_be_empty("scheme", "Bearer" if header == b"authorization" else "")
    algorithms = parameters.texts("algorithms")
    required = set(parameters.texts("require"))
    result = JwtScheme(
        header=header,
        prefix=f"{scheme} ".encode() if scheme else b"",
        algorithms=algorithms,
        required_claims=tuple(sorted(required)),
        tolerance_seconds=parameters.seconds("max_age", DEFAULT_AGE_SECONDS),
        body_hash_claim=parameters.optional("body_hash_claim"),
        body_hash_encoding=parameters.choice("body_hash_encoding", tuple(DECODERS), "hex"),
        issuer=parameters.optional("issuer"),
        audience=parameters.optional("audience"),
        required_headers=(header,),
    )
    parameters.close()
    if not algorithms or not set(algorithms) <= set(ALGORITHMS):
        raise ValueError(f"kind jwt: algorithms must be some of {', '.join(ALGORITHMS)}")
    if set(algorithms) & SYMMETRIC and set(algorithms) - SYMMETRIC:
        raise ValueError("kind jwt: algorithms with a shared and with a public key cannot be mixed")
    if not required & {"iat", "exp"} and result.body_hash_claim is None:
        raise ValueError(
            'kind jwt: require must have "iat" or "exp", or body_hash_claim be set: else a token is good for ever, for any body'
        )
    return result


def _claims(token: str) -> Mapping[str, Any] | None:
    try:
        return jwt.decode(token, options={"verify_signature": False})  # which takes nothing but an object
    except (PyJWTError, ValueError, TypeError, RecursionError):
        return None


def _is_time(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 10**12
