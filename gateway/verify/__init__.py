"""Is this webhook authentic? A raw request, the source's secrets and the time in; verified or rejected out.

One module a kind of scheme; a producer is a row of data in `presets`. Everything here is pure and takes hostile
input without raising.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Protocol

from gateway.model import Rejected, VerifiedWebhook, Webhook
from gateway.verify.jwt import compile_jwt
from gateway.verify.none import NoVerifier, compile_none
from gateway.verify.preset import Preset
from gateway.verify.presets import PRESETS
from gateway.verify.rfc9421 import compile_rfc9421
from gateway.verify.scheme import Scheme, Signed
from gateway.verify.standard import compile_standard
from gateway.verify.template import compile_asymmetric, compile_hmac
from gateway.verify.token import compile_token
from gateway.verify.verifier import Secret, with_secrets

__all__ = [
    "PRESETS",
    "NoVerifier",
    "Preset",
    "Secret",
    "Signed",
    "Verifier",
    "compile_verifier",
    "default_dedupe_key",
]

KINDS: Mapping[str, Callable[..., Scheme]] = MappingProxyType(
    {
        "standard": compile_standard,
        "hmac": compile_hmac,
        "asymmetric": compile_asymmetric,
        "token": compile_token,
        "jwt": compile_jwt,
        "rfc9421": compile_rfc9421,
    }
)


class Verifier(Protocol):
    @property
    def required_headers(self) -> tuple[bytes, ...]:
        """Names in lower case. A request that lacks one is refused before its body is read."""
        ...

    @property
    def tolerance_seconds(self) -> int:
        """By how much a signed time may be off; 0 where none is signed."""
        ...

    @property
    def credential_header(self) -> bytes | None:
        """The header, in lower case, whose value is the secret itself; None: there is none."""
        ...

    @property
    def signs_method(self) -> bool:
        """Whether the request's method is signed, so that the producer uses others than POST."""
        ...

    @property
    def unsignable(self) -> str | None:
        """Why nothing can be signed anew for this source; None: it can be."""
        ...

    def without_credential(self, webhook: Webhook) -> Webhook:
        """With a digest in place of a value that is the secret itself."""
        ...

    def verify(self, webhook: Webhook, *, now: int) -> VerifiedWebhook | Rejected:
        """`now` in Unix seconds."""
        ...

    def sign(self, webhook: Webhook, *, now: int, url: str) -> Signed:
        """As the producer would at `now`, for `url`. Raise ValueError where it cannot be done."""
        ...


def compile_verifier(
    parameters: Mapping[str, Any], secrets: Sequence[Secret | str], *, public_url: str = ""
) -> Verifier:
    """Raise ValueError with a sentence for the operator, which never quotes a secret, where they do not fit."""
    kind = parameters.get("kind")
    if kind == "none":
        return compile_none(parameters, secrets)
    if not isinstance(kind, str) or kind not in KINDS:
        raise ValueError(f"verify.kind {kind!r} is not known; known are none, {', '.join(sorted(KINDS))}")
    return with_secrets(KINDS[kind](parameters, public_url=public_url), secrets)


def default_dedupe_key(parameters: Mapping[str, Any]) -> str:
    """For a scheme that is not a preset: its signed id, else the body's digest."""
    match parameters.get("kind"):
        case "standard":
            return f"header:{parameters.get('prefix') or 'webhook-'}id"
        case "jwt":
            return "claim:jti"
        case _:
            return "body"
